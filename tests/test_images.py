"""Bad and unusual input: each is read as a person would see it, or refused in one line."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile

from inctrl.decoding import decode, open_image
from inctrl.errors import UnreadableImage
from inctrl.images import Window, develop, shared_window, stored_digest


def gradient(height: int = 12, width: int = 16) -> PIL.Image.Image:
    values = np.linspace(0, 255, height * width * 3).reshape(height, width, 3)
    return PIL.Image.fromarray(values.astype(np.uint8))


def saved(path: Path, image: PIL.Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def png_claiming(width: int, height: int) -> bytes:
    """A small valid PNG header and nothing behind it: a decompression bomb's claim."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "1", "YCbCr"])
def test_modes_without_alpha_look_as_pillow_shows_them(tmp_path: Path, mode: str) -> None:
    suffix = "jpg" if mode == "YCbCr" else "tif"
    path = saved(tmp_path / f"x.{suffix}", gradient().convert(mode))
    expected = np.asarray(PIL.Image.open(path).convert("RGB"))
    np.testing.assert_array_equal(open_image(path).rgb, expected)


def test_a_palette_image_is_shown_in_its_colours(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.png", gradient().quantize(16))
    expected = np.asarray(PIL.Image.open(path).convert("RGB"))
    np.testing.assert_array_equal(open_image(path).rgb, expected)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparent_pixels_are_white(tmp_path: Path, mode: str) -> None:
    image = gradient().convert(mode)
    image.putalpha(PIL.Image.new("L", image.size, 0))
    path = saved(tmp_path / "x.png", image)
    assert (open_image(path).rgb == 255).all()


def test_sixteen_bits_are_not_cut_to_eight(tmp_path: Path) -> None:
    values = np.arange(1000, 1000 + 12 * 16, dtype=np.uint16).reshape(12, 16)
    path = saved(tmp_path / "x.tif", PIL.Image.fromarray(values))
    picture = decode(path)
    assert picture.deep
    image = develop(picture)
    assert len(np.unique(image.rgb)) > 150  # cut to 8 bits there would be one value
    assert any("shown" in note for note in image.notes)


def test_a_shared_window_keeps_brightness_comparable() -> None:
    dark = decode(np.full((8, 8), 100, dtype=np.uint16) + np.arange(8, dtype=np.uint16))
    bright = decode(np.full((8, 8), 200, dtype=np.uint16))
    window = shared_window([dark, bright])
    assert window is not None
    assert develop(bright, window).rgb.mean() > develop(dark, window).rgb.mean() + 100
    assert develop(dark, Window(0, 1000)).rgb.max() < 30


def test_a_constant_deep_image_is_no_division_by_zero() -> None:
    assert develop(decode(np.full((8, 8), 7, dtype=np.uint16))).rgb.shape == (8, 8, 3)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    path = saved(tmp_path / "x.jpg", gradient(), exif=exif.tobytes())
    image = open_image(path)
    assert image.size == (16, 12)
    assert "turned upright by its EXIF orientation" in image.notes


def test_an_orientation_that_does_not_exist_turns_nothing(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 99
    image = open_image(saved(tmp_path / "x.png", gradient(), exif=exif.tobytes()))
    assert image.size == (12, 16)
    assert image.notes == ()


def test_the_byte_order_of_a_file_is_not_part_of_its_values(tmp_path: Path) -> None:
    """A big-endian TIFF of 16 bits, written here because Pillow writes none."""
    values = np.arange(96, dtype=np.uint16).reshape(8, 12) * 600
    fields = [(256, 12), (257, 8), (258, 16), (259, 1), (262, 1), (273, 200), (277, 1)]
    entries = b"".join(struct.pack(">HHIHxx", tag, 3, 1, value) for tag, value in fields)
    count = struct.pack(">HHII", 279, 4, 1, values.nbytes)
    head = b"MM\0*" + struct.pack(">IH", 8, 8) + entries + count + bytes(4)
    big = tmp_path / "big.tif"
    big.write_bytes(head.ljust(200, b"\0") + values.astype(">u2").tobytes())
    little = saved(tmp_path / "little.tif", PIL.Image.fromarray(values))
    pictures = [decode(path) for path in (big, little)]
    assert pictures[0].pixels.dtype == np.uint16
    assert pictures[0].pixels.dtype.isnative
    np.testing.assert_array_equal(pictures[0].pixels, values)
    assert stored_digest(pictures[0]) == stored_digest(pictures[1])


def test_the_limit_of_pixels_can_be_set(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.png", gradient(12, 16))
    assert decode(path, pixels=192).pixels.shape == (12, 16, 3)
    for source in (path, path.read_bytes(), gradient(12, 16), np.asarray(gradient(12, 16))):
        with pytest.raises(UnreadableImage, match="the limit is 0.000191"):
            decode(source, pixels=191)


def test_the_first_frame_of_an_animation_is_used_and_said(tmp_path: Path) -> None:
    frames = [PIL.Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]
    path = saved(tmp_path / "x.gif", frames[0], save_all=True, append_images=frames[1:])
    image = open_image(path)
    assert image.rgb[0, 0, 0] > 200
    assert image.notes == ("frame 1 of 3 used",)


def test_equal_pixels_have_equal_hashes_whatever_the_file(tmp_path: Path) -> None:
    a = open_image(saved(tmp_path / "a.png", gradient()))
    b = open_image(saved(tmp_path / "b.bmp", gradient()))
    c = open_image(np.asarray(gradient()).copy())
    d = open_image(np.asarray(gradient().rotate(90, expand=True)).copy())
    assert a.sha256 == b.sha256 == c.sha256 != d.sha256


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def text(path: Path) -> Path:
    path.write_text("no image")
    return path


def truncated(path: Path) -> Path:
    buffer = io.BytesIO()
    gradient(200, 200).save(buffer, "JPEG")
    path.write_bytes(buffer.getvalue()[:900])
    return path


def single_pixel(path: Path) -> Path:
    return saved(path.with_suffix(".png"), PIL.Image.new("RGB", (1, 1)))


def bomb(path: Path) -> Path:
    path.write_bytes(png_claiming(10_000, 10_000))
    return path


def giant_bomb(path: Path) -> Path:
    path.write_bytes(png_claiming(60_000, 60_000))
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def absent(path: Path) -> Path:
    return path


def pickled(path: Path) -> Path:
    path.write_bytes(b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07payload\x94.")
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (empty, "empty"),
        (text, "not an image"),
        (truncated, "damaged"),
        (single_pixel, "1 x 1"),
        (bomb, "100 megapixels"),
        (giant_bomb, "megapixels"),
        (folder, "a folder without images"),
        (absent, "No such file"),
        (pickled, "not an image"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, make: Callable[[Path], Path], says: str
) -> None:
    path = make(tmp_path / "odd 'name'\n.jpg")
    with pytest.raises(UnreadableImage, match=says) as caught:
        open_image(path)
    message = str(caught.value)
    assert "\n" not in message
    assert "name" in message


def test_a_long_thin_image_is_read() -> None:
    assert open_image(np.zeros((10, 20_000), dtype=np.uint8)).size == (10, 20_000)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 32, 32), dtype=np.uint8),
        np.zeros((8, 8, 3), dtype=np.uint16),
        np.full((8, 8), np.nan, dtype=np.float32),
        np.zeros((8, 8), dtype=complex),
        np.zeros(8, dtype=np.uint8),
    ],
)
def test_arrays_of_other_kinds_are_refused(array: np.ndarray) -> None:
    with pytest.raises(UnreadableImage, match="array"):
        open_image(array)


