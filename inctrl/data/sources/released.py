"""What InCTRL's release writes and reads: lists of images, and few-shot lists."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from inctrl.data.categories import Category, Sample
from inctrl.data.sources.source import Source, listed_in
from inctrl.data.stored import Stored
from inctrl.decoding import open_image
from inctrl.errors import InvalidFile, MissingData
from inctrl.files.tensors import read_tensors
from inctrl.files.text import read_text
from inctrl.images import Image

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
DEPTHS = ("", "*/", "*/*/")
TREE = """
DIR/NAME_normal.json        normal training images (or NAME_train_normal.json)
DIR/NAME_val_normal.json    normal test images; they are taken out of the training images
DIR/NAME_val_outlier.json   anomalous test images
or in subfolders of DIR; NAME_outlier.json is not needed

Each is a list of {"image_path": ..., "target": 0 or 1, "type": CATEGORY}. Paths start at the
folder of the list or from one above it.
"""


@dataclass(frozen=True)
class Entry:
    """An image of a list."""

    file: Path
    anomalous: bool
    type: str


def recognise(root: Path) -> bool:
    return bool(_lists(root, "_val_normal"))


def read(root: Path) -> list[Category]:
    tested = _entries([*_lists(root, "_val_normal"), *_lists(root, "_val_outlier")])
    held = {entry.file for entry in tested}
    # The generator lists normal test images among the training images too.
    listed = _entries(_lists(root, "_normal"))
    drawn = [entry for entry in listed if entry.file not in held]
    types = sorted({entry.type for entry in [*tested, *drawn]})
    return [_category(root, type_, drawn, tested) for type_ in types]


def _category(root: Path, type_: str, drawn: list[Entry], tested: list[Entry]) -> Category:
    normal = [entry for entry in drawn if entry.type == type_ and not entry.anomalous]
    mine = [entry for entry in tested if entry.type == type_]
    train = tuple(Stored(entry.file) for entry in normal)
    test = tuple(
        Sample(
            Stored(entry.file), entry.anomalous, entry.file.parent.name if entry.anomalous else ""
        )
        for entry in mine
    )
    folder = Path(os.path.commonpath([entry.file.parent for entry in [*normal, *mine]]))
    return Category(root.absolute().name, type_, train, test, folder, type_.replace("_", " "))


def _lists(root: Path, ending: str) -> list[Path]:
    return sorted(file for depth in DEPTHS for file in root.glob(f"{depth}*{ending}.json"))


def _entries(lists: Iterable[Path]) -> list[Entry]:
    """The images of the lists, each once, sorted by path."""
    found = (_entry(file, i, row) for file in lists for i, row in enumerate(_rows(file), 1))
    return sorted(dict.fromkeys(found), key=lambda entry: entry.file)


def _rows(file: Path) -> list[object]:
    try:
        rows = json.loads(read_text(file))
    except ValueError as error:
        raise MissingData(f"{file.name} is no JSON ({error})") from None
    if not isinstance(rows, list):
        raise MissingData(f"{file.name} is no list of images")
    return rows


def _entry(file: Path, number: int, row: object) -> Entry:
    entry = f"{file.name}, entry {number}"
    match row:
        case {"image_path": str(path), "target": 0 | 1 as target, "type": str(type_)}:
            bases = dict.fromkeys([*file.resolve().parents, *file.absolute().parents])
            try:
                return Entry(listed_in(bases, path, entry), target == 1, type_)
            except MissingData:
                where = "in or above its folder"
                raise MissingData(f"{entry}: there is no file {path!r} {where}") from None
        case _:
            raise MissingData(f"{entry} is no image_path, target (0 or 1) and type")


SOURCE = Source(
    "lists of InCTRL's release",
    TREE,
    "that of the listed images",
    "write them with gen_train_json.py and gen_val_json.py of github.com/mala-lab/InCTRL, for each "
    "category, into one folder; give that folder",
    recognise,
    read,
)


def read_fewshot_list(path: Path) -> list[Image]:
    """The k shots of a list file as images.

    The file holds k tensors 3 S S that were preprocessed with CLIP's mean and standard
    deviation. They came from 8-bit pixels, so undoing the normalisation and rounding gives those
    pixels back exactly, and the same path as for any image leads on from here.
    """
    stored = read_tensors(path, "few-shot list")
    valid = isinstance(stored, list | tuple) and all(
        isinstance(t, torch.Tensor) and t.ndim == 3 and t.shape[0] == 3 for t in stored
    )
    if not valid or not stored:
        raise InvalidFile(f"{str(path)!r} is not a few-shot list (a list of tensors 3 S S)")
    images = []
    for i, tensor in enumerate(stored):
        pixels = tensor.float().permute(1, 2, 0).numpy() * np.array(CLIP_STD) + np.array(CLIP_MEAN)
        rgb = np.rint(pixels * 255).clip(0, 255).astype(np.uint8)
        images.append(open_image(rgb, name=f"{path}[{i}]"))
    return images
