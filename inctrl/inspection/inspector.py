"""The one path: images -> features -> residuals -> score -> verdict.

    inspector = Inspector.load()                  # weights
    fitted = inspector.fit(normal_images)         # a product: context and calibration
    for result in fitted.inspect(query_images):   # answers
        print(result.name, result.verdict, result.score)

The command line, the evaluation and every page walk this path, so that an image has the same
score by each of them.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from inctrl.adapters.file import Adapter, AdapterFolder, open_adapter
from inctrl.adapters.prompt_context import PromptContext
from inctrl.adapters.registration import Registration
from inctrl.backbones import load_backbone
from inctrl.backbones.aligned import aligned
from inctrl.backbones.cache import Remembers, open_cache
from inctrl.backbones.features import Tally, encode
from inctrl.backbones.lowrank import lowrank
from inctrl.backbones.rewired import windowed
from inctrl.detectors import build_detector, detector_entry, detector_for
from inctrl.errors import UsageError
from inctrl.frames import Frame, frame_of
from inctrl.identity import Identity
from inctrl.images import Image, Window
from inctrl.inspection.fitted import FittedInspector
from inctrl.inspection.fitting import fit_features, seeing
from inctrl.inspection.inputs import Input, Shots, open_shots
from inctrl.inspection.seen import Seen
from inctrl.maths.geometry import View
from inctrl.maths.neighbours import unit
from inctrl.prompting import Bank, both_prototypes, learned_prototypes, load_bank
from inctrl.protocols import Backbone, ComparesVersions, Detector, LeavesOut, SeesWindows
from inctrl.registry import unknown
from inctrl.types import Features, Fit, Item, Options
from inctrl.views import AS_THEY_ARE, Orientation, Tiles, Views, orientation_of, tiles_of

logger = logging.getLogger("inctrl")
FITS: tuple[Fit, ...] = ("squash", "crop", "pad")


@dataclass(frozen=True, eq=False)
class Inspector:
    """A backbone, a detector and the way images are shown to them; it holds no product."""

    backbone: Backbone
    detector: Detector[Any]
    fit_mode: Fit = "squash"
    frame: Frame = "all"
    alpha: float = 0.05
    cache: Remembers | None = None
    tally: Tally | None = None
    batch: int = 8
    adapter: Adapter | None = None
    bank: Bank = field(default_factory=lambda: load_bank("inctrl"))

    @property
    def learned(self) -> PromptContext | None:
        """Prompts of a trained adapter; they stand in for the bank."""
        module = self.adapter.module if self.adapter else None
        return module if isinstance(module, PromptContext) else None

    @classmethod
    def load(
        cls,
        backbone: str | None = None,
        *,
        detector: str | None = None,
        adapter: str | None = None,
        domain: str = "inctrl",
        options: Options | None = None,
        fit: Fit | None = None,
        frame: Frame = "all",
        alpha: float = 0.05,
        image_size: int | None = None,
        layers: Sequence[str] | None = None,
        precision: str | None = None,
        device: str = "auto",
        cache: str | Path | None = None,
        batch: int = 8,
        allow_network: bool = False,
        loader: Callable[..., Backbone] | None = None,
    ) -> "Inspector":
        """Load everything by name.

        backbone   `tiny`, `duo`, `openclip:...`, `hf:...` or `cnn:...` (default:
                   inctrl.resources.DEFAULT_BACKBONE)
        detector   default: the one that the adapter is for, else the training-free `incontext`;
                   `zeroshot` goes by sentences alone and can be fitted without normal images
        fit        `squash` (the whole image), `crop` (CLIP's centre crop) or `pad`
        frame      of files that hold several images: `all`, each as one of its own, `first`, or the
                   number of one, from 1
        domain     sentence bank for detectors that use text: a shipped one, or a TOML file
        adapter    name or folder; what it records stands in for arguments not given
        precision  of the transformer of `duo`: `auto` (default), `float32` or `bfloat16`
        alpha      wanted share of normal images called anomalous, in (0, 0.5]
        cache      folder of known features; None: the user's cache folder; "off": none
        loader     what loads a backbone, where several inspectors are to share one
        """
        _refuse_outside(alpha, batch)
        folder = open_adapter(adapter) if adapter else None
        chosen = _chosen(folder, backbone, detector, fit, image_size, layers, precision)
        base = chosen.load(loader or load_backbone, device, allow_network)
        trained = folder.fit_to(base) if folder else None
        built = build_detector(chosen.detector, options, trained)
        return cls(
            backbone=_altered(base, built, trained),
            detector=built,
            fit_mode=chosen.fit,
            frame=frame_of(frame),
            alpha=alpha,
            cache=open_cache(cache),
            batch=batch,
            bank=load_bank(domain),
            adapter=trained,
        )

    def fit(
        self,
        normals: Iterable[Input],
        *,
        item: str = "object",
        window: Window | None = None,
        orientation: Orientation = "fixed",
        tiles: Tiles = 1,
    ) -> "FittedInspector":
        """Prepare a context from k >= 1 normal images and calibrate it on them alone.

        An unreadable image is left out with a warning, an equal one counts once; UsageError
        where none is left. `window` is for images of more than 8 bits (default: from the shots).
        A detector that needs no shots takes an empty list too: then there is no limit, and every
        verdict is "undecided".

        orientation   `any`: parts lie any way round, so that queries are compared with eight turns
                      of each shot
        tiles         see shots and queries in overlapping tiles, so many along the longer side, or
                      `auto`, by the size of each image: for small defects in large images
        """
        views = Views(orientation_of(orientation), tiles_of(tiles))
        fitted = self.prepare(normals, self.describe(item), window, views)
        for warning in fitted.calibration.warnings:
            logger.warning("%s", warning)
        return fitted

    def prepare(
        self,
        normals: Iterable[Input],
        item: Item,
        window: Window | None = None,
        views: Views = AS_THEY_ARE,
    ) -> "FittedInspector":
        """`fit` for an item that is described already; warnings are kept, not logged."""
        needed, see = self.detector.needs_shots, self.seeing(views)
        shots = open_shots(normals, window, self.view, see, frame=self.frame, needed=needed)
        return self.fit_features(shots, item, views)

    def fit_features(
        self, shots: Shots, item: Item, views: Views = AS_THEY_ARE
    ) -> "FittedInspector":
        """`prepare` with shots that are encoded already, by `seeing`."""
        return fit_features(self, shots, item, views)

    def seeing(self, views: Views = AS_THEY_ARE) -> Callable[[Image], Seen]:
        """What `open_shots` sees shots with; UsageError where the detector cannot use the views."""
        return seeing(self, views)

    def encode(self, images: Sequence[Image]) -> Features:
        """Features of images, those from the cache that are there."""
        return encode(self.backbone, images, self.fit_mode, self.cache, self.batch, self.tally)

    def encode_shots(self, images: Sequence[Image]) -> Features:
        """Features of shots, with their altered versions where the detector compares with those."""
        features = self.encode(images)
        if isinstance(self.detector, LeavesOut):
            return replace(features, patches=tuple(map(unit, features.patches)), unit=True)
        if not isinstance(self.detector, ComparesVersions):
            return features
        versions = [self.encode(self.detector.versions(image)).patches for image in images]
        layers = zip(*versions, strict=True)
        return replace(features, versions=tuple(torch.stack(layer) for layer in layers))

    def view(self, image: Image) -> View:
        """Where in an image the backbone looks."""
        return self.backbone.preprocessing.view(image, self.fit_mode)

    def describe(self, item: str) -> Item:
        """The item, with its text prototypes if detector and backbone use text."""
        if not (self.detector.uses_text and self.backbone.has_text):
            return Item(item)
        if self.learned is not None:
            return Item(item, learned_prototypes(self.backbone, self.learned, item))
        return Item(item, *both_prototypes(self.backbone, self.bank, item, self.cache))

    @property
    def identity(self) -> Identity:
        """Everything of it that a context depends on."""
        backbone, detector, adapter = self.backbone, self.detector, self.adapter
        prior, sha256 = self._text()
        return Identity(
            backbone=backbone.name,
            fingerprint=backbone.fingerprint,
            image_size=backbone.image_size,
            layers=tuple(backbone.layers),
            precision=backbone.precision,
            detector=detector.name,
            options=dict(detector.options),
            adapter=adapter.path if adapter else None,
            adapter_sha256=adapter.sha256 if adapter else None,
            fit=self.fit_mode,
            text_prior=prior,
            text_sha256=sha256,
        )

    def _text(self) -> tuple[str, str | None]:
        """Whether a text prior takes part, in words, and the hash of what it says."""
        if not self.backbone.has_text:
            return f"off: backbone {self.backbone.name!r} has no text tower", None
        if self.learned is not None:
            return "learned prompts of the adapter", self.learned.sha256
        if not self.detector.uses_text:
            return "off: not used by the detector", None
        return f"bank {self.bank.name!r}", self.bank.sha256


@dataclass(frozen=True)
class _Choice:
    """What to load, after the adapter's record and the defaults have filled the gaps."""

    detector: str
    backbone: str
    fit: Fit
    image_size: int | None
    layers: Sequence[str] | None
    precision: str | None

    def load(self, loader: Callable[..., Backbone], device: str, allow_network: bool) -> Backbone:
        return loader(
            self.backbone,
            image_size=self.image_size,
            layers=self.layers,
            precision=self.precision,
            device=device,
            allow_network=allow_network,
        )


def _chosen(
    folder: AdapterFolder | None,
    backbone: str | None,
    detector: str | None,
    fit: Fit | None,
    image_size: int | None,
    layers: Sequence[str] | None,
    precision: str | None,
) -> _Choice:
    trained = folder.config if folder else None
    fit = fit or (trained.fit if trained else "squash")
    if fit not in FITS:
        raise unknown(fit, FITS, "fit")
    detector = detector or (detector_for(trained.kind) if trained else "incontext")
    entry = detector_entry(detector)
    if trained:
        size = trained.image_size if image_size is None else image_size
        named, own = backbone or trained.backbone, layers or trained.layers
        wanted = trained.precision if precision in (None, "auto") else precision
        return _Choice(detector, named, fit, size, own, wanted)
    named = backbone or entry.backbone
    tapped = layers or entry.layers.get(named.split(":")[0])
    return _Choice(detector, named, fit, image_size, tapped, precision)


def _altered(backbone: Backbone, detector: Detector[Any], adapter: Adapter | None) -> Backbone:
    """The backbone as adapter and detector need it."""
    if adapter and adapter.lora:
        lora = adapter.lora
        backbone = lowrank(backbone, lora.shape.rank, lora.shape.alpha, lora.tensors)
    if isinstance(detector, SeesWindows):
        backbone = windowed(backbone, detector.windows)
    if adapter and isinstance(adapter.module, Registration):
        backbone = aligned(backbone, adapter.module.transformers)
    return backbone


def _refuse_outside(alpha: float, batch: int) -> None:
    if not 0 < alpha <= 0.5:
        percent = f" (a share: {alpha / 100:g} for {alpha:g} %)" if 1 <= alpha <= 50 else ""
        raise UsageError(
            f"alpha {alpha:g} is not in (0, 0.5]{percent}; 0.05 means 1 false alarm in 20"
        )
    if batch < 1:
        raise UsageError(f"batch {batch} is not a positive number of images")
