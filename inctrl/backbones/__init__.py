"""The table of backbones: a prefix, and what loads it.

tiny                               embedded, always there
openclip:MODEL/TAG-or-FILE         open_clip models, or a folder in its format
hf:FOLDER-or-HUB-NAME              CLIP, SigLIP, DINOv2, DINOv3 through transformers
cnn:TIMM-NAME/TAG-or-FILE          convolutional towers through timm
duo                                embedded: tiny, and blocks of a small vision transformer
pixels                             no tower: the picture itself, for detectors that bring their own
"""

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inctrl.backbones.precision import PRECISIONS
from inctrl.errors import UsageError
from inctrl.protocols import Backbone
from inctrl.registry import lookup

MAX_SIZE = 2048
CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


@dataclass(frozen=True)
class Loader:
    """Where the loading function is, the form of its name, and what it offers.

    precision   whether it can multiply in half the bits (backbones/precision.py)
    """

    module: str
    form: str
    offers: str
    precision: bool = False


LOADERS = {
    "tiny": Loader("inctrl.backbones.tiny", "tiny", "EfficientNet-Lite0, embedded"),
    "duo": Loader(
        "inctrl.backbones.duo", "duo", "tiny and a small vision transformer, embedded", True
    ),
    "openclip": Loader(
        "inctrl.backbones.openclip", "openclip:MODEL/TAG|FILE", "CLIP and SigLIP, image and text"
    ),
    "hf": Loader("inctrl.backbones.hf", "hf:FOLDER|HUB-NAME", "CLIP, SigLIP, DINOv2, DINOv3"),
    "cnn": Loader("inctrl.backbones.cnn", "cnn:TIMM-NAME/TAG|FILE", "convolutional, image only"),
    "pixels": Loader("inctrl.backbones.pixels", "pixels", "the picture itself, for anomalib:NAME"),
}


def load_backbone(
    name: str,
    *,
    image_size: int | None = None,
    layers: Sequence[str] | None = None,
    device: str = "auto",
    allow_network: bool = False,
    precision: str | None = None,
) -> Backbone:
    """Load a backbone by name, frozen and in eval mode.

    image_size    side in pixels; default: the one its weights were trained for
    layers        names of the layers to tap; default: the backbone's recommended ones
    precision     auto (default), float32 or bfloat16, of the transformer of `duo`; the others
                  are in single precision
    Raises UsageError for an unknown name, MissingModel where its weights are not at hand.
    """
    if image_size is not None and not 16 <= image_size <= MAX_SIZE:
        raise UsageError(f"image size {image_size} is not in 16..{MAX_SIZE} pixels")
    lookup(PRECISIONS, precision or "auto", "precision")
    loader, spec = LOADERS[kind_of(name)], name.partition(":")[2]
    # Imported on demand: each brings a model library of its own, seconds of start-up time.
    _import_compiler()
    module = importlib.import_module(loader.module)
    weights = importlib.import_module("inctrl.backbones.weights")
    own = _own_precision(name, loader, precision)
    backbone: Backbone = module.load(
        spec,
        image_size=image_size,
        layers=layers,
        device=weights.resolved_device(device),
        allow_network=allow_network,
        **own,
    )
    return backbone


def _own_precision(name: str, loader: Loader, precision: str | None) -> dict[str, str | None]:
    """The argument for a loader that has a choice; UsageError where the others are given one."""
    if loader.precision:
        return {"precision": precision}
    if precision == "bfloat16":
        raise UsageError(f"backbone {name!r} has no precision but float32; use 'duo', or 'auto'")
    return {}


def kind_of(name: str) -> str:
    """The prefix of a backbone's name; UsageError where the table has none."""
    prefix = name.partition(":")[0]
    lookup(LOADERS, prefix, "backbone")
    return prefix


def _import_compiler() -> None:
    """Import torch's compiler, as the model libraries do, without the folder that it makes for it.

    It makes `torchinductor_USER` in TMPDIR and notes it in the environment, though nothing is
    compiled here. So it is shown a folder that is there already.
    """
    if CACHE_VARIABLE in os.environ:  # somebody's choice, which the compiler respects
        return
    os.environ[CACHE_VARIABLE] = str(Path(__file__).parent)
    try:
        importlib.import_module("torch._dynamo")
    finally:
        del os.environ[CACHE_VARIABLE]
