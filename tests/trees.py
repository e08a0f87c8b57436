"""Tiny data sets in the layouts that their publishers give them, for tests."""

import csv
import gzip
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def picture(
    path: Path, pixels: NDArray[np.uint8] | int = 0, size: tuple[int, int] = (8, 8)
) -> Path:
    """An image file, of given pixels or of one shade; `size` is height, width."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.full(size, pixels, np.uint8) if isinstance(pixels, int) else pixels
    Image.fromarray(array).save(path)
    return path


def marked(
    height: int, width: int, *points: tuple[int, int], value: int = 255
) -> NDArray[np.uint8]:
    """A mask with these pixels (row, column) marked."""
    mask = np.zeros((height, width), np.uint8)
    for point in points:
        mask[point] = value
    return mask


def lines(path: Path, rows: Iterable[Iterable[object]]) -> Path:
    """A CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def mvtec(root: Path) -> Path:
    for i in range(3):
        picture(root / f"metal_nut/train/good/{i:03d}.png", i)
        picture(root / f"metal_nut/test/good/{i:03d}.png", 10 + i)
        picture(root / f"metal_nut/test/bent/{i:03d}.png", 20 + i)
        picture(root / f"metal_nut/ground_truth/bent/{i:03d}_mask.png", marked(8, 8, (i, 1)))
    return root


def visa(root: Path) -> Path:
    rows = [["object", "split", "label", "image", "mask"]]
    for name in ("pipe_fryum", "candle"):
        data = f"{name}/Data"
        for i, split in enumerate(("train", "test", "train", "test")):
            picture(root / data / f"Images/Normal/{i:04d}.JPG", i)
            rows.append([name, split, "normal", f"{data}/Images/Normal/{i:04d}.JPG", ""])
        for i in range(2):
            image, mask = f"{data}/Images/Anomaly/{i:03d}.JPG", f"{data}/Masks/Anomaly/{i:03d}.png"
            picture(root / image, 100 + i)
            picture(root / mask, marked(8, 8, (i, 2), value=i + 1))
            rows.append([name, "test", "anomaly", image, mask])
    lines(root / "split_csv/1cls.csv", rows)
    return root


def elpv(root: Path, below: str = "") -> Path:
    rows = []
    for i in range(1, 15):
        share = ("0.0", "0.0", "0.3333333333333333", "1.0", "0.6666666666666666")[i % 5]
        picture(root / below / f"images/cell{i:04d}.png", i)
        rows.append(f"images/cell{i:04d}.png  {share:18}  {'mono' if i < 8 else 'poly'}\n")
    (root / below / "labels.csv").write_text("".join(rows))
    return root


def sdd(root: Path) -> Path:
    """Images 10 x 6, cut at rows 3 and 6; of each part, Part1 is marked in its last piece."""
    rows = np.repeat(np.arange(10, dtype=np.uint8)[:, None] * 20, 6, axis=1)
    for part in ("kos02", "kos01"):
        for i in range(2):
            picture(root / part / f"Part{i}.jpg", rows)
            points = [(6, 2)] if i else []
            picture(root / part / f"Part{i}_label.bmp", marked(10, 6, *points))
    return root


def aitex(root: Path, nested: bool = False) -> Path:
    """Strips of three tiles; 019 has two masks, 036 none."""
    shades = np.repeat(np.arange(3, dtype=np.uint8), 256)[None].repeat(8, axis=0) * 50
    for fabric, name in (("2311694-2040n7u", "0002_000_00"), ("2306881-210020u", "0001_000_05")):
        picture(root / "NODefect_images" / fabric / f"{name}.png", shades)
    defects, masks = (
        root / part / (part if nested else "") for part in ("Defect_images", "Mask_images")
    )
    for name in ("0001_002_00", "0044_019_04", "0100_036_08"):
        picture(defects / f"{name}.png", shades)
    picture(masks / "0001_002_00_mask.png", marked(8, 768, (2, 300)))
    picture(masks / "0044_019_04_mask1.png", marked(8, 768, (1, 5), (1, 600)))
    picture(masks / "0044_019_04_mask2.png", marked(8, 768, (4, 7)))
    return root


def brainmri(root: Path, below: str = "") -> Path:
    for i in range(5):
        picture(root / below / f"no/{i} no.{'jpeg' if i % 2 else 'jpg'}", i)
        picture(root / below / f"yes/Y{i}.JPG", 100 + i)
    return root


