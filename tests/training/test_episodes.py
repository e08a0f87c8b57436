import pytest
import torch

from inctrl.errors import UsageError
from inctrl.training.episodes import Episodes, Members, balanced, holdout

FEW = Members("few", normal=(0, 1, 2), anomalous=(3, 4))
MANY = Members("many", normal=tuple(range(5, 12)), anomalous=(12, 13, 14))
NORMALS = {**dict.fromkeys(FEW.normal, 0), **dict.fromkeys(MANY.normal, 1)}


def episodes(**changes: object) -> Episodes:
    settings = {"members": (FEW, MANY), "batch": 4, "shots": (2,), "seed": 0}
    return Episodes(**{**settings, **changes})  # type: ignore[arg-type]


def test_half_of_a_batch_is_normal_and_half_anomalous_in_that_order() -> None:
    draw = episodes(batch=6).step(0)
    assert draw.labels.tolist() == [0, 0, 0, 1, 1, 1]
    for query, label in zip(draw.queries.tolist(), draw.labels.tolist(), strict=True):
        assert (query in NORMALS) == (label == 0)


def test_shots_are_other_normal_images_of_the_query_s_category() -> None:
    given = episodes(shots=(1, 2))
    for step in range(50):
        draw = given.step(step)
        for query, shots, category in zip(
            draw.queries.tolist(), draw.shots.tolist(), draw.categories.tolist(), strict=True
        ):
            assert query not in shots
            assert len(set(shots)) == len(shots)
            assert {NORMALS[shot] for shot in shots} == {category}
            assert query in (FEW, MANY)[category].normal + (FEW, MANY)[category].anomalous


def test_a_query_may_be_its_own_shot_only_on_request() -> None:
    given = episodes(own_shots=True)
    met = [
        query in shots
        for step in range(50)
        for query, shots in zip(*(t.tolist() for t in _pairs(given, step)), strict=True)
    ]
    assert any(met)


def _pairs(given: Episodes, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = given.step(step)
    return draw.queries, draw.shots


def test_every_normal_image_comes_once_before_any_comes_again() -> None:
    given = episodes()  # two normal queries a step, ten normal images
    drawn = torch.cat([given.step(step).queries[:2] for step in range(10)]).tolist()
    assert sorted(drawn[:10]) == sorted(NORMALS)
    assert sorted(drawn[10:]) == sorted(NORMALS)
    assert drawn[:10] != drawn[10:]


def test_each_step_has_one_number_of_shots_of_the_list() -> None:
    given = episodes(members=(MANY,), shots=(1, 3, 6))
    seen = {given.step(step).shots.shape[1] for step in range(40)}
    assert seen == {1, 3, 6}


def test_a_step_follows_from_the_seed_and_its_number_alone() -> None:
    def told(seed: int, step: int) -> list[object]:
        draw = episodes(seed=seed).step(step)
        return [draw.queries.tolist(), draw.shots.tolist()]

    assert told(3, 7) == told(3, 7)
    assert told(3, 7) != told(4, 7)
    assert told(3, 7) != told(3, 8)


def test_processes_share_a_batch_with_as_many_of_each_kind() -> None:
    whole = episodes(batch=8).step(2)
    parts = [balanced(whole, rank, 2) for rank in (0, 1)]
    assert [part.labels.tolist() for part in parts] == [[0, 0, 1, 1]] * 2
    rows = sorted(zip(whole.queries.tolist(), whole.shots.tolist(), strict=True))
    found = [
        row
        for part in parts
        for row in zip(part.queries.tolist(), part.shots.tolist(), strict=True)
    ]
    assert sorted(found) == rows
    assert balanced(whole, 0, 1) is whole


@pytest.mark.parametrize(("batch", "size"), [(6, 2), (4, 2), (4, 4), (8, 3)])
def test_a_batch_that_cannot_be_shared_evenly_is_refused(batch: int, size: int) -> None:
    with pytest.raises(UsageError, match=f"cannot be shared by {size} processes"):
        balanced(episodes(batch=batch).step(0), 0, size)


def test_the_held_out_images_meet_shots_that_they_are_not() -> None:
    draw = holdout(MANY, 1, k=3, seed=0, most=100)
    assert draw.queries.tolist() == [*MANY.normal, *MANY.anomalous]
    assert draw.labels.tolist() == [0] * 7 + [1] * 3
    assert set(draw.categories.tolist()) == {1}
    for query, shots in zip(draw.queries.tolist(), draw.shots.tolist(), strict=True):
        assert query not in shots
        assert set(shots) <= set(MANY.normal)
    assert len(holdout(MANY, 1, k=3, seed=0, most=2).queries) <= 4


def test_too_few_normal_images_are_named() -> None:
    with pytest.raises(UsageError, match=r"3 shots and a query are 4 .* 'few' \(3\)"):
        episodes(shots=(1, 3)).refuse_few()
    episodes(shots=(1, 3), own_shots=True).refuse_few()


def test_nothing_anomalous_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match="let defects be drawn"):
        episodes(members=(Members("clean", (0, 1, 2, 3), ()),)).refuse_few()
