import gzip
from pathlib import Path

import numpy as np
import pytest
from awkward import stack
from trees import picture

from inctrl.data.stored import Record, Stored, contents
from inctrl.errors import MissingData, UnreadableImage
from inctrl.types import Box

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    stored = Stored(picture(tmp_path / "a.png", PIXELS))
    np.testing.assert_array_equal(stored.open().rgb, PIXELS)
    assert stored.name == str(tmp_path / "a.png") == stored.open().name


def test_a_box_is_cut_out_with_right_and_bottom_excluded(tmp_path: Path) -> None:
    stored = Stored(picture(tmp_path / "a.png", PIXELS), Box(1, 2, 6, 8))
    np.testing.assert_array_equal(stored.open().rgb, PIXELS[2:8, 1:6])
    assert stored.name == f"{tmp_path / 'a.png'}[1,2,6,8]" == stored.open().name


@pytest.mark.parametrize("end", ["bin", "bin.gz"])
@pytest.mark.parametrize("planar", [False, True])
def test_a_record_is_read_from_its_place(tmp_path: Path, end: str, planar: bool) -> None:
    laid = PIXELS.transpose(2, 0, 1) if planar else PIXELS
    data = b"head" + bytes(PIXELS.size) + laid.tobytes() + b"tail"
    file = tmp_path / f"images.{end}"
    file.write_bytes(gzip.compress(data) if end.endswith("gz") else data)
    stored = Stored(file, Record(1, 4 + PIXELS.size, PIXELS.shape, planar))
    np.testing.assert_array_equal(stored.open().rgb, PIXELS)
    assert stored.name == f"{file}[1]" == stored.open().name


def test_a_record_without_channels_is_gray(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(PIXELS[:, :, 0].tobytes())
    rgb = Stored(tmp_path / "a", Record(0, 0, (9, 7))).open().rgb
    np.testing.assert_array_equal(rgb, PIXELS[:, :, :1].repeat(3, axis=2))


@pytest.mark.parametrize("end", ["bin", "bin.gz"])
def test_a_record_beyond_the_end_is_told(tmp_path: Path, end: str) -> None:
    file = tmp_path / f"short.{end}"
    file.write_bytes(gzip.compress(bytes(30)) if end.endswith("gz") else bytes(30))
    with pytest.raises(MissingData, match=rf"short\.{end}' ends before image 3"):
        Stored(file, Record(3, 20, (4, 4))).decode()


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="absent"):
        Stored(tmp_path / "absent", Record(0, 0, (4, 4))).decode()
    with pytest.raises(MissingData, match="absent"):
        contents(tmp_path / "absent")
    (tmp_path / "odd.gz").write_bytes(b"odd")
    with pytest.raises(MissingData, match=r"odd\.gz' cannot be read"):
        contents(tmp_path / "odd.gz")
    for part in (None, Box(0, 0, 4, 4)):
        with pytest.raises(UnreadableImage, match="absent"):
            Stored(tmp_path / "absent.png", part).decode()


def test_of_a_file_that_holds_several_images_the_first_counts_and_that_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "several.tif"
    path.write_bytes(stack(PIXELS, 255 - PIXELS))
    stored = Stored(path)
    for _ in range(2):
        np.testing.assert_array_equal(stored.open().rgb, PIXELS)
    assert [record.getMessage() for record in caplog.records] == [
        f"{str(path)!r} holds 2 images: the first alone is used; split it"
    ]
