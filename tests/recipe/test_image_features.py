"""The frozen image side of the training, seen through a backbone without weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import FakeBackbone
from numpy.typing import NDArray
from recipe.tiny_shards import free_records, write_shards

from inctrl.data.defects import Damaged, damage_any
from inctrl.images import Image
from inctrl.maths.statistics import image_statistics
from tiny import image_features
from tiny.image_features import VERSIONS, ImageFeatures, extract, load, versions
from tiny.shards import Captioned, read_images
from tiny.splits import HELD_OUT_KINDS, SEEN_KINDS, Split

CHUNK = 8


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def records(shards: Path) -> list[Captioned]:
    return free_records(shards)


@pytest.fixture(scope="module")
def images(shards: Path, records: list[Captioned]) -> list[Image]:
    return list(read_images(shards, records))


@pytest.fixture(scope="module", autouse=True)
def _small_chunks() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_features, "CHUNK", CHUNK)
        yield


@pytest.fixture(scope="module")
def work(shards: Path, records: list[Captioned], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    assert run(FakeBackbone(), shards, records, folder) == [8, 16, 24, 27]
    return folder


def run(
    tower: FakeBackbone, shards: Path, records: list[Captioned], work: Path, seed: int = 0
) -> list[int]:
    return list(extract(tower, shards, records, work, seed))


def same(one: ImageFeatures, other: ImageFeatures) -> bool:
    return all(
        torch.equal(getattr(one, n), getattr(other, n)) for n in ("pooled", "clean", "damaged")
    )


def test_rows_are_those_of_the_records(
    work: Path, records: list[Captioned], images: list[Image]
) -> None:
    found = load(work, len(records))
    assert found.pooled.shape == (27, 7)
    assert found.clean.shape == (27, 2, 86)
    assert found.damaged.shape == (27, VERSIONS, 86)
    tower = FakeBackbone()
    for row in (0, 9, 26):
        features = tower.encode_images(tower.preprocessing([images[row]], "squash"))
        torch.testing.assert_close(found.pooled[row], features.image[0])
        torch.testing.assert_close(found.clean[row, 0], image_statistics(features.patches)[0])


def test_versions_are_in_colour_and_in_gray_by_turns(work: Path, records: list[Captioned]) -> None:
    """The first three numbers are the fine layer's means of red, green and blue."""
    found = load(work, len(records))
    colours = torch.cat([found.clean[:, :1], found.damaged[:, ::2]], dim=1)[..., :3]
    grays = torch.cat([found.clean[:, 1:], found.damaged[:, 1::2]], dim=1)[..., :3]
    assert (colours.amax(-1) - colours.amin(-1)).min() > 0.01
    assert (grays.amax(-1) - grays.amin(-1)).max() < 1e-5


def test_every_version_is_damaged(work: Path, records: list[Captioned]) -> None:
    found = load(work, len(records))
    clean = found.clean[:, torch.arange(VERSIONS) % 2]
    assert ((found.damaged - clean).abs().amax(dim=-1) > 1e-4).all()


def test_a_killed_run_goes_on_to_the_same_features(
    work: Path, shards: Path, records: list[Captioned], tmp_path: Path
) -> None:
    """It was killed with one chunk half written and another not begun."""
    chunks = sorted(work.glob("*.safetensors"))
    assert len(chunks) == 4
    (tmp_path / chunks[1].with_suffix(".partial").name).write_bytes(b"half")
    for kept in (chunks[0], chunks[2]):
        (tmp_path / kept.name).write_bytes(kept.read_bytes())
    tower = FakeBackbone()
    assert run(tower, shards, records, tmp_path) == [8, 16, 24, 27]
    assert tower.encoded == (8 + 3) * (2 + VERSIONS)
    assert same(load(tmp_path, 27), load(work, 27))
    assert not list(tmp_path.glob("*.partial"))
    assert run(tower, shards, records, tmp_path) == [8, 16, 24, 27]
    assert tower.encoded == (8 + 3) * (2 + VERSIONS)


def test_a_kill_between_chunks_loses_one_chunk(
    shards: Path, records: list[Captioned], tmp_path: Path
) -> None:
    tower = FakeBackbone()
    done = extract(tower, shards, records, tmp_path, 0)
    assert next(done) == 8
    done.close()
    assert tower.encoded == 8 * (2 + VERSIONS)
    run(tower, shards, records, tmp_path)
    assert tower.encoded == 27 * (2 + VERSIONS)


def test_the_seed_draws_the_damage(
    work: Path, shards: Path, records: list[Captioned], tmp_path: Path
) -> None:
    run(FakeBackbone(), shards, records, tmp_path, seed=1)
    first, other = load(work, 27), load(tmp_path, 27)
    assert torch.equal(first.clean, other.clean)
    assert (first.damaged != other.damaged).any(dim=-1).float().mean() > 0.9


def test_held_out_records_get_held_out_kinds_only(
    records: list[Captioned], images: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: set[str] = set()

    def noted(rgb: NDArray[np.uint8], rng: np.random.Generator, kinds: tuple[str, ...]) -> Damaged:
        damaged = damage_any(rgb, rng, kinds)
        drawn.add(damaged.kind)
        return damaged

    monkeypatch.setattr(image_features, "damage_any", noted)
    split = Split.of(records)
    tested = [split.tests_state(record) for record in records]
    assert sum(tested) == 2 + 4
    for held_out, kinds in ((True, HELD_OUT_KINDS), (False, SEEN_KINDS)):
        drawn.clear()
        for record, image, is_tested in zip(records, images, tested, strict=True):
            if is_tested == held_out:
                versions(image, record, split, 0, count=8)
        assert drawn == set(kinds)


def test_a_version_depends_on_its_image_seed_and_number_alone(
    records: list[Captioned], images: list[Image]
) -> None:
    split = Split.of(records)
    made = versions(images[3], records[3], split, 0)
    assert [v.sha256 for v in versions(images[3], records[3], split, 0, count=2)] == [
        v.sha256 for v in made[:2]
    ]
    assert len({v.sha256 for v in (images[3], *made)}) == 1 + VERSIONS
    other = versions(images[3], records[3], split, 1)
    assert not {v.sha256 for v in made} & {v.sha256 for v in other}
