import pytest
import torch

from inctrl.maths import neighbours
from inctrl.maths.neighbours import nearest_patch, nearest_rows, nearest_similarity, unit


def test_unit_vectors_have_length_one_and_zero_stays_zero() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    torch.testing.assert_close(unit(vectors), torch.tensor([[0.6, 0.8], [0.0, 0.0]]))


def test_nearest_similarity_equals_the_plain_loop() -> None:
    torch.manual_seed(0)
    query, memory = unit(torch.randn(2, 5, 7)), unit(torch.randn(11, 7))
    loop = torch.tensor([[max(float(q @ m) for m in memory) for q in image] for image in query])
    torch.testing.assert_close(nearest_similarity(query, memory), loop)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    query, memory = unit(torch.randn(3, 4, 6)), unit(torch.randn(50, 6))
    whole = nearest_similarity(query, memory)
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    torch.testing.assert_close(nearest_similarity(query, memory), whole)
    monkeypatch.setattr(neighbours, "LEAST", 1)
    for similarities in (1, 12, 60):  # of 12 query vectors: blocks of 1, 1 and 5 rows
        monkeypatch.setattr(neighbours, "SIMILARITIES", similarities)
        torch.testing.assert_close(nearest_similarity(query, memory), whole)


def test_each_query_may_have_a_memory_of_its_own() -> None:
    torch.manual_seed(0)
    query, memory = unit(torch.randn(3, 4, 6)), unit(torch.randn(3, 9, 6))
    alone = torch.stack([nearest_similarity(query[i], memory[i]) for i in range(3)])
    torch.testing.assert_close(nearest_similarity(query, memory), alone)


def test_nearest_patch_names_shot_row_and_column() -> None:
    torch.manual_seed(0)
    shots = unit(torch.randn(3, 4, 5, 8))
    for place in ((2, 1, 3), (0, 0, 0), (1, 3, 4)):
        assert nearest_patch(shots[place], shots) == place


@pytest.mark.parametrize("count", [1, 3, 50])
def test_nearest_rows_are_those_of_all_distances(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    query, memory = torch.randn(7, 5, generator=generator), torch.randn(20, 5, generator=generator)
    monkeypatch.setattr(neighbours, "PAIRS", 50)  # several blocks of queries
    squared, rows = nearest_rows(query, memory, count)
    distances = torch.cdist(query, memory)
    order = distances.argsort(dim=1)[:, : min(count, 20)]
    assert torch.equal(rows, order)
    torch.testing.assert_close(squared.sqrt(), distances.gather(1, order))


def test_neighbours_far_from_the_origin_are_found() -> None:
    generator = torch.Generator().manual_seed(0)
    query, memory = (torch.randn(n, 512, generator=generator).double() for n in (20, 100))
    _, expected = nearest_rows(query, memory)
    _, rows = nearest_rows((query + 300).float(), (memory + 300).float())
    assert torch.equal(rows, expected)


def test_of_equal_rows_the_first_is_nearest_and_a_row_is_at_zero_from_itself() -> None:
    row = torch.tensor([[1000.1, 2000.2, 3000.3]])
    squared, rows = nearest_rows(row, torch.cat([row + 1, row, row, row]), 3)
    assert rows.tolist() == [[1, 2, 3]]
    assert squared.tolist() == [[0, 0, 0]]
