"""What is in a category, told from its bytes: every file is read, and every image decoded, once."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from inctrl.data.categories import Category, Mask, Sample
from inctrl.data.masks import askew, inverted, read_mask, says_nothing
from inctrl.data.stored import Stored
from inctrl.errors import MissingData, UnreadableImage
from inctrl.images import Picture, stored_digest

T = TypeVar("T")


@dataclass(frozen=True)
class Content:
    """What is in a category.

    digest   of all that scores may depend on: names, labels, masks, and the bytes of every file
    shots    digest of the pixels of each drawn shot, by its name
    test     the same of each test image
    deep     an image has more than 8 bits, so that shots decide how all are shown
    notes    what its masks look like, where it is not what masks should
    """

    digest: str
    shots: dict[str, str]
    test: dict[str, str]
    deep: bool
    notes: tuple[str, ...] = ()


class Reader:
    """Reads categories; a file that several share is read once.

    MissingData where a file cannot be read: figures of a part of a set cannot be compared.
    """

    def __init__(self) -> None:
        self._files: dict[Path, str] = {}

    def __call__(self, category: Category, drawn: list[int]) -> Content:
        """drawn: the indices in `train` of the shots that are used."""
        digest = hashlib.sha256()
        for line in self._lines(category):
            digest.update(line.encode("utf-8", "surrogatepass") + b"\n")
        shots, test, shares, deep = {}, {}, {}, False
        for stored in (category.train[i] for i in drawn):
            picture = _readable(stored.decode)
            shots[category.short(stored)] = stored_digest(picture)
            deep |= picture.deep
        for sample in category.test:
            picture = _readable(sample.image.decode)
            test[category.short(sample.image)] = stored_digest(picture)
            deep |= picture.deep
            if sample.anomalous and sample.mask:
                share = _marked_share(sample, sample.mask, picture)
                shares[category.short(sample.mask.image)] = share
        name = f"{category.dataset}/{category.name}"
        notes = [note for note in (inverted(name, shares), askew(category)) if note]
        return Content(digest.hexdigest(), shots, test, deep, tuple(notes))

    def _lines(self, category: Category) -> Iterator[str]:
        yield repr((category.dataset, category.name, category.words))
        for stored in category.train:
            yield self._line(category, stored)
        for sample in category.test:
            yield repr((sample.anomalous, sample.kind)) + self._line(category, sample.image)
            if sample.mask:
                for stored in (sample.mask.image, *sample.mask.others):
                    yield f"{sample.mask.above} {self._line(category, stored)}"

    def _line(self, category: Category, stored: Stored) -> str:
        """An image's name, its place in its file, and the sha256 of that file."""
        if stored.file not in self._files:
            try:
                with stored.file.open("rb") as file:
                    self._files[stored.file] = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                reason = error.strerror or type(error).__name__
                raise MissingData(
                    f"{str(stored.file)!r} cannot be read ({reason}); get the set again"
                ) from None
        return f"{category.short(stored)} {stored.part!r} {self._files[stored.file]}"


def _marked_share(sample: Sample, mask: Mask, picture: Picture) -> float:
    """Of its image that a mask marks; MissingData where that says nothing."""
    height, width = picture.pixels.shape[:2]
    anomalous = _readable(lambda: read_mask(sample, (height, width)))
    if fault := says_nothing(anomalous, mask):
        raise MissingData(fault)
    return float(anomalous.mean())


def _readable(read: Callable[[], T]) -> T:
    try:
        return read()
    except UnreadableImage as error:
        raise MissingData(
            f"{error}; figures of a part of a set cannot be compared with others"
        ) from None
