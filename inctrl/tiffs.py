"""What of a TIFF has to be known before Pillow decodes it: its pages, and the kind of each.

Pillow keeps state of one page for the next (a palette, for one: its issue 9851), takes values of
signed and of inverted kinds as they stand, and has one word for all kinds that it does not read.
"""

import io
import struct
import warnings
from dataclasses import dataclass

import numpy as np
import PIL.Image
from PIL.TiffImagePlugin import OPEN_INFO, ImageFileDirectory_v2

MAGIC = {b"II*\0": 4, b"MM\0*": 4, b"II+\0": 8, b"MM\0+": 8}
"""First bytes -> bytes of an offset."""
FORMATS = {1: "uint", 2: "int", 3: "float", 5: "complex int", 6: "complex float"}
WIDTHS = {1, 2, 4, 8, 10, 12, 14, 16, 24, 32, 64, 128}
PHOTOMETRIC = {2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "CIE L*a*b*", 32803: "raw sensor"}
PACKED = {34712: "JPEG 2000", 34887: "LERC", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL"}
"""Compressions that few programs have; others are told by their number."""
USUAL = {1, 5, 7, 8, 32773, 32946}
CUT = -1
"""Where the next directory lies while this one has not been read to its end."""
CHANNELS = 1000
"""Of an image, at the most."""
SUBFILE, BITS, COMPRESSION, PHOTOMETRY, SAMPLES, EXTRA, FORMAT = 254, 258, 259, 262, 277, 338, 339
SIDES, PLACES = (256, 257), (273, 324)
"""Tags of width and height, of the offsets of strips and tiles."""
REDUCED, MASK = 1, 4
"""Bits of the tag SUBFILE."""


@dataclass(frozen=True)
class Page:
    """One image of a TIFF: where its directory lies, and the kind of its values.

    extra   what the channels beyond the colours are
    whole   its directory says how large it is and where the pixels lie
    """

    offset: int
    subfile: int
    bits: tuple[int, ...]
    samples: int
    format: int
    photometry: int | None
    compression: int
    extra: tuple[int, ...]
    whole: bool

    @property
    def aside(self) -> bool:
        """Whether it belongs to another page: a smaller copy of it, or where it is opaque."""
        return bool(self.subfile & (REDUCED | MASK))

    @property
    def inverted(self) -> bool:
        """Whether it counts down from white in a way that Pillow does not turn round."""
        return self.photometry == 0 and (max(self.bits) > 8 or self.format != 1)

    @property
    def possible(self) -> bool:
        """Whether such values exist."""
        return self.format in FORMATS and set(self.bits) <= WIDTHS and self.samples <= CHANNELS

    @property
    def unread(self) -> bool:
        """Whether it is whole, and of a kind that Pillow does not read."""
        if not (self.whole and self.possible) or self.photometry is None:
            return False
        if self.photometry == 6 and self.compression == 1:
            return True  # it is taken for four channels
        bits = self.bits * self.samples if len(self.bits) == 1 else self.bits
        kind = (1 if self.inverted else self.photometry, (self.format,), bits, self.extra)
        return kind not in {(*key[1:3], *key[4:6]) for key in OPEN_INFO}

    @property
    def kind(self) -> str:
        """'float64, 1 channel', 'uint16, 4 channels, CMYK'."""
        bits = "/".join(str(one) for one in sorted(set(self.bits)))
        type_ = f"{FORMATS[self.format]}{bits}" if self.possible else "unknown type"
        channels = "1 channel" if self.samples == 1 else f"{self.samples} channels"
        colours = PHOTOMETRIC.get(self.photometry or 0)
        packed = None
        if self.compression not in USUAL:
            packed = f"compression {PACKED.get(self.compression, self.compression)}"
        return ", ".join(one for one in (type_, channels, colours, packed) if one)


def pages(data: bytes) -> tuple[Page, ...]:
    """The pages of a TIFF that are images of their own, all where none is; () for other files."""
    width = MAGIC.get(data[:4])
    if width is None:
        return ()
    file, found, seen = io.BytesIO(data), list[Page](), set[int]()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            directory = ImageFileDirectory_v2(data[: 2 * width])
            offset = directory.next
            while 0 < offset < len(data) and offset not in seen:
                seen.add(offset)
                file.seek(offset)
                directory.next = CUT
                directory.load(file)
                found.append(_page(directory, offset))
                offset = directory.next
    except MemoryError:
        raise
    except Exception:  # damaged beyond this page; the decoder says what is wrong with the others
        return tuple(found)
    return tuple(page for page in found if not page.aside) or tuple(found)


def alone(data: bytes, page: Page) -> bytes:
    """The file with this page first, so that none of another one has been read before it.

    A deep page that counts down from white says that it counts up from black: Pillow reads few such
    kinds, and `corrected` turns the values round.
    """
    width = MAGIC[data[:4]]
    order = "<" if data[:2] == b"II" else ">"
    changed = bytearray(data)
    struct.pack_into(order + ("L" if width == 4 else "Q"), changed, width, page.offset)
    if page.inverted:
        count, entry = ("H", "HHL") if width == 4 else ("Q", "HHQ")
        (tags,) = struct.unpack_from(order + count, data, page.offset)
        head = struct.calcsize("<" + entry)
        first, step = page.offset + struct.calcsize("<" + count), head + width
        for place in range(first, first + step * tags, step):
            if struct.unpack_from(order + "H", data, place)[0] == PHOTOMETRY:
                struct.pack_into(order + "H", changed, place + head, 1)
    return bytes(changed)


def corrected(image: PIL.Image.Image, page: Page) -> PIL.Image.Image:
    """The values of a page as its file means them.

    Pillow gives 8 signed bits and 32 unsigned ones as the other kind, and does not turn round
    values of more than 8 bits that count down from white (photometric interpretation 0).
    """
    signed, unsigned = page.format == 2, page.format == 1
    if image.mode == "L" and signed:
        image = image.point([value ^ 0x80 for value in range(256)])  # -128 is black
    if image.mode == "I" and unsigned and page.bits == (32,):
        values = np.asarray(image).view(np.uint32)
        if values.max(initial=0) > np.iinfo(np.int32).max:
            image = PIL.Image.fromarray(values.astype(np.float32))
    if not page.inverted:
        return image
    values = np.asarray(image)
    if page.format == 1 and values.dtype == np.uint16:
        return PIL.Image.fromarray(np.uint16(2 ** page.bits[0] - 1) - values)
    # Signed and floating values have no white: their order is turned round.
    return PIL.Image.fromarray(-values if values.dtype.kind == "f" else ~values)


def _page(directory: ImageFileDirectory_v2, offset: int) -> Page:
    bits = _numbers(directory, BITS) or (1,)
    samples = (_numbers(directory, SAMPLES) or (len(bits),))[0]
    return Page(
        offset=offset,
        subfile=(_numbers(directory, SUBFILE) or (0,))[0],
        bits=bits,
        samples=samples,
        format=(_numbers(directory, FORMAT) or (1,))[0],
        photometry=next(iter(_numbers(directory, PHOTOMETRY)), None),
        compression=(_numbers(directory, COMPRESSION) or (1,))[0],
        extra=_numbers(directory, EXTRA),
        whole=directory.next != CUT
        and all(tag in directory for tag in SIDES)
        and any(tag in directory for tag in PLACES),
    )


def _numbers(directory: ImageFileDirectory_v2, tag: int) -> tuple[int, ...]:
    """The whole numbers of a tag; none where it is absent or holds something else."""
    value = directory.get(tag, ())
    values = value if isinstance(value, tuple) else (value,)
    return tuple(one for one in values if isinstance(one, int))
