"""Captioned images in ZIP shards and folders."""

import io
import json
import zipfile
from pathlib import Path

import PIL.Image
import pytest
from recipe.tiny_shards import drawn, rows_of, store, write_shards

from inctrl.decoding import open_image
from inctrl.errors import UnreadableImage, UsageError
from tiny.shards import (
    FREE,
    Captioned,
    held_out_names,
    read_images,
    read_records,
    share,
)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    return write_shards(tmp_path / "shards")


def test_records_are_in_file_order_and_free_by_their_source(shards: Path) -> None:
    records, rows = read_records(shards), rows_of(shards)
    assert [r.name for r in records] == [f"{row['shard']}/{row['file']}" for row in rows]
    assert [r.captions for r in records] == [tuple(row["captions"]) for row in rows]
    assert {r.source for r in records if r.free} == set(FREE)
    assert {r.source for r in records if not r.free} == {"flickr8k"}
    assert {r.label for r in records if r.source == "cocomini"} == {None}
    chosen = read_records(shards, ["flickr8k"])
    assert [r.free for r in chosen] == [r.source == "flickr8k" for r in chosen]


def test_images_come_in_the_order_of_their_records_from_zips_and_folders(shards: Path) -> None:
    mixed = read_records(shards)[::3] + read_records(shards)[::-4]
    assert {r.shard for r in mixed} > {"ambientcg", "caltech101-00.zip"}
    images = list(read_images(shards, mixed))
    assert [image.name for image in images] == [record.name for record in mixed]
    for record, image in zip(mixed, images, strict=True):
        assert image.sha256 == open_image(drawn(record.name)).sha256


def test_a_shard_is_opened_once(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    class Counted(zipfile.ZipFile):
        def __init__(self, file: Path) -> None:
            opened.append(file)
            super().__init__(file)

    monkeypatch.setattr(zipfile, "ZipFile", Counted)
    records = [r for r in read_records(shards) if r.shard.endswith(".zip")]
    assert len(list(read_images(shards, [*records, *records]))) == 2 * len(records)
    assert len(opened) == len(set(opened)) == 3


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "",
        "null",
        "[1, 2]",
        '{"shard": "a.zip", "file": "b.png"}',
        '{"shard": "a.zip", "file": "b.png", "source": "x", "captions": 3}',
        '{"shard": "a.zip", "file": "b.png", "source": "x", "captions": "a dog"}',
        '{"shard": "a.zip", "file": "b.png", "source": ["x"], "captions": []}',
    ],
)
def test_the_malformed_line_is_named(shards: Path, line: str) -> None:
    lines = (shards / "captions.jsonl").read_text().splitlines()
    lines[4] = line
    (shards / "captions.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(UsageError, match=r"captions\.jsonl', line 5: no record") as caught:
        read_records(shards)
    assert "\n" not in str(caught.value)


def test_a_line_ends_where_the_file_says_so(shards: Path) -> None:
    """Not at the separators of Unicode, which JSON may hold as they are."""
    rows = rows_of(shards)
    rows[0]["captions"] = ["a dog\u2028and\x85a cat"]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in rows)
    (shards / "captions.jsonl").write_text(text, encoding="utf-8", newline="")
    records = read_records(shards)
    assert len(records) == len(rows)
    assert records[0].captions == ("a dog\u2028and\x85a cat",)


def test_a_list_that_cannot_be_read_is_told(shards: Path) -> None:
    (shards / "captions.jsonl").write_bytes(b'{"shard": "\xff"}\n')
    with pytest.raises(UsageError, match=r"captions\.jsonl' cannot be read"):
        read_records(shards)
    (shards / "captions.jsonl").unlink()
    with pytest.raises(UsageError, match=r"captions\.jsonl' cannot be read \(No such file"):
        read_records(shards)


def read_one(shards: Path, shard: str, file: str) -> None:
    list(read_images(shards, [Captioned(shard, file, "x", (), None, True)]))


def test_the_unreadable_member_is_named(shards: Path) -> None:
    for shard in ("cocomini-00.zip", "absent.zip", "captions.jsonl"):
        with pytest.raises(UsageError, match=rf"'9\.png' cannot be read from '.*{shard}'"):
            read_one(shards, shard, "9.png")
    with pytest.raises(UnreadableImage, match=r"ambientcg/9\.png"):
        read_one(shards, "ambientcg", "9.png")
    store(shards / "cocomini-00.zip", "text.png", b"no image")
    with pytest.raises(UnreadableImage, match=r"cocomini-00\.zip/text\.png"):
        read_one(shards, "cocomini-00.zip", "text.png")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_is_named(shards: Path, compression: int) -> None:
    stored = io.BytesIO()
    PIL.Image.new("RGB", (64, 64), (9, 99, 199)).save(stored, "BMP")
    with zipfile.ZipFile(shards / "hurt.zip", "w", compression) as archive:
        archive.writestr("a.bmp", stored.getvalue())
    data = bytearray((shards / "hurt.zip").read_bytes())
    data[36:44] = b"\xff" * 8  # the first bytes of the member, behind its header
    (shards / "hurt.zip").write_bytes(data)
    with pytest.raises(UsageError, match=r"'a\.bmp' cannot be read from '.*hurt\.zip'"):
        read_one(shards, "hurt.zip", "a.bmp")


def test_a_share_belongs_to_a_name_on_every_machine() -> None:
    assert share("ambientcg-00.zip/a.png", "image") == pytest.approx(0.4927193105974588, abs=1e-12)
    shares = [share(f"{i}", "x") for i in range(4000)]
    assert 0 <= min(shares) < 0.01 < 0.99 < max(shares) < 1
    assert sum(s < 0.25 for s in shares) / 4000 == pytest.approx(0.25, abs=0.03)
    assert share("0", "x") != share("0", "y")


def test_held_out_names_do_not_depend_on_order_or_repetition() -> None:
    names = [f"thing {i}" for i in range(40)]
    chosen = held_out_names(names, 10, "s")
    assert len(chosen) == 10
    assert held_out_names([*names[::-1], *names], 10, "s") == chosen
    assert held_out_names(names, 11, "s") > chosen
    assert held_out_names(names, 10, "t") != chosen
    assert held_out_names([], 3, "s") == frozenset()
