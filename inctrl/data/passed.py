"""What is passed over in folders of pictures, and the words in which that is said.

Nothing is left out in silence: a walk (folders.py) notes each thing here, and one line for each
reason says how many there are and names the first.
"""

import os
from collections import Counter
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Literal

from inctrl.decoding import SUFFIXES
from inctrl.files.whole import PARTIAL

Reason = Literal[
    "written",
    "kept",
    "hidden",
    "dots",
    "round",
    "twice",
    "again",
    "nowhere",
    "outside",
    "unreadable",
    "odd",
]
WRITTEN = (
    ("scores.json", "report.html"),
    ("cells/.parts",),
    ("context.json", "context.safetensors"),
)
"""What lies together in the folder of a run, of an evaluation and of a saved context."""
KEPT = (
    *("@eadir", "@recycle", "@tmp", "#recycle", "#snapshot", ".@__thumb", ".thumbnails"),
    *("$recycle.bin", "system volume information", "lost+found", ".trash*", ".spotlight-v100"),
    *("__macosx", ".git", ".ipynb_checkpoints", "__pycache__"),
)
"""Folders of thumbnails, bins and bookkeeping that programs make beside pictures, in lower case."""
NO_PICTURES = frozenset(
    {"", ".txt", ".json", ".csv", ".tsv", ".xml", ".db", ".md", ".yaml", ".yml", ".toml", ".ini"}
    | {".log", ".html", ".pt", ".npz", ".py", ".ipynb", ".safetensors", ".onnx", ".pkl", ".jsonl"}
    | {".xlsx", ".xls", ".ods", ".docx", ".doc", ".zip", ".xmp", ".aae", ".lnk", ".url", ".sh"}
    | {".bat", ".md5", ".sha256"}
)
"""Suffixes of files beside pictures that nobody takes for pictures."""
LOOK = 5000
"""Entries of a folder that is left out among which images are counted."""
SHOWN = 5
"""Suffixes that are named."""
WORDS: dict[Reason, tuple[str, str]] = {
    "written": (
        "left out folder {name}, which a run has written{images}; name it to have it read",
        "left out {n} folders that runs have written, such as {name}{images}; name one to have it "
        "read",
    ),
    "kept": (
        "left out folder {name}, which a program keeps beside pictures{images}; name it to have "
        "it read",
        "left out {n} folders that programs keep beside pictures, such as {name}{images}; name "
        "one to have it read",
    ),
    "hidden": (
        "left out hidden folder {name}{images}; name it to have it read",
        "left out {n} hidden folders, such as {name}{images}; name one to have it read",
    ),
    "dots": (
        "left out hidden image {name}; name it to have it read",
        "left out {n} hidden images, such as {name}; name them to have them read",
    ),
    "round": (
        "link {name} leads back to a folder around it and is not followed",
        "{n} links lead back to folders around them and are not followed, such as {name}",
    ),
    "twice": (
        "{name} is a link to what is read already, and counts once",
        "{n} links such as {name} lead to what is read already, which counts once",
    ),
    "again": (
        "{name} is in a folder given before, and counts once",
        "{n} images such as {name} are in folders given before, and count once",
    ),
    "nowhere": ("link {name} leads nowhere", "{n} links lead nowhere, such as {name}"),
    "outside": (
        "link {name} leads out of the data root and is not followed",
        "{n} links lead out of the data root and are not followed, such as {name}",
    ),
    "unreadable": (
        "folder {name} cannot be read; check its rights",
        "{n} folders cannot be read, such as {name}; check their rights",
    ),
    "odd": ("{name} is no regular file", "{n} such as {name} are no regular files"),
}


class Passed:
    """What a walk has passed over so far."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: dict[Reason, list[Path]] = {}
        self._images: Counter[Reason] = Counter()
        self._suffixes: Counter[str] = Counter()

    def add(self, reason: Reason, path: Path) -> None:
        self._paths.setdefault(reason, []).append(path)

    def aside(self, reason: Reason, folder: Path) -> None:
        """A folder that is left out; nothing is said of one that holds no images."""
        images = images_below(folder)
        if images:
            self.add(reason, folder)
            self._images[reason] += images

    def file(self, path: Path) -> None:
        """A file whose name is not that of an image."""
        self._suffixes[path.suffix.lower()] += 1

    def notes(self) -> tuple[str, ...]:
        """A line for each reason."""
        lines = []
        for reason, paths in self._paths.items():
            one, many = WORDS[reason]
            first, n = min(paths), len(paths)
            counted = f" ({self._images[reason]} images)" if self._images[reason] > 1 else ""
            words = one if n == 1 else many
            lines.append(words.format(n=n, name=repr(str(first)), images=counted))
        told = [(s, n) for s, n in self._suffixes.most_common() if s not in NO_PICTURES]
        if told:
            listed = ", ".join(f"{n} {suffix}" for suffix, n in told[:SHOWN])
            more = ", ..." if len(told) > SHOWN else ""
            lines.append(
                f"files in {str(self._folder)!r} that are not read as images by their names: "
                f"{listed}{more}; convert them, or name one to have it tried"
            )
        return tuple(lines)


def left_out(name: str, path: Path) -> Reason | None:
    """Why a folder found among pictures is not read; None: it is."""
    folded = name.lower()
    if any(fnmatchcase(folded, pattern) for pattern in KEPT):
        return "kept"
    if name.startswith("."):
        return "hidden"
    return "written" if name.endswith(PARTIAL) or _written(path) else None


def not_read(folder: Path) -> str:
    """Why a folder in a data set is not read, in words; empty where it holds no images."""
    reason = left_out(folder.name, folder)
    if reason is None:
        return "is a link that is not followed"
    images = images_below(folder)
    counted = f"{images} image" if images == 1 else f"{images} images"
    why = {"written": "a run has written it", "kept": "a program keeps it beside pictures"}
    return f"is left out with {counted}: {why.get(reason, 'it is hidden')}" if images else ""


def _written(folder: Path) -> bool:
    try:
        return any(all((folder / part).exists() for part in parts) for parts in WRITTEN)
    except OSError:  # it may not be entered, which is told when it is read
        return False


def images_below(folder: Path) -> int:
    """Images in a folder and below, as far as one looks; what macOS notes of them is none."""
    names = islice((name for _, _, files in os.walk(folder) for name in files), LOOK)
    return sum(Path(n).suffix.lower() in SUFFIXES and not n.startswith("._") for n in names)
