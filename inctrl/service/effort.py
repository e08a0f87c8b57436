"""What images cost: how often the model looks at them, tile by tile and, of shots, turn by turn."""

from collections.abc import Iterable

from inctrl.errors import UsageError
from inctrl.images import Picture
from inctrl.inspection.fitted import FittedInspector
from inctrl.inspection.inspector import Inspector
from inctrl.inspection.seen import tiling_for, turns_of
from inctrl.service.error_replies import TooLarge
from inctrl.store import SetVersion
from inctrl.views import Views

SENT_ALONG = 512
"""Looks at the shots of one request: a minute or two of `duo` on a small processor."""
OF_A_SET = 10_000
"""Looks at the shots of a version: as many as it may have shots."""
Size = tuple[int, int]


def looks_at(fitted: FittedInspector, query: Picture) -> int:
    """How often the model looks at a query."""
    side = fitted.inspector.backbone.image_size
    return len(tiling_for(_size(query), fitted.views, side))


def refuse_many_sent(shots: Iterable[Picture], inspector: Inspector, views: Views) -> None:
    """TooLarge where shots that come with a request take too long to be prepared for it alone."""
    looks = _looks(map(_size, shots), inspector, views)
    if looks > SENT_ALONG:
        raise TooLarge(
            f"these shots come to {looks} looks, with their turns and tiles, over {SENT_ALONG}; "
            "send fewer, use fewer tiles, or make them a set first and name it"
        )


def refuse_large_set(version: SetVersion, inspector: Inspector) -> None:
    """UsageError where a set would keep the model busy for too long."""
    sizes = ((shot.height, shot.width) for shot in version.shots)
    looks = _looks(sizes, inspector, version.views)
    if looks > OF_A_SET:
        raise UsageError(
            f"'{version.reference}' comes to {looks} looks, with its turns and tiles, over "
            f"{OF_A_SET}; use fewer tiles, or fewer images"
        )


def _looks(sizes: Iterable[Size], inspector: Inspector, views: Views) -> int:
    side = inspector.backbone.image_size
    return turns_of(views) * sum(len(tiling_for(size, views, side)) for size in sizes)


def _size(picture: Picture) -> Size:
    return picture.pixels.shape[0], picture.pixels.shape[1]
