"""Image and text towers through open_clip: `openclip:MODEL/TAG`, `MODEL/FILE` or `FOLDER`.

MODEL is an architecture of open_clip, up to the first slash. TAG names published weights, looked
for in the local Hugging Face cache and fetched only where the network is allowed. FILE is a local
state dict. FOLDER (absolute, or starting with a dot) holds `open_clip_config.json` and weights.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import open_clip
import torch
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from inctrl.backbones.cnn import DEFAULT_STRIDES
from inctrl.backbones.openclip_context import (
    encode_prompts,
    prompts_of,
    text_tower,
    word_tokens,
)
from inctrl.backbones.openclip_source import Source, adapted, build, locate
from inctrl.backbones.openclip_windows import encode_windows, refuse_windowless
from inctrl.backbones.weights import (
    TEXT_BATCH,
    default_blocks,
    fingerprint,
    pick_layers,
    refuse_size,
    wanted,
)
from inctrl.errors import UsageError
from inctrl.files.tensors import load_exactly
from inctrl.maths.placement import Position
from inctrl.preprocessing import Preprocessing
from inctrl.types import Features

LAST, NORMALISED = "last", "ln_post"
"""Other names for the last layer: as it is, and after the tower's final norm."""


class OpenClipBackbone:
    """A frozen open_clip model: patches after chosen blocks, projected image and text tokens.

    Patches are the raw residual stream: class token dropped, no `ln_post`, no projection; only
    the layer `ln_post` is the last block's after it. The image token is that of `encode_image`,
    not normalised, from the same pass through the tower.
    """

    has_text = True
    precision = "float32"

    def __init__(
        self,
        source: Source,
        model: Any,
        preprocessing: Preprocessing,
        layers: Sequence[str] | None,
        device: torch.device,
        allow_network: bool,
    ) -> None:
        known, default = taps(model.visual, source.name)
        self.name = source.name
        self.preprocessing = preprocessing
        self.layers = pick_layers(layers, default, list(known), source.name)
        self._indices = [known[layer] for layer in self.layers]
        self._source = source
        self._device = device
        self._allow_network = allow_network
        self._tokenizer: Any = None
        self._model = model.eval().requires_grad_(False).to(device)
        self.fingerprint = fingerprint(
            model.state_dict(), preprocessing, self.layers, source.architecture
        )

    @property
    def image_size(self) -> int:
        return self.preprocessing.size

    @property
    def image_tower(self) -> nn.Module:
        tower: nn.Module = self._model.visual
        return tower

    @torch.inference_mode()
    def encode_images(self, pixels: Tensor) -> Features:
        return self.encode_traced(pixels)

    def encode_traced(self, pixels: Tensor) -> Features:
        visual, blocks = self._model.visual, sorted(set(self._indices))
        output = visual.forward_intermediates(
            pixels.to(self._device), indices=blocks, output_fmt="NCHW"
        )
        maps = [m.permute(0, 2, 3, 1).contiguous() for m in output["image_intermediates"]]
        found = dict(zip(blocks, maps, strict=True))
        patches = tuple(
            visual.ln_post(found[index]) if layer == NORMALISED else found[index]
            for layer, index in zip(self.layers, self._indices, strict=True)
        )
        return Features(patches, output["image_features"])

    @torch.inference_mode()
    def encode_windows(self, pixels: Tensor, sizes: Sequence[int]) -> tuple[Tensor, ...]:
        """UsageError for towers without a class token."""
        refuse_windowless(self._model.visual, self.name)
        return encode_windows(self._model.visual, pixels.to(self._device), sizes)

    @torch.inference_mode()
    def encode_text(self, sentences: Sequence[str]) -> Tensor:
        tokens = self._tokenise(list(sentences)).to(self._device)
        return torch.cat(
            [self._model.encode_text(t, normalize=False) for t in tokens.split(TEXT_BATCH)]
        )

    def embed_words(self, words: str) -> Tensor:
        embedding = text_tower(self._model, self.name).token_embedding.weight
        return embedding[word_tokens(self._token_lists, words)]  # type: ignore[no-any-return]

    def encode_with_context(
        self, context: Tensor, names: Sequence[str], position: Position
    ) -> Tensor:
        tower = text_tower(self._model, self.name)
        limit = tower.context_length
        prompts = prompts_of(self._token_lists, names, context.shape[-2], limit)
        return encode_prompts(tower, prompts, context, position)

    def _token_lists(self, sentences: list[str]) -> list[list[int]]:
        return self._tokenise(sentences).tolist()

    def _tokenise(self, sentences: list[str]) -> Tensor:
        # Made at the first use: some tokenizers come from the hub, and images do without.
        if self._tokenizer is None:
            own = self._source.config["text_cfg"].get("hf_tokenizer_name")
            safe = {"trust_remote_code": False} if own else {}
            what = f"the tokenizer {own!r}" if own else "the tokenizer"
            with wanted(self.name, what, self._allow_network, self._source.folder):
                self._tokenizer = open_clip.get_tokenizer(self._source.identifier, **safe)
        tokens: Tensor = self._tokenizer(sentences)
        return tokens


