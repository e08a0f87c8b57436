"""A look at every image and mask before anything is learned.

What a training depends on is told from contents, not from names: a set that has changed is another
one, and a set that has moved is not. Images of more than 8 bits are shown in one brightness window
a category, from its normal images, as shots and queries share one in use.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from inctrl.data.categories import Mask
from inctrl.data.masks import inverted, marks, says_nothing
from inctrl.data.stored import Stored
from inctrl.errors import UsageError
from inctrl.images import Window, shared_window, stored_digest
from inctrl.training.auxiliary import Auxiliary
from inctrl.training.examples import Example, usable

MOST = 64
"""Normal images that set a category's brightness window."""
SHORT = 16
"""Digits of a digest that an adapter keeps of each image that it has seen."""


@dataclass(frozen=True)
class Survey:
    """What is in the examples.

    images   a digest of each example's image as it is stored, before any defect is drawn
    masks    a digest of each example's mask; empty without one
    fault    what is said of the first mask that marks nothing, or every pixel
    notes    what masks look like, where it is not what masks should
    """

    images: tuple[str, ...]
    masks: tuple[str, ...]
    fault: str | None = field(default=None, repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def seen(self) -> str:
        """The different images, as an adapter's config keeps them."""
        return " ".join(sorted({digest[:SHORT] for digest in self.images}))


def survey(auxiliary: Auxiliary) -> tuple[Auxiliary, Survey]:
    """The examples with their windows, and what is in them.

    MissingData names what cannot be read; UsageError names a held-out image that is trained on too.
    """
    images, deep = _digests(auxiliary.examples)
    masks = [_mask(example) for example in auxiliary.examples]
    _refuse_trained_on(auxiliary, images)
    examples = list(auxiliary.examples)
    for members in auxiliary.members:
        normals = [examples[i].image for i in members.normal if i in deep][:MOST]
        window = shared_window([image.decode() for image in normals])
        # Its ends alone: marks of what lies beyond would teach to look for their colour.
        window = window and Window(window.low, window.high)
        for i in (*members.normal, *members.anomalous):
            examples[i] = replace(examples[i], window=window)
    seen = Survey(
        images,
        tuple(mask.digest for mask in masks),
        next((mask.fault for mask in masks if mask.fault), None),
        tuple(_large(auxiliary, masks)),
    )
    return replace(auxiliary, examples=tuple(examples)), seen


class _Seen(NamedTuple):
    """Of an example's mask: its name, a digest, the share that it marks, and what is wrong."""

    name: str = ""
    digest: str = ""
    share: float = 0.0
    fault: str | None = None


def _large(auxiliary: Auxiliary, masks: Sequence[_Seen]) -> Iterator[str]:
    for members in auxiliary.members:
        shares = {masks[i].name: masks[i].share for i in members.anomalous if masks[i].name}
        if note := inverted(members.name, shares):
            yield note


def _digests(examples: Sequence[Example]) -> tuple[tuple[str, ...], frozenset[int]]:
    """Of every example, each file read once; and the numbers of those of more than 8 bits."""
    known: dict[Stored, tuple[str, bool]] = {}
    for example in examples:
        if example.image not in known:
            with usable():
                picture = example.image.decode()
            known[example.image] = (stored_digest(picture), picture.deep)
    found = [known[example.image] for example in examples]
    deep = frozenset(i for i, (_, is_deep) in enumerate(found) if is_deep)
    return tuple(digest for digest, _ in found), deep


def _mask(example: Example) -> _Seen:
    mask: Mask | None = example.sample.mask if example.sample else None
    if mask is None:
        return _Seen()
    with usable():
        parts = [marks(part, mask.above) for part in (mask.image, *mask.others)]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part.shape).encode() + np.packbits(part).tobytes())
    united = np.logical_or.reduce(parts) if len({part.shape for part in parts}) == 1 else parts[0]
    fault = says_nothing(united, mask)
    return _Seen(mask.image.name, digest.hexdigest(), float(united.mean()), fault)


def _refuse_trained_on(auxiliary: Auxiliary, images: Sequence[str]) -> None:
    """An epoch chosen by images that were trained on is no choice."""
    if not auxiliary.held_out:
        return
    trained = {images[i]: i for m in auxiliary.trained for i in (*m.normal, *m.anomalous)}
    last = auxiliary.members[-1]
    both = [i for i in (*last.normal, *last.anomalous) if images[i] in trained]
    if both:
        ours, theirs = (
            auxiliary.examples[i].image.name for i in (both[0], trained[images[both[0]]])
        )
        raise UsageError(
            f"held-out image {ours!r} is trained on too, as {theirs!r} ({len(both)} such images); "
            "hold out a set of other images"
        )
