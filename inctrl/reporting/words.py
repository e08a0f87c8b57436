"""Numbers and verdicts as plain words."""

import math
from collections.abc import Sequence

from inctrl.identity import Card
from inctrl.maths.limits import at_most
from inctrl.reporting.run import AnyRow, FailedRow, Row, RunInfo
from inctrl.types import Box, Evidence, Region


def printable(text: str) -> str:
    """Text with controls, direction marks and undecodable bytes as visible escapes (\\n, \\udcff).

    Everything else, non-ASCII included, stays as it is.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def file_name(name: str) -> str:
    """The last part of a path, printable."""
    return printable(name.replace("\\", "/").rstrip("/").rpartition("/")[2] or name)


def number(value: float) -> str:
    """Three significant digits, or all digits of a larger whole part; 'none' if not finite."""
    if not math.isfinite(value):
        return "none"
    return f"{value:,.0f}" if 100 <= abs(value) < 1e6 else f"{value:#.3g}"


def told_apart(first: float, second: float) -> tuple[str, str]:
    """Two numbers with the same decimals, as many as show which is larger."""
    largest = max(abs(first), abs(second))
    if not (0 < largest < 1e6):
        return number(first), number(second)
    decimals = max(0, 2 - math.floor(math.log10(largest)))
    pair = (f"{first:,.{decimals}f}", f"{second:,.{decimals}f}")
    while pair[0] == pair[1] and first != second and decimals < 12:
        decimals += 1
        pair = (f"{first:,.{decimals}f}", f"{second:,.{decimals}f}")
    return pair


def percent(share: float) -> str:
    """A share as a percentage of two digits, with a space that does not break."""
    value = 100 * share
    return f"{value:.0f}\u00a0%" if value >= 99.5 else f"{value:.2g}\u00a0%"


def plural(count: int, one: str, many: str | None = None) -> str:
    """'1 shot', '4 shots'."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def headline(rows: Sequence[AnyRow]) -> str:
    """'3 of 9 look anomalous, 4 normal, 1 undecided, 1 unreadable'."""
    counts = tally(rows)
    total = len(rows)
    if total == 0:
        return "No images were given"
    alone = {
        "anomalous": ("The image looks anomalous", f"All {total:,} look anomalous"),
        "normal": ("The image looks normal", f"All {total:,} look normal"),
        "undecided": ("The image is undecided", f"All {total:,} are undecided"),
        "unreadable": ("The image could not be read", f"None of {total:,} could be read"),
    }
    for kind, (one, many) in alone.items():
        if counts[kind] == total:
            return one if total == 1 else many
    look = "looks" if counts["anomalous"] == 1 else "look"
    first = f"{counts['anomalous']:,}" if counts["anomalous"] else "None"
    rest = [f"{n:,} {kind}" for kind, n in counts.items() if kind != "anomalous" and n]
    return ", ".join([f"{first} of {total:,} {look} anomalous", *rest])


def tally(rows: Sequence[AnyRow]) -> dict[str, int]:
    """How many rows are anomalous, normal, undecided and unreadable, in this order."""
    counts = dict.fromkeys(("anomalous", "normal", "undecided", "unreadable"), 0)
    for r in rows:
        counts["unreadable" if isinstance(r, FailedRow) else r.verdict] += 1
    return counts


def score_words(row: Row) -> str:
    """'score 0.213, limit 0.180'."""
    if not math.isfinite(row.threshold):
        return f"score {number(row.score)}, no limit"
    score, limit = told_apart(row.score, row.threshold)
    return f"score {score}, limit {limit}"


def p_words(row: Row, info: RunInfo) -> str:
    """'p = 0.33', 'p ≤ 0.11, the least 8 shots can show', or nothing where no shot was given."""
    if not info.calibration_scores:
        return ""
    if row.p_value > row.p_floor + 1e-12:
        return f"p = {row.p_value:.2g}"
    return f"p ≤ {row.p_floor:.2g}, the least {_behind(info)} can show"


def region_words(region: Region, size: tuple[int, int]) -> str:
    """'upper left, 120 × 80 px at (34, 50), 1.2 % of the image, peak 0.420'."""
    box = region.box
    return (
        f"{place(box, size)}, {box.right - box.left:,} × {box.bottom - box.top:,} px "
        f"at ({box.left:,}, {box.top:,}), {percent(region.area)} of the image, "
        f"peak {number(region.peak)}"
    )


def place(box: Box, size: tuple[int, int]) -> str:
    """The ninth of an image (height, width) that holds the middle of a box."""
    row = min(2, 3 * (box.top + box.bottom) // (2 * size[0]))
    column = min(2, 3 * (box.left + box.right) // (2 * size[1]))
    words = [w for w in (("upper", "", "lower")[row], ("left", "", "right")[column]) if w]
    return " ".join(words) or "centre"


def picture_words(row: Row) -> str:
    """The overlay for those who cannot see it."""
    if not math.isfinite(row.pixel_limit):
        return f"{printable(row.name)}: highest value {number(row.pixel_max)}, no pixel limit"
    if not row.regions:
        return f"{printable(row.name)}: no place above the pixel limit"
    places = "; ".join(place(region.box, row.size) for region in row.regions)
    count = plural(len(row.regions), "region")
    return f"{printable(row.name)}: {count} above the pixel limit, {places}"


def evidence_words(evidence: Evidence, info: RunInfo) -> str:
    """How the worst place compares with those of normal images, or of the one there is."""
    here, usual = told_apart(evidence.distance, evidence.normal_distance)
    one_shot = info.method == "views"
    whose = "the shot, a little moved and lit otherwise," if one_shot else "normal images"
    words = f"map value {here}; the worst places of {whose} lie at {usual}"
    times = evidence.distance / evidence.normal_distance if evidence.normal_distance > 0 else 0
    if 1.05 <= times < math.inf:
        words += f", so this is {times:.1f} times as high"
    return words


def trust_words(info: RunInfo) -> str:
    """How far the limit can be trusted, from the number of normal scores behind it."""
    if info.method == "views":
        return ""  # the words of the limit say all of it
    if not math.isfinite(info.threshold):
        return "Without a limit scores rank the images, but nothing is called anomalous."
    like_these = "It holds for images taken as the shots were: camera, light and framing."
    if not at_most(info.p_floor, info.alpha):
        return (
            f"{_behind(info).capitalize()} can show a false-alarm rate of {percent(info.p_floor)} "
            f"at best, and {percent(info.alpha)} is wanted: the limit is provisional, and more "
            f"normal shots make it firmer. {like_these}"
        )
    return like_these


def prior_words(card: Card) -> str:
    """'bank 'inctrl', moves a score by 8.1 % at the most', or why there is no prior."""
    said = printable(card.text_prior) or "none"
    if card.text_weight is None:
        return said
    if card.text_weight == 0:
        return f"{said}, off: it does not call every shot flawless"
    return f"{said}, moves a score by {percent(card.text_weight)} at the most"


def _behind(info: RunInfo) -> str:
    """What the limit stands on: '8 shots', or '12 normal scores' where the shots were varied."""
    scores, shots = len(info.calibration_scores), len(info.card.shot_names)
    return plural(scores, "shot") if scores == shots else plural(scores, "normal score")
