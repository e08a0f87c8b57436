"""What of a TIFF has to be known before Pillow decodes it: its pages, and the kind of each.

Pillow keeps state of one page for the next (a palette, for one: its issue 9851), takes values of
signed and of inverted kinds as they stand, and has one word for all kinds that it does not read.
"""

import io
import math
import re
import struct
import warnings
from dataclasses import dataclass, replace

import numpy as np
import PIL.Image
from PIL.TiffImagePlugin import OPEN_INFO, ImageFileDirectory_v2

MAGIC = {b"II*\0": 4, b"MM\0*": 4, b"II+\0": 8}
"""First bytes -> bytes of an offset."""
FORMATS = {1: "uint", 2: "int", 3: "float", 5: "complex int", 6: "complex float"}
WIDTHS = {1, 2, 4, 8, 10, 12, 14, 16, 24, 32, 64, 128}
PHOTOMETRIC = {2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "CIE L*a*b*", 32803: "raw sensor"}
PACKED = {34712: "JPEG 2000", 34887: "LERC", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL"}
"""Compressions that few programs have; others are told by their number."""
USUAL = {1, 5, 7, 8, 32773, 32946}
CHANNELS = 1000
"""Of an image, at the most."""
SUBFILE, BITS, COMPRESSION, PHOTOMETRY, SAMPLES, EXTRA, FORMAT = 254, 258, 259, 262, 277, 338, 339
PLANAR = 284
DESCRIPTION, BELOW, DEPTH, METAMORPH = 270, 330, 32997, 33629
"""Tags of words about the image, of pages below this one, of the planes of a volume or stack."""
SIDES, PLACES = (256, 257), (273, 324)
"""Tags of width and height, of the offsets of strips and tiles."""
REDUCED, MASK = 1, 4
"""Bits of the tag SUBFILE."""


@dataclass(frozen=True)
class Page:
    """One image of a TIFF: where its directory lies, and the kind of its values.

    extra   what the channels beyond the colours are
    whole   its directory says how large it is and where the pixels lie
    area    pixels
    apart   its channels lie one behind the other
    planes  how many images lie there, one behind the other
    lost    why it cannot be had, in words; "": it can
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
    area: int
    apart: bool = False
    big_endian: bool = False
    planes: int = 1
    lost: str = ""

    @property
    def aside(self) -> bool:
        """Whether it belongs to another page: a smaller copy of it, or where it is opaque."""
        return bool(self.subfile & (REDUCED | MASK))

    @property
    def inverted(self) -> bool:
        """Whether it counts down from white in a way that Pillow does not turn round."""
        return self.photometry == 0 and (max(self.bits) > 8 or self.format != 1)

    @property
    def swapped(self) -> bool:
        """Whether Pillow swaps bytes that the unpacking of the values has swapped before."""
        twice = self.bits == (32,) or (self.bits == (16,) and self.format == 2)
        return self.big_endian and self.compression != 1 and twice

    @property
    def possible(self) -> bool:
        """Whether such values exist."""
        return self.format in FORMATS and set(self.bits) <= WIDTHS and self.samples <= CHANNELS

    @property
    def unread(self) -> bool:
        """Whether it is of a kind that Pillow does not read, and not just damaged."""
        if not (self.whole and self.possible) or self.photometry is None:
            return False
        if self.photometry == 6 and self.compression == 1:
            return True  # it is taken for four channels
        if self.apart and self.compression == 1 and max(self.bits) > 8:
            return True  # its planes are taken for 8 bits
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
        planes = "each in a plane of its own" if self.apart else None
        return ", ".join(one for one in (type_, channels, colours, planes, packed) if one)


NO_PAGE = Page(0, 0, (1,), 1, 1, None, 1, (), whole=False, area=0)
BIG_ENDIAN = "is a BigTIFF with the high byte first, which is not read; save it as a TIFF"
BROKEN = "and all behind it are lost: the file's list of images breaks off; export it again"
UNLISTED = "and all behind it are not listed: {} images lie in one piece; save each as a page"
"""What is said of images that cannot be had, after their name."""


def pages(data: bytes) -> tuple[Page, ...]:
    """The pages of a TIFF that are images of their own, all where none is; () for other files.

    The last stands for those that are lost, behind a list that breaks off or not in it at all.
    """
    width = MAGIC.get(data[:4])
    if width is None:
        return (replace(NO_PAGE, lost=BIG_ENDIAN),) if data[:4] == b"MM\0+" else ()
    found = list[Page]()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            broken = not _list(data, width, found)
    except MemoryError:
        raise
    except Exception:  # damaged beyond this page; the decoder says what is wrong with the others
        broken = True
    own = [page for page in found if not page.aside] or found
    if own and broken:
        own.append(replace(own[-1], lost=BROKEN))
    elif own and own[0].planes > len(own):
        own.append(replace(own[-1], lost=UNLISTED.format(own[0].planes)))
    return tuple(own)


def _list(data: bytes, width: int, found: list[Page]) -> bool:
    """Add every page, and those below it that are no smaller copies; False if the list breaks."""
    file, seen = io.BytesIO(data), set[int]()
    directory = ImageFileDirectory_v2(data[: 2 * width])
    offset = directory.next
    while offset and offset not in seen:
        if offset >= len(data):
            return False
        page = _load(directory, file, offset, len(data))
        if directory.next == offset:  # as before it was read: it was not read to its end
            page = replace(page, whole=False)
        found.append(page)
        seen.add(offset)
        following, below = directory.next, _numbers(directory, BELOW)
        for place in below:
            if place not in seen and place < len(data):
                seen.add(place)
                lower = _load(directory, file, place, len(data))
                if lower.area >= page.area:
                    found.append(lower)
        offset = following
    return True


def _load(directory: ImageFileDirectory_v2, file: io.BytesIO, offset: int, size: int) -> Page:
    file.seek(offset)
    directory.load(file)
    page = page_of(directory, offset)
    return replace(page, planes=_planes(directory, page, size))


def _planes(directory: ImageFileDirectory_v2, page: Page, size: int) -> int:
    """How many images lie at a page: ImageJ, tifffile and microscopes may list the first alone."""
    depth = next(iter(_numbers(directory, DEPTH)), 1)
    told, stack = directory.get(DESCRIPTION, ""), directory.get(METAMORPH, ())
    count = len(stack) if isinstance(stack, tuple) else 1
    if isinstance(told, str) and (images := re.match(r"ImageJ=(?:.*\n)*?images=(\d+)", told)):
        count = int(images[1])
    elif isinstance(told, str) and (shape := re.match(r'\{"shape": \[([\d, ]+)\]', told)):
        values = math.prod(int(side) for side in shape[1].split(","))
        count = values // max(1, page.area * page.samples)
    # A description outlives the images that it tells of: they must fit in the file.
    bits = page.area * (sum(page.bits) if len(page.bits) > 1 else page.bits[0] * page.samples)
    fit = page.compression == 1 and count * bits <= size * 8
    return max(depth, count if fit else 1)


def first(file: io.BytesIO, page: Page) -> None:
    """Make this page the first of its file, so that none of another one is read before it.

    A deep page that counts down from white then says that it counts up from black: Pillow reads few
    such kinds, and `corrected` turns the values round.
    """
    file.seek(0)
    magic = file.read(4)
    width, order = MAGIC[magic], "<" if magic[:2] == b"II" else ">"
    file.seek(width)  # a BigTIFF says the width of its offsets before the first
    pointer = struct.pack(order + ("L" if width == 4 else "Q"), page.offset)
    if file.read(width) != pointer:  # the first change copies the whole file
        file.seek(width)
        file.write(pointer)
    if page.inverted:
        count, head = ("H", 8) if width == 4 else ("Q", 12)
        file.seek(page.offset)
        (tags,) = struct.unpack(order + count, file.read(struct.calcsize("<" + count)))
        start = file.tell()
        for place in range(start, start + (head + width) * tags, head + width):
            file.seek(place)
            if struct.unpack(order + "H", file.read(2))[0] == PHOTOMETRY:
                file.seek(place + head)
                file.write(struct.pack(order + "H", 1))
    file.seek(0)


def corrected(image: PIL.Image.Image, page: Page) -> PIL.Image.Image:
    """The values of a page as its file means them.

    Pillow gives 8 signed bits and 32 unsigned ones as the other kind, and does not turn round
    values of more than 8 bits that count down from white (photometric interpretation 0).
    """
    signed, unsigned = page.format == 2, page.format == 1
    if page.swapped:
        values = np.asarray(image)
        narrow = page.bits == (16,)
        values = (
            values.astype(np.int16).byteswap().astype(np.int32) if narrow else values.byteswap()
        )
        image = PIL.Image.fromarray(values)
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


def page_of(directory: ImageFileDirectory_v2, offset: int = 0) -> Page:
    """The page that a directory, read at `offset`, describes."""
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
        whole=all(tag in directory for tag in SIDES) and any(tag in directory for tag in PLACES),
        big_endian=directory.prefix == b"MM",
        apart=samples > 1 and _numbers(directory, PLANAR) == (2,),
        area=math.prod(next(iter(_numbers(directory, tag)), 0) for tag in SIDES),
    )


def _numbers(directory: ImageFileDirectory_v2, tag: int) -> tuple[int, ...]:
    """The whole numbers of a tag; none where it is absent or holds something else."""
    value = directory.get(tag, ())
    values = value if isinstance(value, tuple) else (value,)
    return tuple(one for one in values if isinstance(one, int))
