"""How a mask may be drawn: every drawing here is of the same mark."""

import struct
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from inctrl.data.categories import Mask, Sample
from inctrl.data.masks import MUCH, inverted, marks, read_mask, says_nothing
from inctrl.data.stored import Stored
from inctrl.errors import MissingData, UnreadableImage
from inctrl.types import Box

SHAPE = (20, 30)
MARK = np.zeros(SHAPE, dtype=bool)
MARK[4:10, 6:18] = True
WHITE, BLACK, RED, BLUE, GRAY = (255,) * 3, (0,) * 3, (255, 0, 0), (40, 60, 200), (100,) * 3


def gray(on: int, off: int = 0, dtype: type = np.uint8) -> PIL.Image.Image:
    return PIL.Image.fromarray(np.where(MARK, on, off).astype(dtype))


def colour(on: tuple[int, ...], off: tuple[int, ...] = BLACK) -> PIL.Image.Image:
    return PIL.Image.fromarray(np.where(MARK[..., None], on, off).astype(np.uint8))


def clear(on: tuple[int, ...], off: tuple[int, ...], strength: int = 255) -> PIL.Image.Image:
    """Drawn on a transparent ground, whose colour nobody sees."""
    image = colour(on, off)
    image.putalpha(PIL.Image.fromarray(np.where(MARK, strength, 0).astype(np.uint8)))
    return image


def solid(image: PIL.Image.Image) -> PIL.Image.Image:
    """With a channel of transparency in which all is opaque."""
    image.putalpha(255)
    return image


def palette(*colours: tuple[int, ...], marked: int = 1, ground: int = 0) -> PIL.Image.Image:
    image = PIL.Image.fromarray(np.where(MARK, marked, ground).astype(np.uint8), "P")
    image.putpalette([value for colour in colours for value in colour])
    return image


def see_through(image: PIL.Image.Image, index: int) -> PIL.Image.Image:
    image.info["transparency"] = index
    return image


def kinds() -> PIL.Image.Image:
    """Two defects by their numbers."""
    values = MARK.astype(np.uint8)
    values[:, 12:] *= 2
    return PIL.Image.fromarray(values)


def soft() -> PIL.Image.Image:
    """Shrunk by four from a larger mask, so that its edges are gray."""
    large = np.zeros((80, 120), np.uint8)
    large[17:41, 23:72] = 255
    return PIL.Image.fromarray(large).resize(SHAPE[::-1], PIL.Image.Resampling.BOX)


DRAWN = {
    "white on black": gray(255),
    "gray from the half on": gray(128),
    "0 and 1": gray(1),
    "numbers of defects": kinds(),
    "gray of one defect": gray(60),
    "a soft edge counts from the half on": soft(),
    "1 bit": gray(255).convert("1"),
    "16 bits": gray(65535, dtype=np.uint16),
    "0 and 1 of 16 bits": gray(1, dtype=np.uint16),
    "0 and 255 of 16 bits": gray(255, dtype=np.uint16),
    "32 bits": gray(1000, dtype=np.int32),
    "shares from 0 to 1": gray(1, dtype=np.float32),
    "white on black, three channels": colour(WHITE),
    "red on black": colour(RED),
    "a dull blue on black": colour(BLUE),
    "dark red on black": colour((90, 0, 0)),
    "red on white": colour(RED, WHITE),
    "light yellow on white": colour((255, 255, 200), WHITE),
    "red on gray": colour(RED, GRAY),
    "white on transparent": clear(WHITE, WHITE),
    "white on transparent black": clear(WHITE, BLACK),
    "red on transparent": clear(RED, WHITE),
    "black on transparent": clear(BLACK, BLACK),
    "a half transparent brush": clear(RED, RED, 128),
    "a thin brush": clear(RED, RED, 76),
    "white on black, all opaque": solid(colour(WHITE)),
    "red on black, all opaque": solid(colour(RED)),
    "gray on transparent": clear(WHITE, BLACK).convert("LA"),
    "white on black, gray and opaque": solid(gray(255)),
    "index 1 of black and white": palette(BLACK, WHITE),
    "index 1 of black and red": palette(BLACK, RED),
    "index 2": palette(BLACK, RED, BLUE, marked=2),
    "index 0 is white and the ground": palette(WHITE, RED),
    "index 0 is white, index 1 black": palette(WHITE, BLACK),
    "an index of two blacks": palette(BLACK, BLACK),
    "a palette of colours in no order": palette(RED, BLACK, marked=0, ground=1),
    "a palette of black and white turned round": palette(WHITE, BLACK, marked=0, ground=1),
    "a palette of which index 0 is not used": palette(BLACK, WHITE, RED, marked=2, ground=1),
    "a palette with a transparent ground": see_through(palette(WHITE, RED), 0),
    "black is transparent": see_through(gray(255), 0),
}


