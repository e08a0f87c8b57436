"""Sets from store to store, in a zip file: manifest.json and images/SHA256.png or .tiff."""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from inctrl.decoding import MAX_PIXELS, decode
from inctrl.errors import Conflict, InvalidFile, OutputError, UnreadableImage
from inctrl.files.whole import whole_file
from inctrl.images import stored_digest
from inctrl.store import manifest as manifests
from inctrl.store.archive import Archive, write_archive
from inctrl.store.manifest import Manifest
from inctrl.store.names import parse_name
from inctrl.store.records import SetRecord, read_record, write_record
from inctrl.store.shots import Shot, hold, keep
from inctrl.store.store import Store
from inctrl.store.versions import SetVersion, has_set

PNG = b"\x89PNG"


def export_set(store: Store, name: str, path: Path, *, overwrite: bool = False) -> None:
    """Write a set with all its versions and feedback; the file is there as a whole or not at all.

    OutputError where there is a file already and `overwrite` was not asked for.
    """
    with store.database.read() as db:
        record = read_record(db, parse_name(name))
        manifest = Manifest(**vars(record), feedback=store.feedback.list(name))
    if path.exists() and not (overwrite and path.is_file()):
        raise OutputError(f"{str(path)!r} is there already", fix="overwrite")
    with whole_file(path, durable=True) as partial:
        write_archive(partial, _members(store, manifest))


def import_set(
    store: Store, path: Path, *, name: str | None = None, pixels: int = MAX_PIXELS
) -> SetVersion:
    """Take an exported set in, with its version numbers; gives its latest version.

    name    to import it under (default: the one it was exported from)
    pixels  of an image at most
    A set that is there already with the same versions is left alone; Conflict where it has others.
    InvalidFile for a file that is unsafe or damaged anywhere, before anything is written.
    """
    with contextlib.closing(Archive(path)) as archive:
        manifest = manifests.read(archive.read(manifests.NAME, manifests.MOST_BYTES), str(path))
        if name is not None:
            manifest = replace(manifest, set=replace(manifest.set, name=parse_name(name)))
        target = manifest.set.name
        files = _checked(archive, manifest, str(path), pixels)
        if _is_there(store, manifest):
            return store.sets.get(target)
        kept = _put(store, archive, manifest, files)
        with store.database.transaction() as db:
            if _is_there(store, manifest):  # by now
                return store.sets.get(target)
            hold(store.blobs, kept.values())
            shots = tuple(replace(s, blob=kept[s.sha256].blob) for s in manifest.shots)
            write_record(db, replace(manifest, shots=shots))
            for row in manifest.feedback:
                shot = replace(row.shot, blob=kept[row.sha256].blob) if row.shot else None
                store.feedback.restore(replace(row, set=target, shot=shot))
            return store.sets.get(target)


def _members(store: Store, manifest: Manifest) -> Iterator[tuple[str, bytes]]:
    yield manifests.NAME, manifests.write(manifest)
    for blob in sorted(manifest.images):
        data = store.blobs.read(blob)
        yield f"images/{blob}.{'png' if data.startswith(PNG) else 'tiff'}", data


def _checked(archive: Archive, manifest: Manifest, source: str, pixels: int) -> dict[str, str]:
    """The member of each image, by blob; all are read once and compared with what is declared."""
    files: dict[str, str] = {}
    for blob in manifest.images:
        names = {f"images/{blob}.{suffix}" for suffix in ("png", "tiff")} & archive.names
        if len(names) != 1:
            raise InvalidFile(f"{source!r} lacks image {blob}, or has it twice")
        (files[blob],) = names
    undeclared = archive.names - set(files.values()) - {manifests.NAME}
    if undeclared:
        raise InvalidFile(f"{source!r} holds {min(undeclared)!a}, which its manifest does not name")
    identities = {b: _identity(archive, file, b, source, pixels) for b, file in files.items()}
    for shot in manifest.pictures:
        if identities[shot.blob] != (shot.sha256, shot.height, shot.width):
            raise InvalidFile(
                f"{files[shot.blob]!r} in {source!r} is not the image it is said to be"
            )
    return files


def _identity(
    archive: Archive, file: str, blob: str, source: str, pixels: int
) -> tuple[str, int, int]:
    data = archive.read(file)
    if hashlib.sha256(data).hexdigest() != blob:
        raise InvalidFile(f"{file!r} in {source!r} is damaged (its bytes have changed)")
    try:
        picture = decode(data, file, pixels=pixels)
    except UnreadableImage as error:
        raise InvalidFile(f"{source!r} holds an image that cannot be read: {error}") from None
    height, width = picture.pixels.shape[:2]
    return stored_digest(picture), height, width


def _put(
    store: Store, archive: Archive, manifest: Manifest, files: dict[str, str]
) -> dict[str, Shot]:
    """Write the images as the store itself encodes them; the kept shots by identity."""
    kept: dict[str, Shot] = {}
    for blob, shot in manifest.images.items():
        picture = decode(archive.read(files[blob]), shot.name)
        (written,) = keep(store.blobs, [picture]).shots
        if written.sha256 != shot.sha256:
            raise InvalidFile(f"{files[blob]!r} has changed while it was imported; try again")
        kept[written.sha256] = written
    return kept


def _is_there(store: Store, record: SetRecord) -> bool:
    """Whether the store has these very versions; Conflict where it has others of the name."""
    with store.database.read() as db:
        if not has_set(db, record.set.name):
            return False
        here = read_record(db, record.set.name)
    ours, theirs = ([(v.version, v.digest) for v in one.versions] for one in (here, record))
    if ours != theirs:
        raise Conflict(
            f"there is another set {record.set.name!r} already; give another name to import it "
            "under"
        )
    return True
