"""An image as the store keeps it: its identity, its blob, its name and its size."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from inctrl.decoding import decode
from inctrl.errors import Busy, InvalidFile, UnreadableImage
from inctrl.images import Picture, stored_bytes, stored_digest
from inctrl.store.blobs import Blobs
from inctrl.store.names import ImageName, Number, Sha256, image_name


@dataclass(frozen=True)
class Shot:
    """A kept image. sha256 is its identity (`stored_digest`), blob the hash of its file.

    The fields are in the order of its columns.
    """

    sha256: Sha256
    blob: Sha256
    name: ImageName
    height: Number
    width: Number


@dataclass(frozen=True)
class ShotRecord(Shot):
    """A shot of a set, with the version that added it and the one that dropped it, if any did."""

    added: Number
    dropped: Number | None


@dataclass(frozen=True)
class KeptShots:
    """Images whose blobs are written and that no row names yet: sweeps spare them for an hour."""

    shots: tuple[Shot, ...] = ()

    @classmethod
    def joined(cls, several: Iterable["KeptShots"]) -> "KeptShots":
        """All in their order; of equal ones only the first counts."""
        found: dict[str, Shot] = {}
        for kept in several:
            for shot in kept.shots:
                found.setdefault(shot.sha256, shot)
        return cls(tuple(found.values()))


def keep(blobs: Blobs, pictures: Iterable[Picture]) -> KeptShots:
    """Write the blobs of pictures, taken one by one; of equal ones only the first counts.

    It takes seconds for large ones: never inside of a transaction, which all writers wait for.
    """
    kept: dict[str, Shot] = {}
    for picture in pictures:
        data = stored_bytes(picture)
        name = image_name(picture.name)
        # The identity is that of what is kept: a 64-bit channel is kept in 32. To decode what
        # comes back as it was would take three more copies of a large image.
        stored = picture if _comes_back(picture) else decode(data, name)
        sha256 = stored_digest(stored)
        if sha256 not in kept:
            height, width = stored.pixels.shape[:2]
            kept[sha256] = Shot(sha256, blobs.put(data), name, height, width)
    return KeptShots(tuple(kept.values()))


def _comes_back(picture: Picture) -> bool:
    """Whether `stored_bytes` keeps these very values, of this type and shape."""
    pixels = picture.pixels
    if pixels.dtype == np.uint8:
        return pixels.ndim == 3 and pixels.shape[2] == 3
    return pixels.ndim == 2 and pixels.dtype in (np.uint16, np.int32, np.float32)


def hold(blobs: Blobs, shots: Iterable[Shot]) -> None:
    """Make sure, under the store's write lock, that blobs of `keep` are there still.

    Busy where a sweep took one that lay there unused at the very moment it was put again.
    """
    if not all(blobs.has(shot.blob) for shot in shots):
        raise Busy("unused files of the store were just swept; try again", retry_after=0.1)


def picture_of(blobs: Blobs, shot: Shot, where: str) -> Picture:
    """The picture of a shot; InvalidFile, naming `where` and the shot, where it is damaged."""
    try:
        return decode(blobs.read(shot.blob), shot.name)
    except (InvalidFile, UnreadableImage) as error:
        raise InvalidFile(f"image {shot.name!r} of {where} is lost: {error}") from None
