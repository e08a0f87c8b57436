import torch

from inctrl.maths import neighbours
from inctrl.maths.neighbours import nearest_patch, nearest_similarity, unit


def test_unit_vectors_have_length_one_and_zero_stays_zero() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    torch.testing.assert_close(unit(vectors), torch.tensor([[0.6, 0.8], [0.0, 0.0]]))


def test_nearest_similarity_equals_the_plain_loop() -> None:
    query, memory = unit(torch.randn(2, 5, 7)), unit(torch.randn(11, 7))
    loop = torch.tensor([[max(float(q @ m) for m in memory) for q in image] for image in query])
    torch.testing.assert_close(nearest_similarity(query, memory), loop)


def test_blocks_change_nothing(monkeypatch: object) -> None:
    query, memory = unit(torch.randn(3, 4, 6)), unit(torch.randn(50, 6))
    whole = nearest_similarity(query, memory)
    neighbours.BLOCK, before = 7, neighbours.BLOCK
    try:
        torch.testing.assert_close(nearest_similarity(query, memory), whole)
    finally:
        neighbours.BLOCK = before


def test_each_query_may_have_a_memory_of_its_own() -> None:
    query, memory = unit(torch.randn(3, 4, 6)), unit(torch.randn(3, 9, 6))
    alone = torch.stack([nearest_similarity(query[i], memory[i]) for i in range(3)])
    torch.testing.assert_close(nearest_similarity(query, memory), alone)


def test_nearest_patch_names_shot_row_and_column() -> None:
    shots = unit(torch.randn(3, 4, 5, 8))
    for place in ((2, 1, 3), (0, 0, 0), (1, 3, 4)):
        assert nearest_patch(shots[place], shots) == place
