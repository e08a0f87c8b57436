"""The image models of the anomalib library (2.7, Apache-2.0), trained on the k normals alone.

`anomalib:NAME` wants the backbone `pixels` and the extra `inctrl[anomalib]`, in an environment of
its own. The library's own modules, optimisers and training steps are run; scores and maps are its
raw ones, before thresholds and min-max normalisation. Queries are scored one at a time, because
some of its maps are scaled by the highest value of the batch (CFlow).

Left out: WinCLIP and VLM-AD (sentences), AnomalyVFM (needs no normals), CFM (needs point clouds).
"""

import hashlib
import importlib
import io
import logging
import math
import pkgutil
import random
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from inctrl.backbones.weights import wanted
from inctrl.detectors.options import parse_options
from inctrl.errors import InvalidFile, MissingModel, UsageError
from inctrl.registry import lookup
from inctrl.tensorfiles import load_exactly, read_state
from inctrl.types import Features, Item, Options, Prediction


@dataclass(frozen=True)
class AnomalibOptions:
    """What is not said is the library's default.

    weights    of the tower: a local state dict, "hub" (may be fetched) or "random" (only to try)
    backbone   another tower, by its name in timm; with `layers`, where the model lets one choose
    layers     names separated by commas
    images     folder of other images: textures (draem, glass) or ImageNette (efficient_ad)
    steps      of training; 0: the table's. Models that are fitted in one pass have none
    batch      images a step
    """

    weights: str = ""
    backbone: str = ""
    layers: str = ""
    images: str = ""
    steps: int = 0
    batch: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise UsageError(f"option steps={self.steps} is negative")
        if self.batch < 2:
            raise UsageError(f"option batch={self.batch} is too few; give 2 or more")


@dataclass(frozen=True)
class Model:
    """A model of the library, and what it wants.

    path         module and class under `anomalib.models.image`
    tower        whose weights it stands on; empty: none
    takes        arguments of the class that the options `backbone` and `layers` set
    settings     further arguments, from the side of the images and the number of normals
    steps        of training by default; 0: fitted in one pass
    least        normals it can be fitted to
    seen         images a pass must hold; fewer normals are seen more than once
    batch        images a step where the model demands it; 0: the option
    multiple     the side is rounded down to a multiple of it
    smallest     side that it works with
    localises    whether it gives a map
    shift        added to scores and maps that begin at -shift, as limits want them from 0 on
    loads        part of the model that the weights file is for, where it is no tower
    images_as    argument of the class that the option `images` sets
    """

    path: str
    tower: str = ""
    takes: tuple[str, ...] = ()
    settings: Callable[[int, int], dict[str, Any]] = lambda _side, _count: {}
    steps: int = 0
    least: int = 1
    seen: int = 1
    batch: int = 0
    multiple: int = 32
    smallest: int = 32
    localises: bool = True
    shift: float = 0.0
    loads: str = ""
    images_as: str = ""


CNN, ENCODER = ("backbone", "layers"), ("encoder_name",)
RESNET18, RESNET50, WIDE = "resnet18", "resnet50", "wide_resnet50_2"
DINO_S, DINO_B = "vit_small_patch14_dinov2", "vit_base_patch14_dinov2"
DINO_REG = "vit_base_patch14_reg4_dinov2"

