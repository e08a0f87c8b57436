"""A few drawn images with captions, as the training program wants them: ZIPs and a folder."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from scipy import ndimage

from tiny.shards import Captioned, read_records

OBJECTS = ("accordion", "barrel", "teapot", "umbrella")
MATERIALS = ("bark", "concrete", "leather", "marble")
SIDE = 40


def drawn(name: str) -> bytes:
    """A PNG of a coarse pattern in the colour that its name chooses."""
    random = np.random.default_rng(list(name.encode()))
    noise = ndimage.gaussian_filter(random.uniform(0, 1, (SIDE, SIDE, 3)), (2, 2, 0))
    rgb = np.clip(random.uniform(60, 190, 3) + 300 * (noise - 0.5), 0, 255).astype(np.uint8)
    stored = io.BytesIO()
    PIL.Image.fromarray(rgb).save(stored, "PNG")
    return stored.getvalue()


def write_shards(folder: Path) -> Path:
    """Three free sources of 8, 16 and 3 images and a research-only one of 5, mixed in one list."""
    rows: list[dict[str, Any]] = []
    for label in OBJECTS:
        rows += [
            {"shard": "caltech101-00.zip", "source": "caltech101", "file": f"{label}-{i}.png",
             "label": label, "captions": [f"a photo of a {label}"]}
            for i in range(2)
        ]  # fmt: skip
    for label in MATERIALS:
        rows += [
            {"shard": "ambientcg", "source": "ambientcg", "file": f"{label}-{i}.png",
             "label": label, "captions": [f"the surface of {label}"]}
            for i in range(4)
        ]  # fmt: skip
    told = [("a man", "cuts a cake"), ("a dog", "sleeps on a sofa"), ("two women", "ride bikes")]
    rows += [
        {"shard": "cocomini-00.zip", "source": "cocomini", "file": f"{i}.png",
         "captions": [f"{who} {acts}", f"there is {who} that {acts}"]}
        for i, (who, acts) in enumerate(told)
    ]  # fmt: skip
    rows[2:2] = [
        {"shard": "flickr8k-00.zip", "source": "flickr8k", "file": f"{i}.png",
         "captions": [f"a quokka naps on {number} xylophones"]}
        for i, number in enumerate(("one", "two", "three", "four", "five"))
    ]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        store(folder / row["shard"], row["file"], drawn(f"{row['shard']}/{row['file']}"))
    write_rows(folder, rows)
    return folder


def store(shard: Path, file: str, data: bytes) -> None:
    """Add a file to a ZIP shard or to a folder."""
    if shard.suffix == ".zip":
        with zipfile.ZipFile(shard, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(file, data)
    else:
        shard.mkdir(exist_ok=True)
        (shard / file).write_bytes(data)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def write_rows(folder: Path, rows: list[dict[str, Any]]) -> None:
    lines = [json.dumps(row) + "\n" for row in rows]
    (folder / "captions.jsonl").write_text("".join(lines), encoding="utf-8")


def free_records(folder: Path) -> list[Captioned]:
    return [record for record in read_records(folder) if record.free]