@pytest.mark.parametrize("how", DRAWN)
def test_a_mask_may_be_drawn_as(how: str, tmp_path: Path) -> None:
    image = DRAWN[how]
    suffix = "tif" if image.mode in ("F", "I") else "png"
    image.save(tmp_path / f"m.{suffix}", **image.info)
    np.testing.assert_array_equal(marks(Stored(tmp_path / f"m.{suffix}")), MARK)


@pytest.mark.parametrize(
    ("ground", "mark", "index"),
    [
        (WHITE, BLACK, 1),
        (WHITE, RED, 1),
        (BLACK, WHITE, 0),
        (BLACK, RED, 0),
        (RED, WHITE, None),
        (WHITE, RED, None),
        (GRAY, RED, None),
    ],
)
def test_a_mark_of_most_of_an_image_is_told_from_its_ground_by_the_border(
    ground: tuple[int, ...], mark: tuple[int, ...], index: int | None, tmp_path: Path
) -> None:
    """index: that of the mark, where the mask has a palette."""
    marked = np.zeros(SHAPE, dtype=bool)
    marked[2:18, 3:30] = True
    assert marked.mean() > 0.7
    image = PIL.Image.fromarray(np.where(marked[..., None], mark, ground).astype(np.uint8))
    if index is not None:
        image = PIL.Image.fromarray(np.where(marked, index, 1 - index).astype(np.uint8), "P")
        image.putpalette([*(mark + ground if index == 0 else ground + mark)])
    image.save(tmp_path / "m.png")
    np.testing.assert_array_equal(marks(Stored(tmp_path / "m.png")), marked)


@pytest.mark.parametrize("suffix", ["bmp", "tif", "gif", "webp", "ppm", "png"])
@pytest.mark.parametrize(
    "how", ["white on black", "red on black", "white on black, three channels"]
)
def test_a_mask_may_be_stored_as(suffix: str, how: str, tmp_path: Path) -> None:
    image = DRAWN[how]
    image.save(tmp_path / f"m.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_array_equal(marks(Stored(tmp_path / f"m.{suffix}")), MARK)


def test_a_bmp_with_an_unused_fourth_byte_is_read_by_its_colours(tmp_path: Path) -> None:
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)  # where red, green, blue and alpha are
    head = struct.pack("<IiiHHIIiiII4I", 108, 30, -20, 1, 32, 3, 2400, 0, 0, 0, 0, *masks)
    pixels = np.where(MARK[..., None], (255, 255, 255, 0), 0).astype(np.uint8).tobytes()
    start = struct.pack("<2sIHHI", b"BM", 122 + len(pixels), 0, 0, 122)
    (tmp_path / "m.bmp").write_bytes(start + head + bytes(52) + pixels)
    with PIL.Image.open(tmp_path / "m.bmp") as stored:
        assert stored.mode == "RGBA"
    np.testing.assert_array_equal(marks(Stored(tmp_path / "m.bmp")), MARK)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits", "group4"])
def test_a_mask_of_one_bit_may_be_a_compressed_tiff(compression: str, tmp_path: Path) -> None:
    gray(255).convert("1").save(tmp_path / "m.tif", compression=compression)
    np.testing.assert_array_equal(marks(Stored(tmp_path / "m.tif")), MARK)


@pytest.mark.parametrize(
    "how", ["white on black", "white on black, three channels", "red on black", "red on white"]
)
@pytest.mark.parametrize("quality", [95, 60])
def test_traces_of_compression_are_no_marks(how: str, quality: int, tmp_path: Path) -> None:
    DRAWN[how].save(tmp_path / "m.jpg", quality=quality, subsampling=0)
    assert len(np.unique(np.asarray(PIL.Image.open(tmp_path / "m.jpg").convert("L")))) > 2
    np.testing.assert_array_equal(marks(Stored(tmp_path / "m.jpg")), MARK)
    PIL.Image.open(tmp_path / "m.jpg").save(tmp_path / "again.png")
    np.testing.assert_array_equal(marks(Stored(tmp_path / "again.png")), MARK)


def test_a_dim_patch_beside_a_bright_one_is_marked_and_a_dim_edge_is_not(tmp_path: Path) -> None:
    values = np.zeros(SHAPE, np.uint8)
    values[2:6, 2:6] = 255
    values[6, 2:6] = 80  # the edge of what is above it
    values[12:16, 20:26] = 80
    PIL.Image.fromarray(values).save(tmp_path / "m.png")
    wanted = (values == 255) | (np.arange(30) > 10) & (values == 80)
    np.testing.assert_array_equal(marks(Stored(tmp_path / "m.png")), wanted)