MODELS: Mapping[str, Model] = {
    "anomaly_dino": Model("anomaly_dino:AnomalyDINO", DINO_S, ENCODER, multiple=14),
    "cfa": Model("cfa:Cfa", WIDE, steps=200),
    "cflow": Model(
        "cflow:Cflow",
        WIDE,
        CNN,
        lambda side, _: {"fiber_batch_size": min(64, (side // 32) ** 2)},
        steps=200,
    ),
    "csflow": Model("csflow:Csflow", "efficientnet_b5", steps=200, multiple=128),
    "dfkde": Model(
        "dfkde:Dfkde",
        RESNET18,
        CNN,
        lambda _, count: {"n_pca_components": min(16, count - 1)},
        least=2,
        localises=False,
    ),
    "dfm": Model("dfm:Dfm", RESNET50, ("backbone", "layer"), least=2, multiple=64),
    "dinomaly": Model("dinomaly:Dinomaly", DINO_REG, ENCODER, steps=200, multiple=14),
    "draem": Model("draem:Draem", steps=200, images_as="dtd_dir"),
    "dsr": Model("dsr:Dsr", "dsr_vq_model", steps=200, loads="discrete_latent_model"),
    "efficient_ad": Model(
        "efficient_ad:EfficientAd",
        "efficientad_teacher_small",
        steps=1000,
        batch=1,
        smallest=256,
        loads="teacher",
        images_as="imagenet_dir",
    ),
    "fastflow": Model("fastflow:Fastflow", RESNET18, ("backbone",), steps=200, shift=1),
    "foundad": Model(
        "foundad:FoundAD",
        DINO_B,
        settings=lambda side, _: {"image_size": side},
        steps=200,
        multiple=14,
    ),
    "fre": Model(
        "fre:Fre",
        RESNET50,
        settings=lambda side, _: {"input_dim": 1024 * (side // 32) ** 2},
        steps=200,
    ),
    "ganomaly": Model("ganomaly:Ganomaly", steps=200, localises=False),
    "general_ad": Model(
        "general_ad:GeneralAD", "vit_large_patch14_dinov2", CNN, steps=200, multiple=14
    ),
    "glass": Model(
        "glass:Glass",
        WIDE,
        settings=lambda side, _: {"input_shape": (side, side)},
        steps=200,
        images_as="anomaly_source_path",
    ),
    "inp_former": Model("inp_former:InpFormer", DINO_REG, ENCODER, steps=200, multiple=14),
    "l2bt": Model("l2bt:L2BT", DINO_REG, steps=200, multiple=14),
    "mh_patchcore": Model("mh_patchcore:MHPatchcore", WIDE, CNN),
    "padim": Model("padim:Padim", RESNET18, CNN, seen=2),
    "patchcore": Model("patchcore:Patchcore", WIDE, CNN),
    "patchflow": Model(
        "patchflow:Patchflow", "tf_efficientnet_b5", ("backbone",), steps=200, shift=1
    ),
    "rad": Model("rad:Rad", "vit_base_patch16_dinov3", CNN, multiple=16),
    "reverse_distillation": Model("reverse_distillation:ReverseDistillation", WIDE, CNN, steps=200),
    "stfpm": Model("stfpm:Stfpm", RESNET18, CNN, steps=200),
    "super_add": Model(
        "super_add:SuperADD",
        "vit_huge_plus_patch16_dinov3",
        CNN,
        lambda side, _: {"patch_size": min(side, 448)},
        multiple=16,
    ),
    "supersimplenet": Model("supersimplenet:Supersimplenet", WIDE, CNN, steps=200, smallest=128),
    "uflow": Model(
        "uflow:Uflow",
        WIDE,
        ("backbone",),
        # The library's default stands on two towers, and one file of weights holds one.
        lambda _side, _count: {"backbone": WIDE},
        steps=200,
    ),
    "uninet": Model("uninet:UniNet", WIDE, steps=200),
}
"""Steps are the library's training cut down to a few images; they are not tuned."""

TOWERS = (
    "timm:create_model",
    "torchvision.models:wide_resnet50_2",
    "anomalib.models.image.csflow.torch_model:efficientnet_b5",
)
"""What the library makes towers with; it offers no argument for a local file."""
_ONE_AT_A_TIME = threading.RLock()


@dataclass(frozen=True, eq=False)
class AnomalibContext:
    """A fitted module of the library in eval mode; `prepared` is b 3 S S -> what it wants.

    side, count   of the normals it was fitted to
    """

    module: Any
    prepared: Callable[[Tensor], Tensor]
    side: int
    count: int


def build(name: str, options: Mapping[str, str]) -> "Anomalib":
    """`name` is what follows `anomalib:`; MissingModel where library or weights are absent."""
    model = lookup(MODELS, name, "anomalib model")
    parsed = parse_options(AnomalibOptions, options, f"anomalib:{name}")
    return Anomalib(name, model, parsed, _library().__version__)


class Anomalib:
    """One model of the library; every `prepare` trains it anew."""

    uses_text = False
    needs_shots = True
    bounded = False

    def __init__(self, name: str, model: Model, options: AnomalibOptions, version: str) -> None:
        self.name = f"anomalib:{name}"
        self.localises = model.localises
        self._model = model
        self._options = options
        self._version = version
        self._arguments = _chosen(self.name, model, options)
        self._weights = _weights(self.name, model, options)
        self._source = options.weights
        if isinstance(self._weights, dict):
            self._source = (
                f"sha256:{hashlib.sha256(Path(options.weights).read_bytes()).hexdigest()}"
            )

    @property
    def options(self) -> Options:
        """A file of weights is recorded by what it holds, not by where it lies."""
        found = {"weights": self._source, "steps": self._steps, "anomalib": self._version}
        return asdict(self._options) | found

    def prepare(self, references: Features, item: Item) -> AnomalibContext:  # noqa: ARG002
        pixels = _pixels(references, self.name)
        if len(pixels) < self._model.least:
            raise UsageError(
                f"{self.name} cannot be fitted to {len(pixels)} normal images but to "
                f"{self._model.least}; give {self._model.least + 1} or more, as each is left out "
                "in turn to set the limit"
            )
        with _contained(self._options.seed), torch.enable_grad():
            context = self._untrained(pixels.shape[-1], len(pixels))
            _train(context.module, context.prepared(pixels), self._model, self._options)
        for buffer in context.module.model.buffers():
            # As read back from a file: another order in memory would round differently.
            buffer.data = buffer.data.contiguous()
        context.module.eval()
        return context

    @torch.no_grad()
    def score(self, queries: Features, context: AnomalibContext) -> Prediction:
        scores, maps = [], []
        for pixels in _pixels(queries, self.name).split(1):
            with _contained(self._options.seed):
                seen = context.module.model(context.prepared(pixels))
            score = seen.pred_score.reshape(1).float() + self._model.shift
            scores.append(score)
            maps.append(self._map(seen.anomaly_map, score, pixels.shape[-1]))
        return Prediction(score=torch.cat(scores), anomaly_map=torch.cat(maps))

    def pack(self, context: AnomalibContext) -> dict[str, Tensor]:
        state = {n: t.detach().clone() for n, t in context.module.model.state_dict().items()}
        return state | {"side": torch.tensor(context.side), "count": torch.tensor(context.count)}

    def unpack(self, tensors: dict[str, Tensor]) -> AnomalibContext:
        state = dict(tensors)
        side, count = int(state.pop("side")), int(state.pop("count"))
        with _contained(self._options.seed):
            context = self._untrained(side, count, fitted=True)
        context.module.model.load_state_dict(state)
        context.module.eval()
        return context

    @property
    def _steps(self) -> int:
        return self._options.steps or self._model.steps if self._model.steps else 0

    def _map(self, seen: Tensor | None, score: Tensor, side: int) -> Tensor:
        """1 h w; the score itself where the model does not localise."""
        if not self._model.localises or seen is None:
            return score.reshape(1, 1, 1)
        # Some sides were rounded down: cells must lie where the backbone's view has them.
        square = seen.reshape(1, 1, *seen.shape[-2:]).float() + self._model.shift
        if square.shape[-1] != side:
            square = F.interpolate(square, (side, side), mode="bilinear", align_corners=False)
        return square[0]

    def _untrained(self, side: int, count: int, *, fitted: bool = False) -> AnomalibContext:
        """`fitted`: all weights will be replaced, so none of the tower are wanted."""
        model, rounded = self._model, side // self._model.multiple * self._model.multiple
        least = max(model.smallest, model.multiple)
        if rounded < least:
            raise UsageError(
                f"{self.name} needs images of {least} pixels or more, not {side}; "
                f"give --image-size {max(least, 256)}"
            )
        kind = _class(model.path)
        transform = _transform(kind, rounded)
        preprocessor = _attribute("anomalib.pre_processing:PreProcessor")(transform=transform)
        weights = "random" if fitted else self._weights
        with tempfile.TemporaryDirectory() as nothing, _towers(weights, self._options.weights):
            given = model.settings(rounded, count) | self._arguments
            if model.images_as == "dtd_dir" and not self._options.images:
                given["dtd_dir"] = nothing  # an empty folder: the library then mixes in noise
            parts = dict.fromkeys(("post_processor", "evaluator", "visualizer"), False)
            hub = wanted(self.name, f"the weights {model.tower!r}", allow_network=True)
            with hub if weights == "hub" else nullcontext():
                try:
                    module = kind(**given, **parts, pre_processor=preprocessor)
                except ValueError as error:
                    raise UsageError(f"{self.name} refuses its options: {error}") from None
        # Images are transformed once, here; as a hook the library would do it at every step.
        module.pre_processor = None
        if model.loads and weights != "hub":
            _load_part(module, model.loads, weights, self._options.weights)
        return AnomalibContext(module, transform, side, count)


def _library() -> ModuleType:
    """All of it is read here: some modules draw random numbers when they are read."""
    try:
        with _quiet():
            for part in ("anomalib.models", "lightning.pytorch"):
                importlib.import_module(part)
            return importlib.import_module("anomalib")
    except ImportError as error:
        raise MissingModel(
            f"the anomalib library is not at hand ({error}); install 'inctrl[anomalib]' in an "
            "environment of its own, as `make test-anomalib` does (README, Install)"
        ) from None


def _attribute(path: str) -> Any:
    with _quiet():
        return pkgutil.resolve_name(path)


def _class(path: str) -> Any:
    module, name = path.split(":")
    return _attribute(f"anomalib.models.image.{module}:{name}")


def _chosen(name: str, model: Model, options: AnomalibOptions) -> dict[str, Any]:
    """Arguments of the class that the options set; UsageError for those it does not take."""
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
    if options.images and not Path(options.images).is_dir():
        raise MissingModel(f"no folder {options.images!r} (option images of {name})")
    if options.images:
        arguments[model.images_as] = options.images
    if model.images_as == "imagenet_dir" and not options.images:
        raise MissingModel(
            f"{name} wants ImageNette, or other images in folders by class: -o images=FOLDER"
        )
    return arguments


def _weights(name: str, model: Model, options: AnomalibOptions) -> dict[str, Tensor] | str:
    """The state dict of the tower, "hub" or "random"; MissingModel where none is named."""
    if not model.tower and options.weights not in ("", "random"):
        raise UsageError(f"{name} stands on no tower; leave weights={options.weights!r} out")
    if not model.tower or options.weights in ("hub", "random"):
        return options.weights or "random"
    if not options.weights:
        raise MissingModel(
            f"{name} wants the weights of {options.backbone or model.tower!r}: give a local state "
            "dict with -o weights=FILE, allow fetching them with -o weights=hub, or try it with "
            "-o weights=random"
        )
    return read_state(Path(options.weights))


def _pixels(features: Features, name: str) -> Tensor:
    """patches b S S 3 of the one layer -> b 3 S S."""
    shapes = [tuple(layer.shape) for layer in features.patches]
    if len(shapes) != 1 or shapes[0][-1] != 3 or shapes[0][1] != shapes[0][2]:
        raise UsageError(f"{name} looks at the images themselves; use --backbone pixels")
    return features.patches[0].permute(0, 3, 1, 2).contiguous()


def _transform(kind: Any, side: int) -> Callable[[Tensor], Tensor]:
    """To the rounded side, then the model's own normalisation; its crops would lose the border."""
    v2 = importlib.import_module("torchvision.transforms.v2")
    default = kind.configure_pre_processor().transform
    parts = [p for p in getattr(default, "transforms", [default]) if isinstance(p, v2.Normalize)]
    transform: Callable[[Tensor], Tensor] = v2.Compose(
        [v2.Resize((side, side), antialias=True), *parts]
    )
    return transform


def _train(module: Any, images: Tensor, model: Model, options: AnomalibOptions) -> None:
    """The library's own training, nothing written, with k images b 3 S S already transformed."""
    lightning = importlib.import_module("lightning.pytorch")
    count = len(images)
    size = model.batch or min(max(count, 2), options.batch)
    # Steps of one image alone would end in batch normalisations without a variance.
    total = math.ceil(count / size) * size if model.steps else max(count, model.seen)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(images[torch.arange(total) % count]),
        batch_size=size,
        shuffle=bool(model.steps),
        collate_fn=_batch,
    )
    data = lightning.LightningDataModule()
    data.train_dataloader = data.val_dataloader = lambda: loader
    data.train_batch_size = size
    given = dict(module.trainer_arguments)
    if model.steps:
        given["max_epochs"] = math.ceil((options.steps or model.steps) / len(loader))
        given["check_val_every_n_epoch"] = given["max_epochs"]
    trainer = lightning.Trainer(
        **{"num_sanity_val_steps": 0, "devices": 1}
        | given
        # EfficientAD sets the scales of its maps where others would be validated.
        | {"limit_val_batches": 1.0 if model.loads == "teacher" else 0},
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=data)
    # The trainer would keep the optimiser's moments and the images alive in the context.
    module.trainer = None


def _batch(rows: list[tuple[Tensor]]) -> Any:
    """Normals as the library's batch: labels and masks are empty."""
    images = torch.stack([row[0] for row in rows])
    return _attribute("anomalib.data:ImageBatch")(
        image=images,
        gt_label=torch.zeros(len(images), dtype=torch.bool),
        gt_mask=torch.zeros(len(images), *images.shape[-2:], dtype=torch.bool),
    )


@contextmanager
def _towers(weights: dict[str, Tensor] | str, source: str) -> Iterator[None]:
    """Within, towers that the library makes hold the wanted weights instead of fetched ones."""
    makers = {path: _attribute(path) for path in TOWERS}
    try:
        if weights != "hub":
            for path, maker in makers.items():
                ours = _timm_tower if path.startswith("timm") else _torchvision_tower
                _replace(path, partial(ours, maker, weights, source))
        yield
    finally:
        for path, maker in makers.items():
            _replace(path, maker)


def _replace(path: str, value: Any) -> None:
    module, name = path.split(":")
    setattr(importlib.import_module(module), name, value)


def _timm_tower(
    make: Any, weights: Any, source: str, name: str, pretrained: bool = False, **others: Any
) -> Any:
    if not pretrained or weights == "random":
        return make(name, pretrained=False, **others)
    try:
        return make(
            name, pretrained=True, **others, pretrained_cfg_overlay={"state_dict": dict(weights)}
        )
    except (RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidFile(f"{source!r} does not fit timm's {name!r} ({reason})") from None


def _torchvision_tower(make: Any, given: Any, source: str, *, weights: Any = None) -> Any:
    tower = make(weights=None)
    if weights is not None and given != "random":
        load_exactly(tower, given, source)
    return tower


def _load_part(module: Any, part: str, weights: Any, source: str) -> None:
    """Weights that the library would fetch when training starts."""
    if weights != "random":
        load_exactly(getattr(module.model, part), weights, source)
    module.prepare_pretrained_model = lambda: None
    module.model.load_pretrained_discrete_model_weights = lambda *_: None


@contextmanager
def _contained(seed: int) -> Iterator[None]:
    """Random numbers follow the seed within and are as before after; the library is quiet.

    One thread at a time: these numbers, and what makes the towers, belong to the whole process.
    """
    with _ONE_AT_A_TIME, _quiet(), torch.random.fork_rng(devices=[]):
        states = random.getstate(), np.random.get_state()
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


@contextmanager
def _quiet() -> Iterator[None]:
    """The library's advice and progress bars are for those who call it directly."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
