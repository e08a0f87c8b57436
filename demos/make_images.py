"""Make demos/images from photographs of scikit-image (pip install scikit-image).

Each photograph is cut into windows; some stay as they are, into some a defect is drawn, and the
coin on the gravel is cut out of a photograph of coins. Run once; the result is committed.
"""

from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFilter
from skimage import data

SIDE = 128
SHOTS = 6
IMAGES = Path(__file__).parent / "images"


def windows(photograph: np.ndarray) -> list[PIL.Image.Image]:
    """Sixteen windows that do not overlap, in a fixed random order."""
    cut = [
        PIL.Image.fromarray(photograph[y : y + SIDE, x : x + SIDE])
        for y in range(0, 512, SIDE)
        for x in range(0, 512, SIDE)
    ]
    return [cut[i] for i in np.random.default_rng(0).permutation(len(cut))]


def blend(image: PIL.Image.Image, mask: PIL.Image.Image, gray: int) -> PIL.Image.Image:
    return PIL.Image.composite(PIL.Image.new("L", image.size, gray), image, mask)


def crack(image: PIL.Image.Image) -> PIL.Image.Image:
    random = np.random.default_rng(1)
    xs = np.linspace(14, 112, 14)
    ys = 30 + np.cumsum(random.normal(4.5, 5.0, xs.size))
    mask = PIL.Image.new("L", image.size, 0)
    PIL.ImageDraw.Draw(mask).line(list(zip(xs, ys, strict=True)), fill=255, width=3)
    return blend(image, mask.filter(PIL.ImageFilter.GaussianBlur(0.7)), 25)


def stain(image: PIL.Image.Image) -> PIL.Image.Image:
    mask = PIL.Image.new("L", image.size, 0)
    draw = PIL.ImageDraw.Draw(mask)
    for box in ((58, 50, 100, 84), (70, 66, 112, 98), (50, 62, 80, 90)):
        draw.ellipse(box, fill=215)
    return blend(image, mask.filter(PIL.ImageFilter.GaussianBlur(3)), 35)


def hole(image: PIL.Image.Image) -> PIL.Image.Image:
    mask = PIL.Image.new("L", image.size, 0)
    PIL.ImageDraw.Draw(mask).ellipse((40, 66, 62, 86), fill=255)
    return blend(image, mask.filter(PIL.ImageFilter.GaussianBlur(1)), 15)


def coin(image: PIL.Image.Image) -> PIL.Image.Image:
    found = PIL.Image.fromarray(data.coins()).crop((305, 15, 363, 73)).resize((40, 40))
    mask = PIL.Image.new("L", found.size, 0)
    PIL.ImageDraw.Draw(mask).ellipse((1, 1, 38, 38), fill=255)
    result = image.copy()
    result.paste(found, (52, 40), mask.filter(PIL.ImageFilter.GaussianBlur(0.8)))
    return result


def main() -> None:
    plans = {
        "brick": (data.brick(), {"crack": crack, "hole": hole, "stain": stain}),
        "gravel": (data.gravel(), {"coin": coin, "oil": stain}),
    }
    for name, (photograph, defects) in plans.items():
        cut = windows(photograph)
        for kind in ("normal", "query"):
            (IMAGES / name / kind).mkdir(parents=True, exist_ok=True)
        for i, image in enumerate(cut[:SHOTS]):
            image.save(IMAGES / name / "normal" / f"{i + 1}.png")
        rest = cut[SHOTS:]
        for (defect, draw), image in zip(defects.items(), rest, strict=False):
            draw(image).save(IMAGES / name / "query" / f"{defect}.png")
        for i, image in enumerate(rest[len(defects) : len(defects) + 4]):
            image.save(IMAGES / name / "query" / f"good-{i + 1}.png")


if __name__ == "__main__":
    main()
