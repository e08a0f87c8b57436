"""The towers of `tiny` and their joint space, as a backbone."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from inctrl.backbones.cnn import ConvBackbone
from inctrl.backbones.tiny.joint import JointSpace
from inctrl.backbones.tiny.text import CONFIG, TOKENIZER, WEIGHTS, TextTower
from inctrl.errors import MissingModel
from inctrl.maths.placement import Position
from inctrl.maths.statistics import image_statistics
from inctrl.maths.windows import window_index, window_starts
from inctrl.preprocessing import Preprocessing
from inctrl.types import Features

DESCRIBED = ("stride8", "stride16", "stride32")
"""Layers whose statistics tell the state of an image."""


class TinyBackbone:
    """An image tower that gives DESCRIBED and the wanted layers, and a folder with the rest."""

    has_text = True
    precision = "float32"

    def __init__(self, name: str, tower: ConvBackbone, folder: Path, layers: Sequence[str]) -> None:
        self.name = name
        self.layers = tuple(layer for layer in tower.layers if layer in layers)
        self.fingerprint = _fingerprint(tower, folder, self.layers)
        self._tower = tower
        self._folder = folder
        self._space = JointSpace.load(folder / WEIGHTS).to(tower.device)
        self._kept = [tower.layers.index(layer) for layer in self.layers]
        self._described = [tower.layers.index(layer) for layer in DESCRIBED]

    @property
    def image_size(self) -> int:
        return self._tower.image_size

    @property
    def device(self) -> torch.device:
        return self._tower.device

    @property
    def preprocessing(self) -> Preprocessing:
        return self._tower.preprocessing

    @property
    def image_tower(self) -> nn.Module:
        """The joint space, which sentences meet, is no part of it."""
        return self._tower.image_tower

    def encode_images(self, pixels: Tensor) -> Features:
        """The image token lies in the joint space."""
        with _untraced():
            return self.encode_traced(pixels)

    def encode_traced(self, pixels: Tensor) -> Features:
        maps, last = self._tower.encode_maps(pixels)
        token = self._token([maps[i] for i in self._described], last)
        return Features(tuple(maps[i] for i in self._kept), token)

    def encode_windows(self, pixels: Tensor, sizes: Sequence[int]) -> tuple[Tensor, ...]:
        """The image tokens of what windows of the coarsest grid hold of every map.

        The tower has seen their surroundings: this is WinCLIP's window as far as a convolutional
        tower has one. The window of the whole grid has the image's own token.
        """
        with _untraced():
            return self._windows(pixels, sizes)

    def _windows(self, pixels: Tensor, sizes: Sequence[int]) -> tuple[Tensor, ...]:
        maps, last = self._tower.encode_maps(pixels)
        described = [maps[i] for i in self._described]
        grid = (last.shape[1], last.shape[2])
        found = []
        for size in (size for size in sizes if size <= min(grid)):
            token = self._token([_cut(m, grid, size) for m in described], _cut(last, grid, size))
            rows, columns = (len(window_starts(length, size)) for length in grid)
            found.append(token.reshape(len(last), rows, columns, -1))
        return tuple(found)

    def _token(self, described: Sequence[Tensor], last: Tensor) -> Tensor:
        """Of n images or windows, from their part of the maps of DESCRIBED and of the head's."""
        pooled = self._tower.pooled(last)
        classes = self._tower.classifier(pooled)
        return self._space.image(pooled, classes, image_statistics(described))

    def segments(self) -> tuple[nn.Module, ...]:
        """The image tower cut behind each layer (ConvBackbone.segments)."""
        return self._tower.segments(self.layers)

    @torch.inference_mode()
    def encode_text(self, sentences: Sequence[str]) -> Tensor:
        """Any words will do; sentences are cut at the tower's context length."""
        return self._space.sentence(self._text(sentences))

    def embed_words(self, words: str) -> Tensor:
        return self._text.embed_words(words)

    def encode_with_context(
        self, context: Tensor, names: Sequence[str], position: Position
    ) -> Tensor:
        return self._space.sentence(self._text.with_context(context, names, position))

    @cached_property
    def _text(self) -> TextTower:
        """Read when the first sentence comes: most runs find their prototypes remembered."""
        with torch.inference_mode(False):  # weights read within it could carry no gradient
            return TextTower.load(self._folder, self._tower.device)


@contextmanager
def _untraced() -> Iterator[None]:
    """Without gradients, yet not in inference mode.

    What the joint space and the statistics compute once and keep (joined weights, masks of a grid)
    could not take part in `encode_traced` if it came out of inference mode.
    """
    with torch.inference_mode(False), torch.no_grad():
        yield


def _cut(maps: Tensor, grid: tuple[int, int], size: int) -> Tensor:
    """b h w d -> n r r d: the windows of all images, row by row, cut from a map.

    grid   rows and columns that `size` counts; the map may be some times as fine
    """
    _, rows, columns, _ = maps.shape
    finer = rows // grid[0]
    index = window_index((rows, columns), size * finer, finer).to(maps.device)
    cut = maps.flatten(1, 2)[:, index]
    return cut.reshape(-1, size * finer, size * finer, maps.shape[3])


def _fingerprint(tower: ConvBackbone, folder: Path, layers: Sequence[str]) -> str:
    digest = hashlib.sha256(f"{tower.fingerprint} {' '.join(layers)}".encode())
    for name in (CONFIG, TOKENIZER, WEIGHTS):
        try:
            digest.update((folder / name).read_bytes())
        except OSError:
            raise MissingModel(
                f"no {name!r} in {str(folder)!r}; give a folder that the training program wrote, "
                "or reinstall inctrl if it is its own"
            ) from None
    return digest.hexdigest()
