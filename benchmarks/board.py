"""A circuit board of 4000 x 3000 pixels, drawn in code, and defects of 12 pixels on it.

All boards of a layout carry the same pads, traces and chips; each has its own shift, light, stains
and noise, as photographs of several parts have.
"""

from dataclasses import dataclass

import numpy as np
import PIL.Image
import PIL.ImageDraw
from numpy.typing import NDArray

WIDTH, HEIGHT = 4000, 3000
DEFECT = 12
"""Pixels across."""
KINDS = ("spot", "pinhole", "bridge", "break", "scratch", "ball")
GREEN, TRACE, GOLD, BLACK, WHITE = (
    (24, 84, 52),
    (52, 128, 84),
    (205, 170, 95),
    (34, 34, 38),
    (215, 215, 210),
)
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Layout:
    """Boxes of pads and chips, and upright or level traces: left, top, right, bottom."""

    pads: list[Box]
    traces: list[Box]
    chips: list[Box]


def layout(seed: int) -> Layout:
    random = np.random.default_rng(seed)
    chips = [_box(random, *random.integers(150, 420, 2)) for _ in range(24)]
    pads = [_box(random, *random.integers(24, 64, 2)) for _ in range(260)]
    traces = []
    for _ in range(180):
        long, wide = int(random.integers(200, 1400)), int(random.integers(6, 12))
        traces.append(_box(random, *((long, wide) if random.random() < 0.5 else (wide, long))))
    for left, top, right, bottom in chips:  # their legs
        for x in range(left + 14, right - 14, 28):
            pads += [(x, top - 24, x + 14, top + 2), (x, bottom - 2, x + 14, bottom + 24)]
    return Layout(pads, traces, chips)


def board(parts: Layout, seed: int, kind: str = "") -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A photograph H W 3 of one board, and where its defect is, H W; empty `kind`: none."""
    random = np.random.default_rng(seed)
    picture = PIL.Image.new("RGB", (WIDTH, HEIGHT), GREEN)
    pen = PIL.ImageDraw.Draw(picture)
    for boxes, colour in ((parts.traces, TRACE), (parts.pads, GOLD), (parts.chips, BLACK)):
        for box in boxes:
            pen.rectangle(box, fill=colour)
    for left, top, right, bottom in parts.chips:
        for x in range(left + 30, right - 40, 22):
            y = (top + bottom) // 2
            pen.line((x, y - 12, x + (x * 7) % 12, y + 12), fill=WHITE, width=3)
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    if kind:
        box = _damage(pen, parts, kind, random)
        mask[box[1] : box[3] + 1, box[0] : box[2] + 1] = True
    shift = tuple(int(v) for v in random.integers(-8, 9, 2))
    pixels = np.roll(np.asarray(picture, dtype=np.float32), shift, axis=(0, 1))
    stains = PIL.Image.fromarray(random.normal(0, 5, (15, 20)).astype(np.float32))
    slow = np.asarray(stains.resize((WIDTH, HEIGHT), PIL.Image.Resampling.BICUBIC))
    noise = random.standard_normal((HEIGHT, WIDTH), dtype=np.float32)
    pixels = pixels * random.uniform(0.97, 1.03) + (slow + 4 * noise)[..., None]
    return pixels.round().clip(0, 255).astype(np.uint8), np.roll(mask, shift, axis=(0, 1))


def _damage(
    pen: PIL.ImageDraw.ImageDraw, parts: Layout, kind: str, random: np.random.Generator
) -> Box:
    where = {"pinhole": parts.pads[:260], "bridge": parts.traces, "break": parts.traces}
    where |= {"scratch": parts.chips, "ball": parts.chips}
    boxes = where.get(kind, [(40, 40, WIDTH - 40, HEIGHT - 40)])
    left, top, right, bottom = boxes[int(random.integers(len(boxes)))]
    x, y = (
        int(random.integers(a, max(a + 1, b - DEFECT))) for a, b in ((left, right), (top, bottom))
    )
    x, y = min(max(x, 20), WIDTH - 40), min(max(y, 20), HEIGHT - 40)
    half = DEFECT // 2
    box = (x, y, x + DEFECT - 1, y + DEFECT - 1)
    if kind == "spot":
        pen.ellipse(box, fill=BLACK)
    elif kind == "pinhole":
        x, y = (left + right) // 2 - half, (top + bottom) // 2 - half
        box = (x, y, x + DEFECT - 1, y + DEFECT - 1)
        pen.ellipse(box, fill=GREEN)
    elif kind == "ball":
        pen.ellipse(box, fill=WHITE)
    elif kind == "scratch":
        pen.line((x, y, x + DEFECT, y + DEFECT), fill=WHITE, width=3)
    else:
        level = right - left > bottom - top
        if kind == "break":
            box = (x, top, x + DEFECT - 1, bottom) if level else (left, y, right, y + DEFECT - 1)
            pen.rectangle(box, fill=GREEN)
        else:
            box = (
                (x, bottom, x + 5, bottom + DEFECT) if level else (right, y, right + DEFECT, y + 5)
            )
            pen.rectangle(box, fill=TRACE)
    return box


def _box(random: np.random.Generator, width: int, height: int) -> Box:
    left = int(random.integers(60, WIDTH - 60 - width))
    top = int(random.integers(60, HEIGHT - 60 - height))
    return left, top, left + int(width), top + int(height)