def test_a_dim_kind_of_defect_that_touches_a_bright_one_is_marked(tmp_path: Path) -> None:
    values = np.where(MARK, 200, 0).astype(np.uint8)
    values[:, 12:][MARK[:, 12:]] = 60
    PIL.Image.fromarray(values).save(tmp_path / "m.png")
    np.testing.assert_array_equal(marks(Stored(tmp_path / "m.png")), MARK)


def test_what_is_bright_in_opaque_black_is_marked_though_its_surroundings_are_transparent(
    tmp_path: Path,
) -> None:
    image = colour(WHITE)
    alpha = np.zeros(SHAPE, np.uint8)
    alpha[2:12, 4:20] = 255
    image.putalpha(PIL.Image.fromarray(alpha))
    image.save(tmp_path / "m.png")
    np.testing.assert_array_equal(marks(Stored(tmp_path / "m.png")), MARK)


def test_numbers_of_defects_are_the_indices_of_a_palette_in_a_set_with_a_rule_of_its_own(
    tmp_path: Path,
) -> None:
    palette(WHITE, BLACK).save(tmp_path / "m.png")
    np.testing.assert_array_equal(marks(Stored(tmp_path / "m.png"), above=0), MARK)


def test_a_set_with_a_rule_of_its_own_keeps_it(tmp_path: Path) -> None:
    gray(3).save(tmp_path / "m.png")
    stored = Stored(tmp_path / "m.png")
    np.testing.assert_array_equal(marks(stored, above=0), MARK)
    assert not marks(stored, above=3).any()


@pytest.mark.parametrize("what", ["text", "large", "folder", "absent", "small", "cut"])
def test_what_is_no_mask_is_refused_as_an_image_would_be(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "m.png"
    gray(255).save(file)
    if what == "text":
        file.write_bytes(b"no image")
    elif what == "cut":
        file.write_bytes(file.read_bytes()[:60])
    elif what == "small":
        PIL.Image.new("L", (3, 9)).save(file)
    elif what == "large":
        monkeypatch.setattr("inctrl.data.masks.MAX_PIXELS", 500)
    else:
        file.unlink()
        if what == "folder":
            file.mkdir()
    with pytest.raises(UnreadableImage, match=r"m\.png"):
        marks(Stored(file))


def test_a_mask_of_several_frames_is_refused(tmp_path: Path) -> None:
    gray(255).save(tmp_path / "m.tif", save_all=True, append_images=[gray(255)])
    with pytest.raises(MissingData, match=r"m\.tif' has 2 frames; save each as a file of its own"):
        marks(Stored(tmp_path / "m.tif"))


def turned(path: Path, size: tuple[int, int], orientation: int) -> Path:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.new("L", size).save(path, exif=exif)
    return path


def test_a_mask_that_is_not_turned_as_its_image_is_refused_with_both_sizes(tmp_path: Path) -> None:
    gray(255).save(tmp_path / "m.png")
    image = turned(tmp_path / "i.jpg", (30, 20), 6)
    sample = Sample(Stored(image), True, "bent", Mask(Stored(tmp_path / "m.png")))
    with pytest.raises(MissingData) as refused:
        read_mask(sample, (30, 20))
    assert "m.png' is 30 x 20 pixels" in str(refused.value)
    assert "i.jpg' 20 x 30: the image is turned by its EXIF orientation" in str(refused.value)


def test_a_mask_that_is_turned_as_its_image_fits(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    gray(255).save(tmp_path / "m.png", exif=exif)
    image = turned(tmp_path / "i.jpg", (30, 20), 6)
    sample = Sample(Stored(image), True, "bent", Mask(Stored(tmp_path / "m.png")))
    np.testing.assert_array_equal(read_mask(sample, (30, 20)), np.rot90(MARK, -1))


@pytest.mark.parametrize(("value", "what"), [(0, "no pixel"), (255, "every pixel")])
def test_a_mask_that_marks_nothing_or_everything_says_nothing(value: int, what: str) -> None:
    mask = Mask(Stored(Path("m.png")))
    assert what in str(says_nothing(np.full(SHAPE, value > 0), mask))
    assert says_nothing(MARK, mask) is None


def test_a_part_of_an_image_may_be_anomalous_as_a_whole() -> None:
    tile = Mask(Stored(Path("m.png"), Box(0, 0, 20, 20)), above=0)
    assert says_nothing(np.ones(SHAPE, dtype=bool), tile) is None


def test_masks_are_said_to_be_inverted_perhaps_where_one_marks_nearly_all_or_most_mark_half() -> (
    None
):
    assert inverted("set/nut", {}) is None
    assert inverted("set/nut", {"a": 0.8, "b": 0.1, "c": 0.1}) is None
    assert "1 of 3 masks of set/nut" in str(inverted("set/nut", {"a": MUCH + 0.01, "b": 0, "c": 0}))
    assert "2 of 3 masks of set/nut" in str(inverted("set/nut", {"a": 0.8, "b": 0.6, "c": 0.1}))
