"""How people call folders of normal images, of anomalous ones and of masks, in any letter case."""

from collections.abc import Collection
from pathlib import Path

from inctrl.data.folders import look, subfolders

NORMAL = frozenset(
    {"normal", "normals", "good", "ok", "okay", "pass", "passed", "nodefect", "defectfree"}
)
ANOMALOUS = frozenset(
    {
        *("anomalous", "anomaly", "anomalies", "abnormal", "bad", "nogood", "notgood"),
        *("defect", "defects", "defective", "ng", "nok", "notok", "ko"),
        *("fail", "failed", "failure", "faulty", "reject", "rejected"),
    }
)
TRAIN, TEST = frozenset({"train", "training"}), frozenset({"test", "testing"})
MASKS = frozenset({"groundtruth", "gt", "mask", "masks"})
MASK_WORDS = r"(?:mask|gt|ground[ _-]?truth)"
"""Beside the name of an image in that of its mask."""
LABELS = MASKS | {"label", "labels", "annotation", "annotations", "segmentation", "segmentations"}
"""Folders of masks beside those of images; among kinds of defect, `label` may be one."""


def key(name: str) -> str:
    """A name without its case, spaces and punctuation: "Not OK" and "not_ok" are one."""
    return "".join(character for character in name.casefold() if character.isalnum())


def images_of(folder: Path, *, recursive: bool = False) -> list[Path]:
    """Its images by path; what of it is not read is left to unused.py to tell."""
    return list(look(folder, recursive=recursive).images)


def named(folder: Path, names: Collection[str]) -> list[Path]:
    """The subfolders that are called by one of the names."""
    return [path for path in subfolders(folder) if key(path.name) in names]
