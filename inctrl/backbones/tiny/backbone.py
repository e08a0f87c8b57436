"""The towers of `tiny` and their joint space, as a backbone."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from inctrl.backbones.cnn import ConvBackbone
from inctrl.backbones.tiny.joint import JointSpace
from inctrl.backbones.tiny.text import CONFIG, TOKENIZER, WEIGHTS, TextTower
from inctrl.errors import MissingModel
from inctrl.images import Image
from inctrl.maths.geometry import View
from inctrl.maths.statistics import image_statistics
from inctrl.types import Features, Fit

DESCRIBED = ("stride8", "stride16", "stride32")
"""Layers whose statistics tell the state of an image."""


class TinyBackbone:
    """An image tower that gives DESCRIBED and the wanted layers, and a folder with the rest."""

    has_text = True

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

    def view(self, image: Image, fit: Fit) -> View:
        return self._tower.view(image, fit)

    def preprocess(self, images: Sequence[Image], fit: Fit) -> Tensor:
        return self._tower.preprocess(images, fit)

    @torch.inference_mode()
    def encode_images(self, pixels: Tensor) -> Features:
        """The image token lies in the joint space."""
        seen = self._tower.encode_images(pixels)
        token = self._space.image(
            seen.image,
            self._tower.classifier(seen.image),
            image_statistics([seen.patches[i] for i in self._described]),
        )
        return Features(tuple(seen.patches[i] for i in self._kept), token)

    @torch.inference_mode()
    def encode_text(self, sentences: Sequence[str]) -> Tensor:
        """Any words will do; sentences are cut at the tower's context length."""
        return self._space.sentence(self._text(sentences))

    @cached_property
    def _text(self) -> TextTower:
        """Read when the first sentence comes: most runs find their prototypes remembered."""
        return TextTower.load(self._folder, self._tower.device)


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
