"""A module of the library as it is before training, and the transform that its images need."""

import pkgutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from inctrl.detectors.anomalib.models import Model
from inctrl.detectors.anomalib.towers import HUB, TowerWeights, load_part, towers_of
from inctrl.errors import UsageError


@dataclass(frozen=True, eq=False)
class Assembled:
    """A module of the library; `prepared` is b 3 S S in [0, 1] -> what its model wants."""

    module: Any
    prepared: Callable[[Tensor], Tensor]


def assemble(
    model: Model, arguments: Mapping[str, Any], weights: TowerWeights, side: int, images: str = ""
) -> Assembled:
    """The module for images of a side; `images` is a folder of others that it learns from."""
    from anomalib.pre_processing import PreProcessor

    module, cls = model.path.split(":")
    kind = pkgutil.resolve_name(f"anomalib.models.image.{module}:{cls}")
    transform = _transform(kind, side)
    with tempfile.TemporaryDirectory() as nothing, towers_of(weights):
        given = dict(arguments)
        if images:
            given[model.images_as] = images
        elif model.images_as == "dtd_dir":
            given["dtd_dir"] = nothing  # an empty folder: the library then mixes in noise
        parts = dict.fromkeys(("post_processor", "evaluator", "visualizer"), False)
        built = kind(**given, **parts, pre_processor=PreProcessor(transform=transform))
    # Images are transformed once, here; as a hook the library would do it at every step.
    built.pre_processor = None
    if model.loads and weights is not HUB:
        load_part(built, model.loads, weights)
    return Assembled(built, transform)


def rounded_side(name: str, model: Model, side: int) -> int:
    """The side that a model works with; UsageError where images are too small for it."""
    least = max(model.smallest, model.multiple)
    rounded = side // model.multiple * model.multiple
    if rounded < least:
        raise UsageError(
            f"{name} needs images of {least} pixels or more, not {side}; "
            f"an image size of {max(least, 256)} will do"
        )
    return rounded


def _transform(kind: Any, side: int) -> Callable[[Tensor], Tensor]:
    """To the side, then the model's own normalisation; its crops would lose the border."""
    from torchvision.transforms import v2

    default = kind.configure_pre_processor().transform
    parts = [p for p in getattr(default, "transforms", [default]) if isinstance(p, v2.Normalize)]
    transform: Callable[[Tensor], Tensor] = v2.Compose(
        [v2.Resize((side, side), antialias=True), *parts]
    )
    return transform
