"""Images that mean harm: each function returns the bytes of one, for tests and benchmarks."""

import io
import itertools
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.Image

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
RGB, PALETTE = 2, 3


def encoded(image: PIL.Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# Sizes that a file only claims, and sizes that it unpacks to


def png_chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def png(width: int, height: int, body: bytes, extra: bytes = b"", colour: int = RGB) -> bytes:
    """A PNG of 8 bits with a compressed body, and chunks between its header and that."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    rest = png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    return PNG_MAGIC + header + extra + rest


def png_claiming(width: int, height: int) -> bytes:
    return png(width, height, zlib.compress(b"\0" * 100))


def png_of_zeros(width: int, height: int) -> bytes:
    """A true image that compresses a thousandfold: all its pixels are there."""
    pack = zlib.compressobj(6)
    row = b"\0" * (1 + 3 * width)
    return png(width, height, b"".join(pack.compress(row) for _ in range(height)) + pack.flush())


def gif_claiming(width: int, height: int) -> bytes:
    small = encoded(PIL.Image.new("P", (8, 8)), "GIF")
    return small[:6] + struct.pack("<HH", width, height) + small[10:]


def gif_with_a_giant_frame(width: int, height: int) -> bytes:
    """The screen is small; the first frame says that it is not."""
    small = encoded(PIL.Image.new("P", (8, 8)), "GIF")
    at = small.index(b"\x2c\0\0\0\0\x08\0\x08\0") + 5
    return small[:at] + struct.pack("<HH", width, height) + small[at + 4 :]


def webp_claiming(width: int, height: int) -> bytes:
    """An animation of small frames on a canvas that is not."""
    frames = [PIL.Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    small = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    at = small.index(b"VP8X") + 12
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return small[:at] + canvas + small[at + 6 :]


def bmp_claiming(width: int, height: int) -> bytes:
    small = encoded(PIL.Image.new("RGB", (8, 8)), "BMP")
    return small[:18] + struct.pack("<ii", width, height) + small[26:]


def jpeg_claiming(width: int, height: int) -> bytes:
    small = encoded(PIL.Image.new("RGB", (8, 8)), "JPEG")
    at = small.index(b"\xff\xc0") + 5
    return small[:at] + struct.pack(">HH", height, width) + small[at + 4 :]


def ppm_claiming(width: int, height: int) -> bytes:
    return b"P6 %d %d 255\n" % (width, height) + b"\0" * 100


# TIFF: (tag, type, count, value or offset) as the file has them


def tiff(entries: list[tuple[int, int, int, int]], tail: bytes = b"", following: int = 0) -> bytes:
    """One directory at offset 8, then the tail."""
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", following) + tail


def tiff_entries(width: int, height: int, offset: int = 200) -> list[tuple[int, int, int, int]]:
    """Uncompressed grey pixels in one strip at the offset."""
    pixels = min(width * height, 2**32 - 1)
    fields = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, offset), (277, 1)]
    return [(tag, 4, 1, value) for tag, value in [*fields, (278, height), (279, pixels)]]


def tiff_claiming(width: int, height: int) -> bytes:
    return tiff(tiff_entries(width, height), b"\0" * 400)


def tiff_with(*more: tuple[int, int, int, int], following: int = 0) -> bytes:
    """A sound small TIFF, but for these entries."""
    tags = {entry[0] for entry in more}
    sound = [entry for entry in tiff_entries(8, 8) if entry[0] not in tags]
    return tiff([*sound, *more], b"\0" * 400, following)


def tiff_of_many_frames(frames: int) -> bytes:
    """Directories of a small image, one behind the other, that share its pixels."""
    size = 2 + 12 * 9 + 4
    parts = [b"II*\0" + struct.pack("<I", 8)]
    for index in range(frames):
        last = index == frames - 1
        entries = tiff_entries(8, 8, offset=8 + frames * size)
        parts.append(tiff(entries, following=0 if last else 8 + (index + 1) * size)[8:])
    return b"".join(parts) + b"\0" * 64


def tiff_of_pixel_strips(rows: int) -> bytes:
    """A strip for each row of a tall narrow image, all at the same place."""
    start = 8 + 2 + 12 * 9 + 4
    keep = [entry for entry in tiff_entries(4, rows) if entry[0] not in (273, 278, 279)]
    table = [(273, 4, rows, start + 64), (278, 4, 1, 1), (279, 4, rows, start + 64 + 4 * rows)]
    offsets = struct.pack("<I", start) * rows
    return tiff([*keep, *table], b"\0" * 64 + offsets + struct.pack("<I", 4) * rows)


# Metadata


def text_bomb(kind: bytes, megabytes: int, chunks: int = 1) -> bytes:
    """PNG text or profile chunks that unpack to megabytes each."""
    packed = zlib.compress(b"A" * (megabytes * 10**6), 9)
    head = {b"zTXt": b"key\0\0", b"iCCP": b"key\0\0", b"iTXt": b"key\0\1\0\0\0"}[kind]
    extra = png_chunk(kind, head + packed) * chunks
    return png(8, 8, zlib.compress(b"\0" * 25 * 8), extra)


def exif_bomb() -> bytes:
    """A JPEG whose EXIF block claims four thousand million values, in directories that loop."""
    entries = [(0x0112, 3, 2**32 - 1, 8), (0x8769, 4, 1, 8), (0x8825, 4, 1, 8)]
    exif = b"Exif\0\0" + tiff(entries, following=8)
    return encoded(PIL.Image.new("RGB", (8, 8)), "JPEG", exif=exif)


def jpeg_of_many_segments(segments: int) -> bytes:
    plain = encoded(PIL.Image.new("RGB", (8, 8)), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", 300) + b"Exif\0\0" + b"x" * 292
    return plain[:2] + segment * segments + plain[2:]


# Time


def slow_jpeg(side: int, scans: int) -> bytes:
    """A progressive JPEG that refines nothing, over and over: each scan visits every block."""
    plain = encoded(PIL.Image.new("L", (side, side)), "JPEG", progressive=True)
    last = plain.rindex(b"\xff\xda")
    return plain[:last] + plain[last:-2] * scans + plain[-2:]


def gif_of_many_frames(frames: int) -> bytes:
    images = [PIL.Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    two = encoded(images[0], "GIF", save_all=True, append_images=images[1:], duration=20)
    start = two.index(b"\x21\xf9", two.index(b"\x2c"))  # the control block of the second frame
    return two[:start] + two[start:-1] * (frames - 1) + two[-1:]


# Other things under an image's name


class _Tripwire:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self._path,)


def pickled(tripwire: Path) -> bytes:
    """A pickle that creates the file as soon as someone loads it."""
    return pickle.dumps(_Tripwire(tripwire))


def others() -> dict[str, bytes]:
    """Documents, scripts and archives, some of which begin as an image does."""
    html = b"<html><script>alert(1)</script></html>"
    return {
        "page.png": html,
        "drawing.png": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
        "script.gif": b"GIF89a=1;" + html,
        "page.jpg": b"\xff\xd8\xff\xe0" + html,
        "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "document.png": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
        "archive.png": b"PK\x03\x04" + b"\0" * 60,
        "array.png": b"\x93NUMPY\x01\0" + b"\0" * 60,
        "magic.png": PNG_MAGIC,
        "riff.webp": b"RIFF\xff\xff\xff\xffWEBP",
        "icon.png": encoded(PIL.Image.new("RGB", (16, 16)), "ICO"),
        "targa.png": encoded(PIL.Image.new("RGB", (16, 16)), "TGA"),
        "pcx.png": encoded(PIL.Image.new("RGB", (16, 16)), "PCX"),
        "dds.png": encoded(PIL.Image.new("RGB", (16, 16)), "DDS"),
        "jp2.png": encoded(PIL.Image.new("RGB", (16, 16)), "JPEG2000"),
    }


# Honest images: what must be read exactly, and what mutants are made of


def honest(values: np.random.Generator) -> dict[str, bytes]:
    """Small images of every format in the modes that it has, by name."""
    colours = values.integers(0, 256, (40, 56, 4), dtype=np.uint8)
    colours[:20] //= 64  # half noise, half areas: palettes and run lengths have work
    rgba = PIL.Image.fromarray(colours)
    images: dict[str, bytes] = {}
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB"):
        source = rgba if mode.endswith("A") else rgba.convert("RGB")
        image = PIL.Image.frombytes("LAB", rgba.size, source.tobytes()) if mode == "LAB" else None
        image = image or source.convert(mode)
        for kind, options in FLAVOURS:
            if mode in MODES[kind] and ("transparency" not in options or mode in "1LP"):
                name = "-".join([mode, *map(str, options.values())])
                images[f"{name}.{kind.lower()}"] = encoded(image, kind, **options)
    images["RGB-transparency.png"] = encoded(rgba.convert("RGB"), transparency=(0, 1, 0))
    return {**images, **_turned(rgba), **_deep(values), **_several(rgba.convert("RGB"))}


MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "JPEG": ("L", "RGB", "CMYK"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "WEBP": ("L", "RGB", "RGBA"),
    "GIF": ("1", "L", "P", "RGB", "RGBA"),
    "PPM": ("1", "L", "RGB"),
}
FLAVOURS: list[tuple[str, dict[str, object]]] = [
    *((kind, {}) for kind in MODES),
    ("PNG", {"transparency": 2}),
    ("JPEG", {"progressive": True}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "tiff_deflate"}),
    ("TIFF", {"compression": "packbits"}),
    ("WEBP", {"lossless": True}),
]


def _turned(image: PIL.Image.Image) -> dict[str, bytes]:
    images = {}
    for kind, orientation in itertools.product(("PNG", "JPEG", "TIFF", "WEBP"), range(1, 9)):
        exif = PIL.Image.Exif()
        exif[0x0112] = orientation
        data = encoded(image.convert("RGB"), kind, exif=exif.tobytes())
        images[f"turned-{orientation}.{kind.lower()}"] = data
    return images


def _deep(values: np.random.Generator) -> dict[str, bytes]:
    whole = PIL.Image.fromarray(values.integers(0, 65536, (40, 56), dtype=np.uint16))
    broken = PIL.Image.fromarray(values.normal(size=(40, 56)).astype(np.float32))
    return {
        "16.png": encoded(whole),
        "16.tiff": encoded(whole, "TIFF"),
        "16-lzw.tiff": encoded(whole, "TIFF", compression="tiff_lzw"),
        "16.ppm": encoded(whole.convert("I"), "PPM"),
        "32.tiff": encoded(whole.convert("I"), "TIFF"),
        "float.tiff": encoded(broken, "TIFF"),
        "16-rgb.ppm": b"P6 56 40 65535\n" + values.bytes(56 * 40 * 6),
    }


def _several(image: PIL.Image.Image) -> dict[str, bytes]:
    others = [image.rotate(turn) for turn in (90, 180)]
    return {
        f"several.{kind.lower()}": encoded(image, kind, save_all=True, append_images=others)
        for kind in ("GIF", "PNG", "TIFF", "WEBP", "MPO")
    }
