"""The frozen image side of the training: each image seen once, and again with damage.

Chunks are written as they are done, so that a killed run goes on where it was.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import safetensors.torch
import torch
from torch import Tensor

from inctrl.data.defects import damage_any
from inctrl.decoding import open_image
from inctrl.files.whole import PARTIAL, write_file
from inctrl.images import Image
from inctrl.maths.statistics import image_statistics
from inctrl.protocols import Backbone
from tiny.shards import Captioned, read_images, share
from tiny.splits import HELD_OUT_KINDS, SEEN_KINDS, Split

CHUNK = 128
VERSIONS = 4
"""Damaged versions of an image, in colour and in gray by turns."""


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """What the frozen tower says of n images, in the order of their records.

    pooled      n 1280
    clean       n 2 s     statistics (maths/statistics.py) of the image in colour and in gray
    damaged     n v s     statistics of v damaged versions, even ones in colour, odd ones in gray
    """

    pooled: Tensor
    clean: Tensor
    damaged: Tensor


def extract(
    tower: Backbone, shards: Path, records: Sequence[Captioned], work: Path, seed: int
) -> Iterator[int]:
    """Write the features of every record to `work`; yields the number of images done so far.

    The tower's layers must be those whose statistics the joint space takes.
    """
    work.mkdir(parents=True, exist_ok=True)
    for left in work.glob(f"*{PARTIAL}"):  # by a killed run
        left.unlink()
    split = Split.of(records)
    for start in range(0, len(records), CHUNK):
        path, part = _chunk(work, start), records[start : start + CHUNK]
        if not path.is_file():
            encoded = [
                _encode(tower, image, versions(image, record, split, seed))
                for record, image in zip(part, read_images(shards, part), strict=True)
            ]
            stacked = {n: torch.stack([one[n] for one in encoded]) for n in encoded[0]}
            write_file(path, safetensors.torch.save(stacked))
        yield start + len(part)


def load(work: Path, count: int) -> ImageFeatures:
    """The features of `count` records as `extract` wrote them."""
    parts = [safetensors.torch.load_file(_chunk(work, start)) for start in range(0, count, CHUNK)]
    return ImageFeatures(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]})


def versions(
    image: Image, record: Captioned, split: Split, seed: int, count: int = VERSIONS
) -> list[Image]:
    """Damaged versions in colour: kinds held out for what is held out, the others for the rest."""
    kinds = HELD_OUT_KINDS if split.tests_state(record) else SEEN_KINDS
    made = []
    for version in range(count):
        number = int(share(f"{record.name}#{version}", str(seed)) * 2**63)
        damaged = damage_any(image.rgb, np.random.default_rng(number), kinds)
        made.append(open_image(damaged.rgb, image.name))
    return made


def _chunk(work: Path, start: int) -> Path:
    return work / f"images-{start:06d}.safetensors"


def _encode(tower: Backbone, image: Image, damaged: Sequence[Image]) -> dict[str, Tensor]:
    shown = [image, _gray(image)]
    shown += [_gray(im) if version % 2 else im for version, im in enumerate(damaged)]
    features = tower.encode_images(tower.preprocessing(shown, "squash"))
    statistics = image_statistics(features.patches).cpu()
    return {
        "pooled": features.image[0].cpu(),
        "clean": statistics[:2],
        "damaged": statistics[2:],
    }


def _gray(image: Image) -> Image:
    gray = np.asarray(PIL.Image.fromarray(image.rgb).convert("L"))
    return open_image(gray, image.name)
