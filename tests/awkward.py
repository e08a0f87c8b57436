"""Images as people have them, in formats that are easily read wrongly, of one kind of part."""

import io
from pathlib import Path

import numpy as np
import PIL.Image
import tifffile
from numpy.typing import NDArray


def part(seed: int, *, spot: bool = False) -> NDArray[np.uint8]:
    """A noisy gray field; the spot is a bright patch."""
    values = np.random.default_rng(seed).normal(120, 12, (64, 80))
    if spot:
        values[20:36, 40:60] = 235
    return values.clip(0, 255).astype(np.uint8)


def normals(folder: Path) -> list[Path]:
    """Four in three files: two as PNG, two as the pages of a TIFF."""
    folder.mkdir(parents=True)
    for seed in (0, 1):
        PIL.Image.fromarray(part(seed)).save(folder / f"good-{seed}.png")
    tifffile.imwrite(
        folder / "good-2-3.tif", np.stack([part(2), part(3)]), photometric="minisblack"
    )
    return sorted(folder.iterdir())


def queries(folder: Path) -> list[Path]:
    """Good ones, and defects in a second page, a second frame, in turned and in inverted files."""
    folder.mkdir(parents=True)
    PIL.Image.fromarray(part(7)).save(
        folder / "1-moving.gif",
        save_all=True,
        append_images=[PIL.Image.fromarray(part(8, spot=True))],
    )
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    turned = PIL.Image.fromarray(np.rot90(part(9, spot=True)).copy())
    turned.save(folder / "2-turned.jpg", exif=exif.tobytes(), quality=95)
    with tifffile.TiffWriter(folder / "3-pages.tif") as file:
        colours = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))
        file.write(part(10), photometric="minisblack")
        file.write(part(11, spot=True), photometric="palette", colormap=colours)
    tifffile.imwrite(folder / "4-inverted.tif", 255 - part(12, spot=True), photometric="miniswhite")
    wide = 65535 - part(13).astype(np.uint16) * 10
    tifffile.imwrite(folder / "5-inverted-16.tif", wide, photometric="miniswhite", byteorder=">")
    clear = np.dstack([part(14, spot=True), np.full((64, 80), 200, np.uint8)])
    PIL.Image.fromarray(clear, "LA").save(folder / "6-alpha.png")
    tifffile.imwrite(folder / "7-float64.tif", part(15).astype(np.float64))
    return sorted(folder.iterdir())


NAMES = (
    "1-moving.gif#1",
    "1-moving.gif#2",
    "2-turned.jpg",
    "3-pages.tif#1",
    "3-pages.tif#2",
    "4-inverted.tif",
    "5-inverted-16.tif",
    "6-alpha.png",
    "7-float64.tif",
)
"""What all queries are called, each image by itself; the last cannot be read."""
SPOTS = (1, 2, 4, 5, 7)
"""Those with a defect."""


def stack(*images: NDArray[np.uint8]) -> bytes:
    """A TIFF of several pages."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        for image in images:
            file.write(image, photometric="rgb" if image.ndim == 3 else "minisblack")
    return buffer.getvalue()