def test_several_deep_channels_are_read_with_a_note(tmp_path: Path) -> None:
    """A 16-bit RGB PNG, written here because Pillow writes none."""
    rows = b"".join(b"\0" + bytes(range(8 * 6)) for _ in range(8))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path = tmp_path / "deep.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + body)
    assert any("16 bits a channel" in note for note in open_image(path).notes)


def test_a_transparent_colour_without_alpha_is_white(tmp_path: Path) -> None:
    black = PIL.Image.new("RGB", (8, 8))
    assert (open_image(saved(tmp_path / "x.png", black, transparency=(0, 0, 0))).rgb == 255).all()


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UnreadableImage, match="not a regular file"):
        open_image(tmp_path / "pipe.png")


@pytest.mark.parametrize(("most", "read"), [(255, False), (4095, False), (65535, True)])
def test_colours_of_16_bits_of_which_8_leave_nothing_are_refused(most: int, read: bool) -> None:
    """As a camera of 12 bits gives them: whatever it saw, the picture would be black."""
    values = np.linspace(0, most, 12 * 16 * 3).astype(np.uint16).reshape(12, 16, 3)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, photometric="rgb")
    if read:
        assert decode(buffer.getvalue()).pixels.max() == 255
        return
    with pytest.raises(UnreadableImage, match="cut to 8 bits it is black; scale its values"):
        decode(buffer.getvalue(), "deep.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_colours_of_16_bits_in_planes_are_read_or_refused_by_their_kind(
    compression: str | None, tile: tuple[int, int] | None
) -> None:
    """Uncompressed, Pillow takes the bytes of a plane for pixels: a picture twice as wide."""
    values = np.random.default_rng(0).integers(0, 256, (3, 32, 48), dtype=np.uint8)
    buffer = io.BytesIO()
    options = {"photometric": "rgb", "planarconfig": "separate", "tile": tile}
    tifffile.imwrite(buffer, values * np.uint16(257), compression=compression, **options)
    if compression is None:
        with pytest.raises(UnreadableImage, match="uint16, 3 channels, RGB, each in a plane"):
            decode(buffer.getvalue(), "planes.tif")
        return
    picture = decode(buffer.getvalue())
    assert np.array_equal(picture.pixels, np.moveaxis(values, 0, -1))
    assert picture.notes == ("16 bits a channel cut to 8; save one channel to keep them",)


def test_tiles_16_wide_are_not_taken_for_16_bits() -> None:
    buffer = io.BytesIO()
    values = np.full((32, 48, 3), 3, np.uint8)
    tifffile.imwrite(buffer, values, photometric="rgb", planarconfig="contig", tile=(16, 16))
    assert decode(buffer.getvalue()).notes == ()


def test_a_ppm_of_more_than_8_bits_says_that_they_are_cut() -> None:
    values = np.linspace(0, 4095, 8 * 12 * 3).astype(">u2")
    picture = decode(b"P6\n12 8\n4095\n" + values.tobytes())
    assert picture.pixels.max() == 255
    assert picture.notes == ("16 bits a channel cut to 8; save one channel to keep them",)


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "float32"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("compression", ["zlib", "lzw", "packbits"])
def test_compressed_values_with_the_high_byte_first_are_what_the_file_says(
    dtype: str, photometric: str, compression: str
) -> None:
    """Pillow swaps the bytes of most kinds once more than it should."""
    values = (np.arange(8 * 12) * 7 + 300).reshape(8, 12).astype(dtype)
    files = io.BytesIO(), io.BytesIO()
    for file, order in zip(files, "<>", strict=True):
        options = {"photometric": photometric, "compression": compression, "byteorder": order}
        tifffile.imwrite(file, values, **options)
    usual, swapped = (decode(file.getvalue()).pixels for file in files)
    assert np.array_equal(usual, swapped)
    if photometric == "minisblack":
        assert np.array_equal(swapped, values)
