"""What the embedded model can do, measured end to end on images and words it was not trained on.

Every figure goes through the backbone as users have it: pixels and sentences in, cosines out.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from inctrl.data.sources import read_data
from inctrl.images import Image
from inctrl.maths.neighbours import unit
from inctrl.prompting import Bank, load_bank, prototypes
from inctrl.protocols import Backbone
from tiny.content import label_sentences
from tiny.image_features import versions
from tiny.shards import Captioned, read_images, share
from tiny.splits import MATERIALS, OBJECTS, Split, tests_material
from tiny.words import class_names

BATCH = 16
PAIRS = 250
"""Captioned images of sources that are not trained on."""
VERSIONS = 2
"""Damaged versions of a held-out image."""
RANDOM_BANKS, RANDOM_SENTENCES = 100, 20
RESAMPLED = 200
"""Bootstrap samples behind a standard error."""


@dataclass(frozen=True)
class Figure:
    """A figure in per cent, its standard error, and the number of images behind it."""

    value: float
    error: float
    images: int


def measure(
    backbone: Backbone, shards: Path, records: Sequence[Captioned], seed: int
) -> dict[str, Figure]:
    """The figures of the model card; those that the records hold nothing for are left out."""
    split = Split.of(records)
    figures = dict(_state(backbone, shards, records, split, seed))
    figures |= _labels(backbone, shards, records, split)
    return figures | _retrieval(backbone, shards, records)


def on_sets(backbone: Backbone, root: Path, medical: Sequence[str]) -> dict[str, Figure]:
    """Image AUROC by prompts only on labelled sets, and their mean.

    The item is the name of the set's folder in words; its bank is `medical` for the sets named
    there, and `industrial` for all others.
    """
    figures = {}
    for data in read_data(root):
        bank = load_bank("medical" if data.name in medical else "industrial")
        images = (sample.image.open() for sample in data.test)
        logits = _contrast(_tokens(backbone, images), prototypes(backbone, bank, data.name))
        labels = np.array([sample.anomalous for sample in data.test])
        figures[data.name] = _auroc(labels, logits.numpy())
    values = [figure.value for figure in figures.values()]
    spread = float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0
    total = sum(figure.images for figure in figures.values())
    return figures | {"mean": Figure(float(np.mean(values)), spread, total)}


def _state(
    backbone: Backbone, shards: Path, records: Sequence[Captioned], split: Split, seed: int
) -> Iterator[tuple[str, Figure]]:
    """Clean against damaged images of labels and kinds of damage that were held out."""
    bank, random = load_bank("industrial"), []
    for name, source in (("textures", MATERIALS), ("objects", OBJECTS)):
        chosen = [r for r in records if split.tests_state(r) and r.source == source]
        if not chosen:
            continue
        shown: list[Image] = []
        for record, image in zip(chosen, read_images(shards, chosen), strict=True):
            shown += [image, *versions(image, record, split, seed + 1, VERSIONS)]
        tokens = _tokens(backbone, shown)
        pairs = {
            label: prototypes(backbone, bank, label) for label in {r.label or "" for r in chosen}
        }
        contrasts = torch.stack([pairs[r.label or ""] for r in chosen])
        contrasts = contrasts.repeat_interleave(1 + VERSIONS, dim=0)
        damaged = np.tile([0] + [1] * VERSIONS, len(chosen))
        yield name, _auroc(damaged, _contrast(tokens, contrasts).numpy())
        random.append((tokens, damaged))
    if random:
        tokens, damaged = torch.cat([t for t, _ in random]), np.concatenate([d for _, d in random])
        drawn = [
            _auroc(damaged, _contrast(tokens, prototypes(backbone, b, "")).numpy(), errors=False)
            for b in _random_banks(seed)
        ]
        values = [figure.value for figure in drawn]
        error = float(np.std(values, ddof=1)) / len(values) ** 0.5
        yield "random sentences", Figure(float(np.mean(values)), error, len(damaged))


def _random_banks(seed: int) -> Iterator[Bank]:
    """Banks of which no sentence means anything."""
    r = Random(seed)  # noqa: S311  nothing secret
    words = [word for name in class_names("imagenet-12k", 1) for word in name.split()]

    def sentences() -> tuple[str, ...]:
        return tuple(" ".join(r.choices(words, k=r.randint(1, 6))) for _ in range(RANDOM_SENTENCES))

    for _ in range(RANDOM_BANKS):
        yield Bank("random", "drawn", sentences(), sentences(), ("{s}",), {})


def _labels(
    backbone: Backbone, shards: Path, records: Sequence[Captioned], split: Split
) -> dict[str, Figure]:
    """Top-1 of images among the labels of their source."""
    tests: dict[str, tuple[str, Callable[[Captioned], bool]]] = {
        "materials": (MATERIALS, tests_material),
        "objects never paired": (OBJECTS, split.tests_object),
    }
    figures = {}
    for name, (source, tested) in tests.items():
        labels = sorted({r.label for r in records if r.source == source and r.label})
        chosen = [r for r in records if r.label and tested(r)]
        if not chosen:
            continue
        said = [backbone.encode_text(label_sentences(source, label)) for label in labels]
        classes = unit(torch.stack([unit(s).mean(dim=0).cpu() for s in said]))
        found = (_tokens(backbone, read_images(shards, chosen)) @ classes.T).argmax(dim=1)
        right = [labels[int(i)] == r.label for i, r in zip(found, chosen, strict=True)]
        figures[f"{name}, top-1 of {len(labels)}"] = _share(np.array(right))
    return figures


def _retrieval(backbone: Backbone, shards: Path, records: Sequence[Captioned]) -> dict[str, Figure]:
    """Image recall of captions that people wrote, on sources that are not trained on."""
    captioned = [r for r in records if not r.free and not r.label and r.captions]
    chosen = sorted(captioned, key=lambda record: share(record.name, "pairs"))[:PAIRS]
    if not chosen:
        return {}
    said = unit(backbone.encode_text([record.captions[0] for record in chosen])).cpu()
    likeness = said @ _tokens(backbone, read_images(shards, chosen)).T
    own = likeness.diagonal()[:, None]
    # Of images that are equally near the own one is in the middle, lest knowing nothing be best.
    ties = (likeness == own).sum(dim=1) - 1
    rank = ((likeness > own).sum(dim=1) + ties / 2).numpy()
    return {
        f"caption to image, recall at {k} of {len(chosen)}": _share(rank < k) for k in (1, 5, 10)
    }


def _tokens(backbone: Backbone, images: Iterator[Image] | Sequence[Image]) -> Tensor:
    """Image tokens n e of unit length."""
    parts: list[Tensor] = []
    waiting: list[Image] = []

    def encode() -> None:
        pixels = backbone.preprocessing(waiting, "squash")
        parts.append(unit(backbone.encode_images(pixels).image).cpu())
        waiting.clear()

    for image in images:
        waiting.append(image)
        if len(waiting) == BATCH:
            encode()
    if waiting:
        encode()
    return torch.cat(parts)


def _contrast(tokens: Tensor, prototypes: Tensor) -> Tensor:
    """tokens n e, prototypes ... 2 e -> n: how much nearer the anomalous one is.

    The order is that of the probability, which in single precision runs into ties near 0 and 1.
    """
    return (tokens * (prototypes[..., 1, :] - prototypes[..., 0, :])).sum(dim=-1)


def _auroc(labels: NDArray[Any], scores: NDArray[Any], *, errors: bool = True) -> Figure:
    """With the standard error of a bootstrap over the images of each class."""
    value = 100 * float(roc_auc_score(labels, scores))
    if not errors:
        return Figure(value, 0.0, len(labels))
    random = np.random.default_rng(0)
    normal, anomalous = scores[labels == 0], scores[labels == 1]
    drawn = []
    for _ in range(RESAMPLED):
        parts = [random.choice(part, len(part)) for part in (normal, anomalous)]
        kinds = np.repeat([0, 1], [len(part) for part in parts])
        drawn.append(100 * roc_auc_score(kinds, np.concatenate(parts)))
    return Figure(value, float(np.std(drawn, ddof=1)), len(labels))


def _share(right: NDArray[np.bool_]) -> Figure:
    """A share with its binomial standard error."""
    share_right = float(right.mean())
    error = (share_right * (1 - share_right) / len(right)) ** 0.5
    return Figure(100 * share_right, 100 * error, len(right))
