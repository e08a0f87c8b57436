"""WinCLIP and WinCLIP+ (Jeong et al., CVPR 2023): sentences, windows and, with shots, residuals.

    a(e)        softmax over (normal, anomalous) of cosine / T, the anomalous part
    zero-shot   harmonic mean of a(image) and, per scale, of a(window) over the covering windows
    M           mean, over scales and patch tokens, of half the cosine distance to the nearest
                reference; of windows their harmonic mean over the covering windows again
    score       a(image); with shots (a(image) + max M) / 2

The paper publishes no code; of the public versions these choices are taken:

- prototypes are means of normalised embeddings, T is 0.01 (mala-lab, for the InCTRL paper);
  `-o prototypes=raw -o temperature=0.07` is that of zqhang and anomalib
- patch tokens are the last layer's before its final norm; `--layers ln_post` is anomalib's
- the map is the mean of both (anomalib); `-o fusion=sum` is zqhang's, of the same ranking
- a residual that rounding makes negative is 0, and so is all that its window covers: the public
  versions divide by it and patch what comes of that
- scales that are larger than the grid are left out, and any number of shots will do, none too
- on a grid of windows coarser than that of the patches, maps are brought to the finer one
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from torch import Tensor

from inctrl.detectors.options import refuse_outside, refuse_unlisted
from inctrl.errors import UsageError
from inctrl.files.tensors import pack_layers, unpack_layers
from inctrl.maths.grids import mean_map, resize_map
from inctrl.maths.neighbours import nearest_patch, unit
from inctrl.maths.residuals import patch_residuals
from inctrl.maths.similarity import TEMPERATURE, anomalous_probability
from inctrl.maths.windows import harmonic_map, harmonic_mean, window_starts
from inctrl.types import Features, Item, Match, Options, Prediction

LEAST = 1e-12
"""Lower probabilities count as this: at T = 0.01 they can round to 0, which has no inverse."""


@dataclass(frozen=True)
class WinCLIPOptions:
    """
    temperature   of the softmax between normal and anomalous sentences
    prototypes    means of `normalised` or of `raw` embeddings
    scales        sides of the windows, in tokens
    stride        every which window counts; the last of a row is kept
    fusion        of the zero-shot map and that of the shots: `mean` or `sum`
    """

    temperature: float = TEMPERATURE
    prototypes: str = "normalised"
    scales: str = "2,3"
    stride: int = 1
    fusion: str = "mean"

    def __post_init__(self) -> None:
        refuse_outside("temperature", self.temperature, 1e-4, 100)
        refuse_unlisted("prototypes", self.prototypes, ("normalised", "raw"))
        refuse_unlisted("fusion", self.fusion, ("mean", "sum"))
        if not self.sizes or min(self.sizes) < 1:
            raise UsageError(f"option scales={self.scales!r} is not a list of sizes such as 2,3")
        refuse_outside("stride", self.stride, 1, min(self.sizes))

    @property
    def sizes(self) -> tuple[int, ...]:
        """The scales, smallest first; empty where they are none."""
        parts = [part.strip() for part in self.scales.split(",")]
        whole = all(part.isdecimal() for part in parts)
        return tuple(sorted({int(part) for part in parts})) if whole else ()


@dataclass(frozen=True, eq=False)
class WinCLIPContext:
    """All of unit length.

    prototypes   2 e, normal first
    patches      of the shots, k h w d of the last layer alone; none without shots
    windows      of the shots, one k y x e for each scale that the grid is large enough for
    """

    prototypes: Tensor
    patches: tuple[Tensor, ...] = ()
    windows: tuple[Tensor, ...] = ()


class WinCLIP:
    name = "winclip"
    uses_text = True
    needs_shots = False
    localises = True
    any_place = True
    map_scale = (0.5, 1.0)
    meaning = (
        "Score and map say how far the image, and the windows that cover a place, agree with "
        "sentences about a damaged item rather than a flawless one (0.5: with both alike)."
    )

    def __init__(self, options: WinCLIPOptions | None = None) -> None:
        self._options = options or WinCLIPOptions()

    @property
    def options(self) -> Options:
        return asdict(self._options)

    @property
    def bounded(self) -> bool:
        """A sum of two maps may exceed 1."""
        return self._options.fusion == "mean"

    @property
    def windows(self) -> tuple[int, ...]:
        return self._options.sizes

    def prepare(self, references: Features, item: Item) -> WinCLIPContext:
        raw = self._options.prototypes == "raw"
        prototypes = item.raw_prototypes if raw else item.prototypes
        if prototypes is None:
            raise UsageError(
                "detector 'winclip' compares images with sentences, but the backbone has no text "
                "tower; use one with text, or detector 'incontext', which needs normal images"
            )
        if not len(references):
            return WinCLIPContext(unit(prototypes))
        windows = tuple(map(unit, self._windows_of(references)))
        return WinCLIPContext(unit(prototypes), (unit(references.patches[-1]),), windows)

    def score(self, queries: Features, context: WinCLIPContext) -> Prediction:
        image = self._said(queries.image, context)
        zero_shot = self._zero_shot_map(queries, image, context)
        if not context.patches:
            return Prediction(score=image, anomaly_map=zero_shot)
        seen = self._association_map(queries, context)
        score = (image + seen.flatten(1).amax(dim=1)) / 2
        both = resize_map(zero_shot, (seen.shape[1], seen.shape[2])) + seen
        return Prediction(score, both if self._options.fusion == "sum" else both / 2)

    def nearest(self, query: Features, context: WinCLIPContext, cell: tuple[int, int]) -> Match:
        """By the patch tokens, whose grid may be coarser than the map's."""
        patches = query.patches[-1]
        rows, columns = patches.shape[1:3]
        height, width = max(self._grid(query), (rows, columns), key=math.prod)
        place = (cell[0] * rows // height, cell[1] * columns // width)
        found = nearest_patch(unit(patches[0, place[0], place[1]]), context.patches[0])
        return Match(*found, query=place, grid=(rows, columns))

    def pack(self, context: WinCLIPContext) -> dict[str, Tensor]:
        windows = pack_layers(context.windows, "windows", prototypes=context.prototypes)
        return windows | pack_layers(context.patches)

    def unpack(self, tensors: dict[str, Tensor]) -> WinCLIPContext:
        windows = unpack_layers(tensors, "windows")
        return WinCLIPContext(tensors["prototypes"], unpack_layers(tensors), windows)

    def _zero_shot_map(self, queries: Features, image: Tensor, context: WinCLIPContext) -> Tensor:
        """image b, their own scores -> b h w."""
        said = [self._said(windows, context) for windows in self._windows_of(queries)]
        whole = image[:, None, None].expand(-1, *self._grid(queries))
        return harmonic_mean([whole, *self._on_cells(said, queries)])

    def _association_map(self, queries: Features, context: WinCLIPContext) -> Tensor:
        """M, b h w on the finest grid: how far windows and patches are from those of the shots."""
        pairs = zip(self._windows_of(queries), context.windows, strict=True)
        maps = self._on_cells([_residuals(mine, shots) for mine, shots in pairs], queries)
        maps.append(_residuals(queries.patches[-1], context.patches[0]))
        return mean_map(sorted(maps, key=Tensor.numel, reverse=True))

    def _said(self, tokens: Tensor, context: WinCLIPContext) -> Tensor:
        """... e -> ..., in (0, 1]; in double precision, as T magnifies what is rounded."""
        prototypes, temperature = context.prototypes.double(), self._options.temperature
        said = anomalous_probability(tokens.double(), prototypes, temperature)
        return said.clamp_min(LEAST).to(tokens.dtype)

    def _on_cells(self, scores: Sequence[Tensor], features: Features) -> list[Tensor]:
        """Scores of the windows b y x, one a scale -> b h w, one a scale."""
        grid, stride = self._grid(features), self._options.stride
        scales = zip(scores, self.windows, strict=False)
        return [harmonic_map(score, grid, size, stride) for score, size in scales]

    def _windows_of(self, features: Features) -> list[Tensor]:
        """Those at the stride. The scales that a grid is too small for are the last ones."""
        kept = []
        for windows, size in zip(features.windows, self.windows, strict=False):
            rows, columns = (
                window_starts(count + size - 1, size, self._options.stride)
                for count in windows.shape[1:3]
            )
            kept.append(windows[:, rows][:, :, columns])
        return kept

    def _grid(self, features: Features) -> tuple[int, int]:
        """Rows and columns of the tokens that the windows count; of the patches without windows."""
        more = self.windows[0] - 1 if features.windows else 0
        seen = features.windows[0] if features.windows else features.patches[-1]
        return seen.shape[1] + more, seen.shape[2] + more


def _residuals(query: Tensor, shots: Tensor) -> Tensor:
    """query b h w d, shots k h w d of unit length -> b h w."""
    residuals = patch_residuals(unit(query).flatten(1, 2), shots.flatten(0, 2))
    return residuals.reshape(query.shape[:3])
