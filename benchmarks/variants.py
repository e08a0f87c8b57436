"""Files as programs write them, read here and by a second library: `python -m benchmarks.variants`

One picture is written in some fifty ways: TIFF by tifffile and imagecodecs (bit depths, photometric
interpretations, planes, tiles, compressions, alpha, palettes, pages), PNG, JPEG, WebP and GIF by
Pillow. tifffile and imagecodecs, which share no code with Pillow, read each back; what they give is
brought to the colours that a person sees by the definitions below. Ends with 1 unless each file is
read as they read it, or refused by its kind.
"""

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
import PIL.Image
import tifffile
from numpy.typing import NDArray

from inctrl.errors import UnreadableImage
from inctrl.frames import frames

HEIGHT, WIDTH, SEED = 48, 64, 0
Pixels = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Variant:
    """A file, and what a person sees in it.

    seen        of each image in it: H W of a deep channel, or uint8 H W 3; none where it is refused
    tolerance   how far colours may lie apart that two programs compute, of 255
    """

    name: str
    data: bytes
    seen: tuple[Pixels, ...]
    tolerance: int = 0


def picture(channels: int = 3, top: int = 255, dtype: str = "uint8") -> Pixels:
    """Slopes and noise in every channel, from 0 to `top`."""
    random = np.random.default_rng(SEED)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    slopes = [
        rows / HEIGHT,
        columns / WIDTH,
        (rows + columns) / (HEIGHT + WIDTH),
        1 - rows / HEIGHT,
    ]
    values = np.stack([slopes[i % 4] for i in range(channels)], axis=-1)
    values = np.clip(values + random.normal(0, 0.05, values.shape), 0, 1) * top
    result: Pixels = (values if channels > 1 else values[..., 0]).astype(dtype)
    return result


def gray(values: Pixels) -> Pixels:
    return np.repeat(values.astype(np.uint8)[..., None], 3, axis=2)


