"""What users may set of a model of the library, and which arguments of its class that becomes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inctrl.detectors.anomalib.models import Model
from inctrl.errors import MissingModel, UsageError


@dataclass(frozen=True)
class AnomalibOptions:
    """What is not said is the library's default.

    weights    of the tower: a local state dict, "hub" (may be fetched) or "random" (only to try)
    backbone   another tower, by its name in timm; with `layers`, where the model lets one choose
    layers     names separated by commas
    images     folder of other images: textures (draem, glass) or ImageNette (efficient_ad)
    steps      of training; 0: the table's. Models that are fitted in one pass have none
    batch      images a step
    version    of the library; empty: the one at hand, which is recorded. Another is refused
    """

    weights: str = ""
    backbone: str = ""
    layers: str = ""
    images: str = ""
    steps: int = 0
    batch: int = 8
    seed: int = 0
    version: str = ""

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise UsageError(f"option steps={self.steps} is negative")
        if self.batch < 2:
            raise UsageError(f"option batch={self.batch} is too few; give 2 or more")


def chosen_arguments(name: str, model: Model, options: AnomalibOptions) -> dict[str, Any]:
    """Arguments of the class that towers and layers become.

    UsageError for an option that the class does not take.
    """
    arguments: dict[str, Any] = {}
    for option, value in (("backbone", options.backbone), ("layers", options.layers)):
        argument = dict(zip(("backbone", "layers"), model.takes, strict=False)).get(option)
        if value and not argument:
            raise UsageError(f"{name} has no choice of {option}; leave {option}={value!r} out")
        if value and argument:
            listed = [int(layer) if layer.isdigit() else layer for layer in value.split(",")]
            arguments[argument] = listed if argument == "layers" else value
    if options.images and not model.images_as:
        raise UsageError(f"{name} uses no other images; leave images={options.images!r} out")
    if model.images_as == "imagenet_dir" and not options.images:
        raise MissingModel(
            f"{name} wants ImageNette, or other images in folders by class: -o images=FOLDER"
        )
    return arguments


def refuse_missing_folder(name: str, images: str) -> None:
    """MissingModel where the folder of other images is not there; only training wants it."""
    if images and not Path(images).is_dir():
        raise MissingModel(f"no folder {images!r} (option images of {name})")