def load(
    spec: str,
    *,
    image_size: int | None,
    layers: Sequence[str] | None,
    device: torch.device,
    allow_network: bool,
) -> OpenClipBackbone:
    """`spec` is what follows `openclip:`."""
    source = locate(spec, image_size, allow_network)
    with wanted(source.name, "the text tower's configuration", allow_network, source.folder):
        model = build(source)
    state = source.read()
    load_exactly(model, adapted(state, model, image_size is not None), str(source.weights))
    if image_size:
        _resize(model.visual, image_size, source.name)
    backbone = OpenClipBackbone(
        source,
        model,
        preprocessing_of(source, _side(model.visual.image_size, source.name)),
        layers,
        device,
        allow_network,
    )
    if image_size:
        _try_size(backbone)
    return backbone


def preprocessing_of(source: Source, size: int) -> Preprocessing:
    """open_clip's own evaluation transform, of which `fit="crop"` is the `shortest` mode."""
    config = source.preprocess
    mean, std = config["mean"], config["std"]
    return Preprocessing(
        size=size,
        mean=tuple(mean) if isinstance(mean, Sequence) else (mean,) * 3,
        std=tuple(std) if isinstance(std, Sequence) else (std,) * 3,
        # open_clip knows these two; its "random" means bicubic outside training.
        resample="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
    )


def taps(visual: Any, name: str) -> tuple[Mapping[str, int], Sequence[str]]:
    """Layer name -> index for `forward_intermediates`, and the layers tapped by default.

    Blocks of a transformer are counted from 1; stages of a convolutional timm tower are named
    by their stride; `last` is the last of either. UsageError for towers that do not give
    intermediate features.
    """
    others: dict[str, int] = {}
    if isinstance(visual, VisionTransformer):
        depth = len(visual.transformer.resblocks)
        others = {} if visual.attn_pool else {NORMALISED: depth - 1}
    elif isinstance(visual, TimmModel) and hasattr(visual.trunk, "forward_intermediates"):
        strides = [info["reduction"] for info in visual.trunk.feature_info]
        if len(set(strides)) == len(strides):
            stages = {f"stride{stride}": i for i, stride in enumerate(strides)}
            return stages | {LAST: len(strides) - 1}, DEFAULT_STRIDES
        depth = len(strides)
    else:
        kind = type(visual).__name__
        raise UsageError(
            f"{name!r} has a {kind} image tower, whose patches cannot be tapped; "
            "use a ViT model, or the cnn: backbones for convolutional towers"
        )
    blocks = {f"block{i + 1}": i for i in range(depth)}
    return blocks | {LAST: depth - 1} | others, default_blocks(depth)


def _side(size: int | Sequence[int], name: str) -> int:
    sides = set(size) if isinstance(size, Sequence) else {size}
    if len(sides) > 1:
        raise UsageError(f"{name!r} sees {tuple(sides)} pixels; only square towers are supported")
    return int(sides.pop())


def _resize(visual: Any, size: int, name: str) -> None:
    """Set a tower to another image size; UsageError where that would cut patches."""
    embedding = getattr(getattr(visual, "trunk", visual), "patch_embed", visual)
    patch = getattr(embedding, "patch_size", (1, 1))[0]
    refuse_size(size, patch, name)
    if isinstance(visual, TimmModel):  # the others are built at the size
        visual.set_input_size(size)


def _try_size(backbone: OpenClipBackbone) -> None:
    """UsageError unless the tower takes images of its size: a trial tells for every kind."""
    size = backbone.image_size
    try:
        backbone.encode_images(torch.zeros(1, 3, size, size))
    except (AssertionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UsageError(
            f"image size {size} does not fit {backbone.name!r} ({reason}); "
            "leave it out for the size it was trained at"
        ) from None