def headct(root: Path, below: str = "head_ct/head_ct") -> Path:
    for i in range(8):
        picture(root / below / f"{i:03d}.png", i)
    rows = "".join(f"{i}, {int(i < 4)}\n" for i in range(8))
    (root / "labels.csv").write_text(f"id, hemorrhage\n{rows}")
    return root


def idx(path: Path, values: NDArray[np.uint8]) -> Path:
    """An idx file, packed where its name ends with .gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = [0x0800 + values.ndim, *values.shape]
    data = b"".join(n.to_bytes(4) for n in header) + values.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def digits(count: int) -> NDArray[np.uint8]:
    """Images 5 x 4, all different."""
    return np.arange(count * 20, dtype=np.uint8).reshape(count, 5, 4)


def mnist(root: Path, below: str = "", end: str = ".gz") -> Path:
    """Labels run 0, 1, ..., 9, 0, 1, ...: thirty images to train, ten to test."""
    for part, count in (("train", 30), ("t10k", 10)):
        labels = np.arange(count, dtype=np.uint8) % 10
        idx(root / below / f"{part}-images-idx3-ubyte{end}", digits(count))
        idx(root / below / f"{part}-labels-idx1-ubyte{end}", labels)
    return root


def colours(seed: int) -> NDArray[np.uint8]:
    """Images of a batch of CIFAR-10, 10 H W 3; image i is of class (i + seed) % 10."""
    return np.random.default_rng(seed).integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)


def cifar10(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        records = (
            bytes([(i + seed) % 10]) + image.transpose(2, 0, 1).tobytes()
            for i, image in enumerate(colours(seed))
        )
        (root / f"{name}.bin").write_bytes(b"".join(records))
    (root / "batches.meta.txt").write_text("\n".join(CLASSES) + "\n\n")
    return root


def folder(root: Path) -> Path:
    for i in range(8):
        picture(root / f"oak-board/normal/{i}.png", i)
    for i in range(2):
        picture(root / f"oak-board/anomalous/knot/{i}.jpg", 100 + i)
        picture(root / f"oak-board/masks/knot/{i}.png", marked(8, 8, (i, 3)))
    picture(root / "oak-board/anomalous/odd.png", 200)
    for i in range(4):
        picture(root / f"tile/good/{i}.png", 30 + i)
    picture(root / "tile/defect/a.png", 90)
    return root


COLUMNS = ("path", "label", "split", "mask", "category", "item", "group", "kind")
ROWS = (
    ("a/1.png", "normal", "train", "", "nut", "metal nut", "p1", ""),
    ("a/2.png", "0", "train", "", "nut", "", "p2", ""),
    ("a/3.png", "normal", "test", "", "nut", "", "p1", ""),
    ("a/4.png", "anomalous", "test", "m/4.png", "nut", "", "p3", "bent"),
    ("b/1.png", "0", "train", "", "bolt", "", "", ""),
    ("b/2.png", "1", "test", "", "bolt", "", "", "rust"),
)


def table(root: Path) -> Path:
    for i, row in enumerate(ROWS):
        picture(root / row[0], i)
    picture(root / "m/4.png", marked(8, 8, (5, 6)))
    return lines(root / "parts.csv", [COLUMNS, *ROWS])


def released(root: Path) -> Path:
    """Lists below `root/lists`, with paths told from `root`, as InCTRL's generator writes them."""
    good = [f"data/pipe_fryum/test/good/{i}.png" for i in range(2)]
    train = [f"data/pipe_fryum/train/good/{i}.png" for i in range(3)]
    bad = [f"data/pipe_fryum/test/crack/{i}.png" for i in range(2)]
    for i, path in enumerate([*good, *train, *bad]):
        picture(root / path, i)
    lists = root / "lists/visa"
    lists.mkdir(parents=True)
    parts = {
        "normal": (0, train + good),
        "outlier": (1, bad),
        "val_normal": (0, good),
        "val_outlier": (1, bad),
    }
    for part, (target, paths) in parts.items():
        rows = [{"image_path": path, "target": target, "type": "pipe_fryum"} for path in paths]
        (lists / f"pipe_fryum_{part}.json").write_text(json.dumps(rows))
    return root / "lists"


TREES: dict[str, Callable[[Path], Path]] = {
    "mvtec": mvtec,
    "visa": visa,
    "elpv": elpv,
    "sdd": sdd,
    "aitex": aitex,
    "brainmri": brainmri,
    "headct": headct,
    "mnist": mnist,
    "cifar10": cifar10,
    "folder": folder,
    "csv": table,
    "inctrl-json": released,
}
