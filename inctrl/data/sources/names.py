"""How people call folders of normal images, of anomalous ones and of masks, in any letter case."""

from collections.abc import Collection
from pathlib import Path

NORMAL = frozenset({"normal", "normals", "good", "ok", "okay", "pass", "passed", "nodefect"})
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
CLUTTER = frozenset({"@eadir", "__macosx", "thumbs.db", "desktop.ini"})
"""What machines put into folders."""


def key(name: str) -> str:
    """A name without its case, spaces and punctuation: "Not OK" and "not_ok" are one."""
    return "".join(character for character in name.casefold() if character.isalnum())


def ours(path: Path) -> bool:
    """Whether people have put it there, not a machine."""
    return not path.name.startswith(".") and path.name.casefold() not in CLUTTER


def subfolders(folder: Path) -> list[Path]:
    """In the order of their names; none of what cannot be listed."""
    try:
        return sorted(path for path in folder.iterdir() if ours(path) and path.is_dir())
    except OSError:
        return []


def named(folder: Path, names: Collection[str]) -> list[Path]:
    """The subfolders that are called by one of the names."""
    return [path for path in subfolders(folder) if key(path.name) in names]
