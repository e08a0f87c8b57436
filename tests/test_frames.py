"""A file that holds several images: each counts as one of its own."""

import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
from numpy.typing import NDArray

from inctrl import tiffs
from inctrl.decoding import decode
from inctrl.errors import UnreadableImage, UsageError
from inctrl.frames import Frame, frame_of, frames
from inctrl.images import Picture

COLOURS = ("red", "lime", "blue")


def stack(format: str, count: int = 3, **options: object) -> bytes:
    """Pure colours, one after the other."""
    images = [PIL.Image.new("RGB", (8, 8), COLOURS[i % 3]) for i in range(count)]
    buffer = io.BytesIO()
    images[0].save(buffer, format, save_all=True, append_images=images[1:], **options)
    return buffer.getvalue()


def read(data: bytes | Path, frame: Frame = "all", most: int = 256) -> list[Picture]:
    found = list(frames(data, None if isinstance(data, Path) else "s.tif", frame=frame, most=most))
    assert all(isinstance(one, Picture) for one in found)
    return [one for one in found if isinstance(one, Picture)]


def colours(found: list[Picture]) -> list[str]:
    """The strongest channel of each."""
    return [COLOURS[int(one.pixels[4, 4].argmax())] for one in found]


@pytest.mark.parametrize(
    ("format", "options"),
    [("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("GIF", {}), ("PNG", {}), ("WEBP", {})],
    ids=["tiff", "tiff-lzw", "gif", "apng", "webp"],
)
def test_each_image_of_a_file_is_one_of_its_own(format: str, options: dict[str, object]) -> None:
    found = read(stack(format, **options))
    assert colours(found) == list(COLOURS)
    assert [one.name for one in found] == ["s.tif#1", "s.tif#2", "s.tif#3"]
    assert [one.frames for one in found] == [3, 3, 3]


def test_one_image_can_be_asked_for() -> None:
    (second,) = read(stack("TIFF"), frame=2)
    assert (colours([second]), second.name) == (["lime"], "s.tif#2")


def test_the_first_alone_can_be_asked_for_and_says_so() -> None:
    (first,) = read(stack("GIF"), frame="first")
    assert (colours([first]), first.name) == (["red"], "s.tif")
    assert first.notes == ("frame 1 of 3 used",)


def test_an_image_that_there_is_not_is_refused() -> None:
    (refused,) = frames(stack("TIFF"), "s.tif", frame=4)
    assert str(refused) == "'s.tif' holds 3 images, there is no 4"


def test_a_file_of_one_image_is_that_image_whichever_is_asked_for() -> None:
    for frame in ("all", "first", 1, 5):
        (only,) = read(stack("PNG", 1), frame=frame)
        assert (only.name, only.notes, only.frames) == ("s.tif", (), 1)


def test_images_beyond_the_limit_are_told() -> None:
    *taken, more = frames(stack("TIFF", 5), "s.tif", most=3)
    assert len(taken) == 3
    assert isinstance(more, UnreadableImage)
    assert str(more) == "'s.tif' holds 5 images: 4 to 5 are left out; split the file"
    assert more.name == "s.tif#4"


def test_one_that_cannot_be_read_stops_no_other() -> None:
    """The second is of a kind that nobody reads: RGB of 3 bits."""
    data = bytearray(stack("TIFF"))
    first = int.from_bytes(data[4:8], "little")
    second = int.from_bytes(data[first + 2 + 12 * data[first] :][:4], "little")
    for place in range(second + 2, second + 2 + 12 * data[second], 12):
        if int.from_bytes(data[place : place + 2], "little") == 258:
            bits = int.from_bytes(data[place + 8 : place + 12], "little")
            data[bits : bits + 6] = b"\3\0\3\0\3\0"
    one, two, three = frames(bytes(data), "s.tif")
    assert isinstance(one, Picture)
    assert isinstance(three, Picture)
    assert isinstance(two, UnreadableImage)
    assert two.name == "s.tif#2"
    assert "'s.tif#2' is a TIFF" in str(two)


def field(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (16, 24), dtype=np.uint8)


def lost(data: bytes, says: str) -> None:
    """The first is read, and an error stands for the others."""
    first, rest = frames(data, "s.tif")
    assert isinstance(first, Picture)
    assert np.array_equal(first.pixels[..., 0], field(0))
    assert (str(rest), getattr(rest, "name", "")) == (
        f"'s.tif#2' and all behind it {says}",
        "s.tif#2",
    )


@pytest.mark.parametrize("bigtiff", [False, True])
def test_a_stack_that_is_cut_off_loses_no_image_in_silence(bigtiff: bool) -> None:
    """tifffile writes the list of the images behind their values."""
    buffer = io.BytesIO()
    stack = np.stack([field(seed) for seed in range(5)])
    tifffile.imwrite(buffer, stack, photometric="minisblack", bigtiff=bigtiff)
    data = buffer.getvalue()
    broken = "are lost: the file's list of images breaks off; export it again"
    lost(data[: data.index(stack.tobytes()) + 3 * 16 * 24], broken)


@pytest.mark.parametrize("kind", ["tifffile", "ImageJ", "volume"])
def test_images_in_one_piece_that_a_tiff_does_not_list_are_told(kind: str) -> None:
    """As ImageJ writes stacks of over 4 GB, and tifffile with truncate=True."""
    buffer = io.BytesIO()
    stack, tags = np.stack([field(seed) for seed in range(5)]), []
    if kind == "volume":
        tags = [(32997, "I", 1, 5, True)]
    tifffile.imwrite(buffer, stack, photometric="minisblack", truncate=True, extratags=tags)
    data = buffer.getvalue()
    if kind == "ImageJ":
        data = data.replace(b'{"shape": [5, 16, 24]}', b"ImageJ=1.5\nimages=5\n\n\0")
    lost(data, "are not listed: 5 images lie in one piece; save each as a page")


def test_what_is_said_of_images_that_a_file_no_longer_holds_is_not_believed() -> None:
    """Programs that copy one image of a stack keep its description."""
    for told in ("ImageJ=1.5\nimages=5\n", '{"shape": [5, 16, 24]}'):
        buffer = io.BytesIO()
        PIL.Image.fromarray(field(0)).save(buffer, "TIFF", description=told)
        assert len(read(buffer.getvalue())) == 1


def test_pages_below_a_page_are_images_unless_they_are_smaller_copies() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(field(0), photometric="minisblack", subifds=2)
        file.write(field(1), photometric="minisblack")
        file.write(field(0)[::2, ::2], photometric="minisblack")
        file.write(field(2), photometric="minisblack")
    found = read(buffer.getvalue())
    assert [int(one.pixels[0, 0, 0]) for one in found] == [int(field(i)[0, 0]) for i in range(3)]


def test_a_bigtiff_of_the_other_byte_order_is_refused_by_its_kind() -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, field(0), bigtiff=True, byteorder=">")
    (refused,) = frames(buffer.getvalue(), "s.tif")
    assert "BigTIFF with the high byte first" in str(refused)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_an_animation_is_not_started_anew_for_each_frame(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is drawn over those before it: hundreds took minutes."""
    calls, real = [], PIL.Image.open
    monkeypatch.setattr(PIL.Image, "open", lambda *a, **k: calls.append(a) or real(*a, **k))
    assert colours(read(stack(format, 20))) == [COLOURS[i % 3] for i in range(20)]
    assert len(calls) == 2  # to count them, to read them


def test_the_list_of_a_stack_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, real = [], tiffs.pages
    monkeypatch.setattr(tiffs, "pages", lambda data: calls.append(1) or real(data))
    assert len(read(stack("TIFF", 20))) == 20
    assert len(calls) == 1


def test_frames_behind_a_damaged_one_are_read_if_they_can_be() -> None:
    data = stack("GIF", 4)
    *read_, cut = frames(data[: len(data) - 12], "s.gif")
    assert [isinstance(one, Picture) for one in read_] == [True] * len(read_)
    assert isinstance(cut, UnreadableImage)


def test_previews_in_a_photograph_are_no_images_of_their_own(tmp_path: Path) -> None:
    """Telephones put smaller copies and gain maps behind a JPEG (MPO)."""
    path = tmp_path / "phone.jpg"
    path.write_bytes(stack("MPO"))
    (only,) = read(path)
    assert colours([only]) == ["red"]
    assert only.notes == ("the first of 3 pictures in this JPEG used",)


def test_a_pillow_image_is_taken_where_it_stands() -> None:
    image = PIL.Image.open(io.BytesIO(stack("TIFF")))
    image.seek(1)
    (found,) = frames(image)
    assert isinstance(found, Picture)
    assert colours([found]) == ["lime"]
    assert found.notes == ("frame 2 of 3 used",)


def test_a_pillow_image_has_the_values_that_its_file_means() -> None:
    """16 bits that count down from white, which Pillow does not turn round."""
    buffer = io.BytesIO()
    values = field(0).astype(np.uint16) * 100
    tifffile.imwrite(buffer, 65535 - values, photometric="miniswhite")
    (found,) = frames(PIL.Image.open(buffer))
    assert isinstance(found, Picture)
    assert np.array_equal(found.pixels, values)


def test_arrays_and_unreadable_files_are_one_outcome_each(tmp_path: Path) -> None:
    (array,) = frames(np.zeros((8, 8, 3), np.uint8))
    assert isinstance(array, Picture)
    (absent,) = frames(tmp_path / "absent.tif")
    assert isinstance(absent, UnreadableImage)
    assert absent.name == str(tmp_path / "absent.tif")


def test_a_file_as_one_image_is_its_first() -> None:
    assert decode(stack("WEBP"), "s.webp").notes == ("frame 1 of 3 used",)


@pytest.mark.parametrize("text", ["all", "first", "3", 3])
def test_frames_are_asked_for_by_word_or_number(text: str | int) -> None:
    assert frame_of(text) == (text if text in ("all", "first") else 3)


@pytest.mark.parametrize("text", ["last", "0", "-1", "1.5", "", 0])
def test_other_words_are_refused(text: str | int) -> None:
    with pytest.raises(UsageError, match="is not 'all', 'first' or a number from 1"):
        frame_of(text)


def test_one_that_is_too_small_stops_no_other() -> None:
    """As a strip of ink colours in a scan."""
    image = PIL.Image.new("RGB", (8, 8))
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (8, 2)).save(buffer, "TIFF", save_all=True, append_images=[image])
    small, read = frames(buffer.getvalue(), "s.tif")
    assert "'s.tif#1' is 8 x 2 pixels" in str(small)
    assert isinstance(read, Picture)