def on_white(values: Pixels) -> Pixels:
    """R G B A -> R G B as it looks on white paper."""
    alpha = values[..., -1:] / 255
    colours = values[..., :-1] if values.shape[-1] == 4 else np.repeat(values[..., :1], 3, axis=2)
    result: Pixels = np.rint(colours * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return result


def cmyk(values: Pixels) -> Pixels:
    """Inks that each take away their share."""
    inks = values.astype(float)
    result: Pixels = np.rint((255 - inks[..., :3]) * (255 - inks[..., 3:]) / 255).astype(np.uint8)
    return result


def tiff(values: Pixels, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **{"photometric": "minisblack", "metadata": None, **options})
    return buffer.getvalue()


def read_tiff(data: bytes) -> list[Pixels]:
    """The values of every page, as tifffile reads them."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return [np.asarray(page.asarray()) for page in file.pages]


def of_tiff(name: str, data: bytes, see: Callable[[Pixels], Pixels], tolerance: int = 0) -> Variant:
    return Variant(f"TIFF {name}", data, tuple(see(page) for page in read_tiff(data)), tolerance)


def deep(values: Pixels) -> Pixels:
    return values


def chunky(values: Pixels) -> Pixels:
    """Planes to pixels."""
    return np.moveaxis(values, 0, -1)


def tiffs() -> Iterator[Variant]:
    """Kinds that are read."""
    one, rgb, rgba = picture(1), picture(3), picture(4)
    wide = picture(1, 4000, "uint16")
    yield of_tiff("8 bits", tiff(one), gray)
    yield of_tiff(
        "8 bits, white is zero", tiff(one, photometric="miniswhite"), lambda v: gray(255 - v)
    )
    yield of_tiff("1 bit", tiff(one > 99), lambda v: gray(255 * v))
    yield of_tiff(
        "1 bit, white is zero",
        tiff(one > 99, photometric="miniswhite"),
        lambda v: gray(255 * (1 - v)),
    )
    yield of_tiff("4 bits", tiff(one // 16, bitspersample=4), lambda v: gray(17 * v))
    yield of_tiff(
        "8 signed bits", tiff(picture(1, 127, "int8")), lambda v: gray(v.astype(int) + 128)
    )
    yield of_tiff("16 bits", tiff(wide), deep)
    yield of_tiff("16 bits, big-endian", tiff(wide, byteorder=">"), deep)
    yield of_tiff(
        "16 bits, white is zero", tiff(wide, photometric="miniswhite"), lambda v: 65535 - v
    )
    yield of_tiff(
        "16 bits, white is zero, big-endian, LZW",
        tiff(wide, photometric="miniswhite", byteorder=">", compression="lzw"),
        lambda v: 65535 - v,
    )
    yield of_tiff("12 bits", tiff(wide, bitspersample=12), deep)
    yield of_tiff("16 signed bits", tiff(wide.astype("int16") - 2000), lambda v: v.astype("int32"))
    for dtype in ("int16", "int32", "float32"):
        values = wide.astype(dtype) - 2000
        yield of_tiff(
            f"{dtype}, big-endian, LZW",
            tiff(values, byteorder=">", compression="lzw"),
            lambda v: v.astype("int32") if v.dtype == np.int16 else v.astype(v.dtype.name),
        )
    yield of_tiff("32 bits", tiff(wide.astype("uint32") * 1000), lambda v: v.astype("int32"))
    yield of_tiff(
        "32 bits beyond 2^31",
        tiff(wide.astype("uint32") * 1_000_000),
        lambda v: v.astype("float32"),
    )
    yield of_tiff("32 signed bits", tiff(wide.astype("int32") * 9 - 20_000), deep)
    yield of_tiff("float32", tiff(picture(1, 1, "float32") - np.float32(0.3)), deep)
    yield of_tiff(
        "float32, white is zero",
        tiff(picture(1, 1, "float32"), photometric="miniswhite"),
        lambda v: -v,
    )
    yield of_tiff(
        "float32, predictor, deflate",
        tiff(picture(1, 1, "float32"), compression="zlib", predictor=3),
        deep,
    )
    yield of_tiff("RGB", tiff(rgb, photometric="rgb"), deep)
    yield of_tiff(
        "RGB in planes",
        tiff(np.moveaxis(rgb, -1, 0).copy(), photometric="rgb", planarconfig="separate"),
        chunky,
    )
    yield of_tiff(
        "RGB in planes, LZW",
        tiff(
            np.moveaxis(rgb, -1, 0).copy(),
            photometric="rgb",
            planarconfig="separate",
            compression="lzw",
        ),
        chunky,
    )
    yield of_tiff("RGB in tiles", tiff(rgb, photometric="rgb", tile=(16, 16)), deep)
    yield of_tiff(
        "RGB in tiles, deflate",
        tiff(rgb, photometric="rgb", tile=(32, 16), compression="zlib"),
        deep,
    )
    yield of_tiff(
        "RGB in strips, LZW, predictor",
        tiff(rgb, photometric="rgb", rowsperstrip=7, compression="lzw", predictor=True),
        deep,
    )
    yield of_tiff("RGB, PackBits", tiff(rgb, photometric="rgb", compression="packbits"), deep)
    yield of_tiff("RGB, Zstandard", tiff(rgb, photometric="rgb", compression="zstd"), deep)
    yield of_tiff("RGB as BigTIFF", tiff(rgb, photometric="rgb", bigtiff=True), deep)
    yield of_tiff(
        "RGB, 16 bits a channel",
        tiff(picture(3, 65535, "uint16"), photometric="rgb"),
        lambda v: (v >> 8).astype(np.uint8),
    )
    yield of_tiff(
        "RGB, alpha", tiff(rgba, photometric="rgb", extrasamples=["unassalpha"]), on_white, 1
    )
    yield of_tiff(
        "gray, alpha",
        tiff(picture(2), planarconfig="contig", extrasamples=["unassalpha"]),
        on_white,
        1,
    )
    yield of_tiff("CMYK", tiff(rgba, photometric="separated"), cmyk, 1)
    yield of_tiff("JPEG", tiff(rgb, photometric="ycbcr", compression="jpeg"), deep, 3)
    inks = tiff(_ycbcr(rgb), photometric="ycbcr", compression="lzw")
    yield of_tiff("YCbCr, LZW", inks, _rgb, 2)
    both = picture(4)
    both[..., :3] = both[..., :3] * (both[..., 3:] / 255)
    yield of_tiff(
        "RGB, alpha multiplied in",
        tiff(both, photometric="rgb", extrasamples=["assocalpha"]),
        lambda v: (v[..., :3].astype(int) + 255 - v[..., 3:]).clip(0, 255).astype(np.uint8),
        3,
    )
    yield of_tiff(
        "16 signed bits, white is zero",
        tiff(wide.astype("int16") - 2000, photometric="miniswhite"),
        lambda v: -1 - v.astype("int32"),
    )
    yield of_tiff(
        "12 bits, white is zero, BigTIFF",
        tiff(wide, photometric="miniswhite", bitspersample=12, bigtiff=True),
        lambda v: 4095 - v,
    )
    yield of_tiff(
        "4 bits, white is zero",
        tiff(one // 16, photometric="miniswhite", bitspersample=4),
        lambda v: gray(255 - 17 * v),
    )
    yield of_tiff(
        "RGB and two more channels",
        tiff(picture(5), photometric="rgb", extrasamples=[0, 0]),
        lambda v: v[..., :3],
    )
    colours = np.random.default_rng(SEED).integers(0, 256, (3, 256)).astype(np.uint16) * 257
    yield of_tiff(
        "palette",
        tiff(one, photometric="palette", colormap=colours),
        lambda v: (colours.T >> 8)[v].astype(np.uint8),
    )
    yield of_tiff("three pages", tiff(np.stack([one, 255 - one, one // 2])), gray)
    yield pages_of_kinds(one, wide, colours)
    yield thumbnail_first(one)
    turned = tiff(one, extratags=[(274, "H", 1, 6, True)])
    yield of_tiff("8 bits, turned by EXIF", turned, lambda v: np.rot90(gray(v), -1))


def pages_of_kinds(one: Pixels, wide: Pixels, colours: Pixels) -> Variant:
    """16 bits, then a palette, then RGB: Pillow keeps the palette of the second for the first."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(wide, photometric="minisblack", metadata=None)
        file.write(one, photometric="palette", colormap=colours, metadata=None)
        file.write(picture(3), photometric="rgb", metadata=None)
    first, second, third = read_tiff(buffer.getvalue())
    seen = (first, (colours.T >> 8)[second].astype(np.uint8), third)
    return Variant("TIFF 16 bits, palette, RGB as pages", buffer.getvalue(), seen)


def thumbnail_first(one: Pixels) -> Variant:
    """A page that says that it is a reduced copy is no image of its own."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(one[::4, ::4], photometric="minisblack", subfiletype=1, metadata=None)
        file.write(one, photometric="minisblack", metadata=None)
    seen = (gray(read_tiff(buffer.getvalue())[1]),)
    return Variant("TIFF thumbnail, then the image", buffer.getvalue(), seen)


def refused_tiffs() -> Iterator[Variant]:
    """Kinds of which a person would have to say how they are to be seen, or that are misread."""
    planes = np.moveaxis(picture(3), -1, 0) * np.uint16(257)
    for name, values, options in (
        ("float64", picture(1, 1, "float64"), {}),
        ("float16", picture(1, 1, "float16"), {}),
        ("2 channels", picture(2), {"planarconfig": "contig"}),
        ("5 channels", picture(5), {"planarconfig": "contig"}),
        ("float32 RGB", picture(3, 1, "float32"), {"photometric": "rgb"}),
        ("16 bits RGB in planes", planes, {"photometric": "rgb", "planarconfig": "separate"}),
        ("64 bits", picture(1, 9999, "uint64"), {}),
        ("YCbCr, not compressed", picture(3), {"photometric": "ycbcr"}),
        ("JPEG 2000", picture(3), {"photometric": "rgb", "compression": "jpeg2000"}),
    ):
        yield Variant(f"TIFF {name}", tiff(values, **options), ())


def saved(image: PIL.Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def others() -> Iterator[Variant]:
    """PNG, JPEG, WebP and GIF; a second decoder of each is imagecodecs."""
    png, jpeg = imagecodecs.png_decode, imagecodecs.jpeg8_decode
    one, rgb = PIL.Image.fromarray(picture(1)), PIL.Image.fromarray(picture(3))
    rgba = PIL.Image.fromarray(picture(4), "RGBA")
    wide = PIL.Image.fromarray(picture(1, 4000, "uint16"))

    def variant(
        name: str,
        data: bytes,
        read: Callable[[bytes], Pixels],
        see: Callable[[Pixels], Pixels],
        tolerance: int = 0,
    ) -> Variant:
        return Variant(name, data, (see(np.asarray(read(data))),), tolerance)

    yield variant("PNG gray", saved(one, "PNG"), png, gray)
    yield variant("PNG 16 bits", saved(wide, "PNG"), png, deep)
    yield variant("PNG RGB", saved(rgb, "PNG"), png, deep)
    yield variant("PNG RGB, alpha", saved(rgba, "PNG"), png, on_white, 1)
    yield variant("PNG palette", saved(rgb.quantize(32), "PNG"), png, deep)
    wide_rgb = bytes(imagecodecs.png_encode(picture(3, 65535, "uint16")))
    yield variant("PNG RGB, 16 bits a channel", wide_rgb, png, lambda v: (v >> 8).astype(np.uint8))
    yield variant("JPEG gray", saved(one, "JPEG"), jpeg, gray, 1)
    yield variant("JPEG RGB", saved(rgb, "JPEG", quality=90), jpeg, deep, 1)
    yield variant(
        "JPEG progressive, 4:4:4",
        saved(rgb, "JPEG", progressive=True, subsampling=0),
        jpeg,
        deep,
        1,
    )
    profile = PIL.Image.open(io.BytesIO(saved(rgb, "JPEG", icc_profile=_profile())))
    yield variant(
        "JPEG with an ICC profile", saved(profile, "JPEG", icc_profile=_profile()), jpeg, deep, 1
    )
    for orientation, turn in ((3, 2), (6, -1), (8, 1)):
        exif = PIL.Image.Exif()
        exif[0x0112] = orientation
        data = saved(rgb, "JPEG", exif=exif.tobytes())
        upright = np.rot90(np.asarray(jpeg(data)), turn)
        yield Variant(f"JPEG turned, EXIF {orientation}", data, (upright,), 1)
    webp = imagecodecs.webp_decode
    yield variant("WebP lossless", saved(rgb, "WEBP", lossless=True), webp, deep)
    yield variant("WebP lossy", saved(rgb, "WEBP", quality=80), webp, lambda v: v[..., :3], 1)
    yield variant("WebP, alpha", saved(rgba, "WEBP", lossless=True), webp, on_white, 1)
    quantized = rgb.quantize(64)
    gif = saved(quantized, "GIF")
    yield variant("GIF", gif, imagecodecs.gif_decode, lambda v: v[..., :3])
    yield moving_gif(quantized)
    yield variant("BMP", saved(rgb, "BMP"), imagecodecs.bmp_decode, deep)


def moving_gif(first: PIL.Image.Image) -> Variant:
    second = first.transpose(PIL.Image.Transpose.ROTATE_180)
    data = saved(first, "GIF", save_all=True, append_images=[second], disposal=1)
    read = np.asarray(imagecodecs.gif_decode(data, index=None))
    return Variant("GIF of two frames", data, tuple(frame[..., :3] for frame in read))


def _ycbcr(rgb: Pixels) -> Pixels:
    """ITU-R BT.601 at full range, as TIFF has it by default."""
    r, g, b = np.moveaxis(rgb.astype(float), -1, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    parts = [y, (b - y) / 1.772 + 128, (r - y) / 1.402 + 128]
    return _eight_bits(np.stack(parts, -1))


def _rgb(ycbcr: Pixels) -> Pixels:
    y, cb, cr = np.moveaxis(ycbcr.astype(float), -1, 0)
    r, b = y + 1.402 * (cr - 128), y + 1.772 * (cb - 128)
    parts = [r, (y - 0.299 * r - 0.114 * b) / 0.587, b]
    return _eight_bits(np.stack(parts, -1))


def _eight_bits(values: Pixels) -> NDArray[np.uint8]:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def variants() -> list[Variant]:
    return [*tiffs(), *refused_tiffs(), *others()]


def outcome(variant: Variant) -> tuple[bool, str]:
    """Whether it is right, and what came of it."""
    found = list(frames(variant.data, variant.name))
    refusals = [one for one in found if isinstance(one, UnreadableImage)]
    if refusals:
        told = " of a kind that is not read (" in str(refusals[0]) or "damaged (" in str(
            refusals[0]
        )
        return not variant.seen and told, f"refused: {refusals[0]}"
    seen = [one.pixels for one in found if not isinstance(one, UnreadableImage)]
    if [one.shape for one in seen] != [one.shape for one in variant.seen]:
        return False, f"{[one.shape for one in seen]}, not {[one.shape for one in variant.seen]}"
    apart = max(_apart(a, b) for a, b in zip(seen, variant.seen, strict=True))
    return apart <= variant.tolerance, f"{len(seen)} image(s), at most {apart:g} apart"


def _apart(a: Pixels, b: Pixels) -> float:
    if a.dtype != b.dtype:
        return float("inf")
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())


def main(found: Sequence[Variant] | None = None) -> int:
    wrong = 0
    for variant in found or variants():
        right, words = outcome(variant)
        wrong += not right
        sys.stdout.write(f"{'' if right else 'WRONG'!s:6}{variant.name:42} {words}\n")
    sys.stdout.write(f"{wrong} wrong of {len(found or variants())}\n")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
