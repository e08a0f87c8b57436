"""What a backbone and a detector must offer. Nothing inherits from these."""

from collections.abc import Sequence
from typing import Protocol, TypeVar, runtime_checkable

from torch import Tensor, nn

from inctrl.images import Image
from inctrl.maths.placement import Position
from inctrl.preprocessing import Preprocessing
from inctrl.types import Features, Item, Match, Options, Prediction


class Backbone(Protocol):
    """A frozen image tower, with a text tower where `has_text`.

    fingerprint   sha256 over weights, preprocessing and layers: equal prints, equal features
    layers        names of the layers whose patches are given, finest grid first
    precision     `float32`, or `bfloat16` where a transformer multiplies in that
    """

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def image_size(self) -> int: ...
    @property
    def layers(self) -> tuple[str, ...]: ...
    @property
    def has_text(self) -> bool: ...
    @property
    def precision(self) -> str: ...

    @property
    def preprocessing(self) -> Preprocessing:
        """From images of any size to the pixels that `encode_images` takes."""
        ...

    def encode_images(self, pixels: Tensor) -> Features:
        """pixels b 3 S S of `preprocessing` -> features, on the backbone's device."""
        ...

    def encode_text(self, sentences: Sequence[str]) -> Tensor:
        """n sentences -> n e, not normalised; UsageError where `has_text` is false."""
        ...


@runtime_checkable
class Tunable(Backbone, Protocol):
    """A backbone whose image tower may be altered, and that gradients pass."""

    @property
    def image_tower(self) -> nn.Module:
        """What may be altered, in place; the backbone holds nothing that was computed from it."""
        ...

    def encode_traced(self, pixels: Tensor) -> Features:
        """`encode_images` with gradients: the same but for rounding, in evaluation mode."""
        ...


C = TypeVar("C")
C_contra = TypeVar("C_contra", contravariant=True)


class Detector(Protocol[C]):
    """`prepare` turns k normal references into a context; `score` compares queries to it.

    Detectors hold weights and options, contexts hold a product. A score depends on the query
    and the context alone, never on the other queries of a call. `prepare` is given no references
    (features of length 0, without layers) only where `needs_shots` is false. A detector that does
    not localise judges the image as a whole: its map has one cell, the score. Scores and maps of
    a bounded one lie in [0, 1], as probabilities do.
    """

    @property
    def name(self) -> str: ...
    @property
    def options(self) -> Options: ...
    @property
    def uses_text(self) -> bool: ...
    @property
    def needs_shots(self) -> bool: ...
    @property
    def localises(self) -> bool: ...
    @property
    def bounded(self) -> bool: ...

    def prepare(self, references: Features, item: Item) -> C: ...
    def score(self, queries: Features, context: C) -> Prediction: ...

    def pack(self, context: C) -> dict[str, Tensor]:
        """The context as named tensors, to be saved."""
        ...

    def unpack(self, tensors: dict[str, Tensor]) -> C:
        """The inverse of `pack`."""
        ...


@runtime_checkable
class Explains(Protocol[C_contra]):
    """A detector that can name the nearest normal patch behind a cell of its map."""

    def nearest(self, query: Features, context: C_contra, cell: tuple[int, int]) -> Match:
        """query holds one image; cell is (row, column) of the detector's map."""
        ...


@runtime_checkable
class WeighsText(Protocol[C_contra]):
    """A detector that decides by the shots how far its text prior may speak."""

    def text_weight(self, context: C_contra) -> float:
        """0 where the prior is off; else the most that it moves a score, as a share of it."""
        ...


@runtime_checkable
class WorksAlone(Protocol):
    """A detector that needs no shots: how to show and to read its answers without them."""

    @property
    def map_scale(self) -> tuple[float, float]:
        """Map values where the colours begin and end."""
        ...

    @property
    def meaning(self) -> str:
        """What score and map say, in a sentence or two."""
        ...


@runtime_checkable
class SeesWindows(Protocol):
    """A detector that needs the windows of its sizes, in cells of the backbone's token grid."""

    @property
    def windows(self) -> tuple[int, ...]: ...


@runtime_checkable
class GivesWindows(Protocol):
    """A backbone that can look through windows."""

    def encode_windows(self, pixels: Tensor, sizes: Sequence[int]) -> tuple[Tensor, ...]:
        """pixels b 3 S S -> one b y x e a size that the grid is large enough for, not normalised.

        Window (i, j) covers the cells i..i+size-1, j..j+size-1 of the grid.
        """
        ...


@runtime_checkable
class ComparesVersions(Protocol):
    """A detector whose shots are to be seen in altered versions too (Features.versions)."""

    def versions(self, image: Image) -> list[Image]:
        """The versions of a shot, the shot itself not among them."""
        ...


@runtime_checkable
class AnyPlace(Protocol):
    """A detector that may compare patches wherever they lie, not only equal places.

    Only then may shots be turned, and images be seen in tiles.
    """

    @property
    def any_place(self) -> bool: ...


@runtime_checkable
class TakesLoose(Protocol):
    """A detector to which patches of shots may come one by one, out of the grids they were in.

    Features.patches are then m 1 1 d a layer, each with its own m: so a bank can be thinned.
    """

    @property
    def takes_loose(self) -> bool: ...


@runtime_checkable
class LeavesOut(Protocol[C]):
    """A detector whose context is the shots' patches at unit length, each by itself.

    It takes patches that have it already (Features.unit) as they are, so that a large bank is held
    once: by the shots, the context, and what leaves some of them out.
    """

    def without(self, context: C, shots: range) -> C:
        """What `prepare` gives for all other shots, to be scored with; no patch is copied."""
        ...


@runtime_checkable
class TakesContext(Protocol):
    """A backbone that can embed prompts with learned vectors in place of words."""

    def embed_words(self, words: str) -> Tensor:
        """The text tower's embeddings of the tokens of some words: m d, m may be 0."""
        ...

    def encode_with_context(
        self, context: Tensor, names: Sequence[str], position: Position
    ) -> Tensor:
        """n names of classes and a context (n) m d -> n e, not normalised.

        Differentiable with respect to the context. UsageError that names the class where vectors
        and name exceed the text tower's length.
        """
        ...
