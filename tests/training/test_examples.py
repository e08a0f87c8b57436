"""From images on disk to the table that episodes are drawn from."""

import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from fakes import FakeBackbone

from inctrl.data.categories import Category
from inctrl.data.sources import read_data
from inctrl.detectors import build_detector
from inctrl.errors import MissingData, UsageError
from inctrl.inspection.inspector import Inspector
from inctrl.maths.geometry import view_of
from inctrl.training import examples
from inctrl.training.auxiliary import gather
from inctrl.training.examples import (
    TableWriter,
    cell_shares,
    encode_examples,
    list_examples,
    open_example,
)
from inctrl.training.loop import Recipe
from inctrl.training.survey import Survey, survey


def write(path: Path, seed: int, bar: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(90, 160, (48, 64, 3), dtype=np.uint8)
    if bar:
        pixels[:24, :16] = 0
    PIL.Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A set with a defect and its mask, and one with normal images alone."""
    for i in range(3):
        write(tmp_path / f"sets/tile/train/good/{i}.png", i)
        write(tmp_path / f"sets/clean/train/good/{i}.png", 10 + i)
    write(tmp_path / "sets/tile/test/good/0.png", 3)
    write(tmp_path / "sets/tile/test/bar/0.png", 4, bar=True)
    mask = np.zeros((48, 64), dtype=np.uint8)
    mask[:24, :16] = 255
    (tmp_path / "sets/tile/ground_truth/bar").mkdir(parents=True)
    PIL.Image.fromarray(mask).save(tmp_path / "sets/tile/ground_truth/bar/0_mask.png")
    return tmp_path / "sets"


@pytest.fixture
def sets(root: Path) -> list[Category]:
    return read_data(root, labelled=False)


@pytest.fixture
def inspector() -> Inspector:
    return Inspector(FakeBackbone(), build_detector("incontext"))


def test_normal_images_of_both_splits_are_learned_from(sets: list[Category]) -> None:
    tile = next(c for c in sets if c.name == "tile")
    listed = list_examples(tile, versions=0)
    assert [e.anomalous for e in listed] == [False] * 4 + [True]


def test_each_normal_image_gets_versions_with_drawn_defects(sets: list[Category]) -> None:
    clean = next(c for c in sets if c.name == "clean")
    drawn = [e for e in list_examples(clean, versions=2) if e.anomalous]
    assert [e.version for e in drawn] == [0, 1] * 3
    image, mask = open_example(drawn[0], seed=0)
    assert mask is not None
    changed = (image.rgb != drawn[0].image.open().rgb).any(axis=2)
    assert mask.any()
    assert changed[mask].mean() > 0.5


def test_a_drawn_defect_follows_from_image_seed_and_version(sets: list[Category]) -> None:
    first, second = list_examples(sets[0], versions=2)[3:5]
    again = open_example(first, seed=0)[0].sha256
    assert open_example(first, seed=0)[0].sha256 == again
    assert open_example(first, seed=1)[0].sha256 != again
    assert open_example(second, seed=0)[0].sha256 != again


def test_the_share_of_a_cell_is_that_of_its_pixels() -> None:
    mask = np.zeros((48, 64), dtype=bool)
    mask[:24, :8] = True
    shares = cell_shares(mask, (4, 4), view_of((48, 64), 32, "squash"))
    expected = torch.zeros(4, 4)
    expected[:2, 0] = 0.5
    torch.testing.assert_close(shares, expected)


def test_the_table_has_the_features_of_every_example(
    sets: list[Category], inspector: Inspector, tmp_path: Path
) -> None:
    auxiliary = gather(sets, None, versions=1, everywhere=False)
    writer = TableWriter(len(auxiliary.examples), tmp_path / "columns")
    for features, shares in encode_examples(inspector, auxiliary.examples, seed=0):
        writer.add(features, shares)
    table = writer.table
    assert len(table.tokens) == len(auxiliary.examples) == 5 + 6
    for layer in table.patches:
        torch.testing.assert_close(layer.norm(dim=-1), torch.ones(layer.shape[:-1]))
    last = open_example(auxiliary.examples[-1], seed=0)[0]
    torch.testing.assert_close(table.tokens[-1], inspector.encode([last]).image[0])
    [_, tile] = auxiliary.members
    assert tile.name == "tile"
    [bar] = tile.anomalous
    assert table.shares[bar, :4, :2].eq(1).all()
    assert table.shares[bar, 4:].eq(0).all()
    assert table.shares[list(tile.normal)].eq(0).all()


def test_where_an_anomalous_image_has_no_mask_its_cells_are_unknown(
    root: Path, inspector: Inspector
) -> None:
    (root / "tile/ground_truth/bar/0_mask.png").unlink()
    tile = next(c for c in read_data(root, labelled=False) if c.name == "tile")
    listed = list_examples(tile, versions=0)
    [(_, shares)] = encode_examples(inspector, listed, seed=0)
    assert shares[-1].isnan().all()
    assert not shares[:-1].isnan().any()


@pytest.mark.parametrize("value", [0, 255])
def test_a_mask_that_marks_nothing_or_everything_does_not_say_where_the_anomaly_is(
    root: Path, inspector: Inspector, value: int
) -> None:
    mask = root / "tile/ground_truth/bar/0_mask.png"
    PIL.Image.fromarray(np.full((48, 64), value, dtype=np.uint8)).save(mask)
    tile = next(c for c in read_data(root, labelled=False) if c.name == "tile")
    [(_, shares)] = encode_examples(inspector, list_examples(tile, versions=0), seed=0)
    assert shares[-1].isnan().all()


def test_deep_images_share_the_window_of_their_category_s_normal_ones(
    tmp_path: Path, inspector: Inspector
) -> None:
    pixels = np.random.default_rng(0).integers(20_000, 40_000, (32, 32)).astype(np.uint16)
    for place, factor in (("train/good/0", 1), ("train/good/1", 1), ("test/dark/0", 0.25)):
        file = tmp_path / f"set/{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray((pixels * factor).astype(np.uint16)).save(file)
    given = gather(read_data(tmp_path / "set", labelled=False), None, 0, everywhere=False)
    shown, _ = survey(given)
    means = [open_example(e, seed=0)[0].rgb.mean() for e in shown.examples]
    assert 100 < means[0] < 155
    assert means[2] == 0
    assert open_example(given.examples[2], seed=0)[0].rgb.mean() > 100  # its own window hides it


def test_what_was_seen_follows_from_contents_and_not_from_names(
    sets: list[Category], root: Path, tmp_path: Path
) -> None:
    def seen(where: Path) -> Survey:
        found = read_data(where, labelled=False)
        return survey(gather(found, None, versions=1, everywhere=False))[1]

    before = seen(root)
    moved = shutil.copytree(root, tmp_path / "elsewhere/sets")
    assert seen(moved) == before
    write(moved / "tile/train/good/0.png", seed=77)
    assert seen(moved).images != before.images
    (moved / "tile/ground_truth/bar/0_mask.png").write_bytes(
        (moved / "clean/train/good/0.png").read_bytes()
    )
    assert seen(moved).masks != before.masks
    assert len(before.seen.split()) == len(set(before.images))


def test_masks_that_say_nothing_or_are_inverted_perhaps_are_noted(root: Path) -> None:
    def seen() -> Survey:
        found = read_data(root, labelled=False)
        return survey(gather(found, None, versions=0, everywhere=False))[1]

    mask = root / "tile/ground_truth/bar/0_mask.png"
    usual = seen()
    assert (usual.fault, usual.notes) == (None, ())
    inverse = 255 - np.asarray(PIL.Image.open(mask))
    PIL.Image.fromarray(inverse).save(mask)
    [note] = seen().notes
    assert note.startswith("1 of 1 masks of tile mark most of their image (")
    PIL.Image.new("L", inverse.shape[::-1], 255).save(mask)
    assert "0_mask.png' marks every pixel as anomalous" in str(seen().fault)


def test_held_out_images_that_are_trained_on_are_refused(root: Path) -> None:
    shutil.copytree(root / "tile", root / "copy")
    found = read_data(root, labelled=False)
    with pytest.raises(UsageError, match=r"held-out image .*copy.* is trained on too, as .*tile"):
        survey(gather(found, "copy", versions=1, everywhere=False))


def test_a_category_given_twice_is_refused(sets: list[Category]) -> None:
    with pytest.raises(UsageError, match="'tile' is given twice.*exclude 'sets/tile'"):
        gather([*sets, sets[1]], "tile", versions=1, everywhere=False)


def test_too_small_a_held_out_set_is_told_beforehand(sets: list[Category]) -> None:
    auxiliary = gather(sets, "clean", versions=1, everywhere=False)
    with pytest.raises(UsageError, match=r"3 shots and a query are 4 .* 'clean' \(3\)"):
        auxiliary.episodes(Recipe(shots=(3,)))


def test_a_large_table_lies_in_mapped_files(
    sets: list[Category], inspector: Inspector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = list_examples(sets[0], versions=1)
    tables = []
    for limit in (examples.IN_MEMORY, 0):
        monkeypatch.setattr(examples, "IN_MEMORY", limit)
        writer = TableWriter(len(listed), tmp_path / "columns")
        for features, shares in encode_examples(inspector, listed, seed=0):
            writer.add(features, shares)
        tables.append(writer.table)
    assert len(list((tmp_path / "columns").iterdir())) == 4
    torch.testing.assert_close(tables[0].patches[1], tables[1].patches[1])
    torch.testing.assert_close(tables[0].tokens, tables[1].tokens)


def test_defects_are_drawn_where_a_set_has_none_or_everywhere(sets: list[Category]) -> None:
    auto = gather(sets, None, versions=2, everywhere=False)
    assert [len(m.anomalous) for m in auto.members] == [6, 1]
    everywhere = gather(sets, None, versions=2, everywhere=True)
    assert [len(m.anomalous) for m in everywhere.members] == [6, 1 + 8]


def test_the_held_out_set_comes_last_and_is_not_trained_on(sets: list[Category]) -> None:
    auxiliary = gather(sets, "clean", versions=1, everywhere=False)
    assert [m.name for m in auxiliary.members] == ["tile", "clean"]
    assert [m.name for m in auxiliary.trained] == ["tile"]


def test_what_cannot_be_held_out_is_refused(sets: list[Category]) -> None:
    with pytest.raises(UsageError, match="unknown set to hold out 'tilt'; did you mean 'tile'"):
        gather(sets, "tilt", versions=1, everywhere=False)
    with pytest.raises(UsageError, match="no anomalous image to be judged by"):
        gather(sets, "clean", versions=0, everywhere=False)
    with pytest.raises(UsageError, match="leaves no set to train on"):
        gather(sets[:1], sets[0].name, versions=1, everywhere=False)


def test_an_unreadable_image_ends_the_reading_and_is_named(
    root: Path, inspector: Inspector
) -> None:
    (root / "clean/train/good/1.png").write_bytes(b"no image")
    clean = next(c for c in read_data(root, labelled=False) if c.name == "clean")
    with pytest.raises(MissingData, match=r"1\.png' is not an image"):
        list(encode_examples(inspector, list_examples(clean, versions=0), seed=0))
