import pytest
import torch

from inctrl.maths.neighbours import unit
from inctrl.maths.residuals import (
    elsewhere_residuals,
    image_residual,
    patch_residuals,
    released_grouping,
)


def test_a_patch_seen_before_has_zero_residual() -> None:
    torch.manual_seed(0)
    references = unit(torch.randn(20, 6))
    residuals = patch_residuals(references[None, 3:5], references)
    torch.testing.assert_close(residuals, torch.zeros(1, 2), atol=1e-6, rtol=0)
    assert (residuals >= 0).all()


def test_opposite_is_one_and_orthogonal_a_half() -> None:
    reference = torch.tensor([[1.0, 0.0]])
    query = torch.tensor([[[-1.0, 0.0], [0.0, 1.0]]])
    torch.testing.assert_close(patch_residuals(query, reference), torch.tensor([[1.0, 0.5]]))


def test_more_references_never_raise_a_residual() -> None:
    torch.manual_seed(0)
    query, references = unit(torch.randn(2, 9, 5)), unit(torch.randn(30, 5))
    few, many = patch_residuals(query, references[:10]), patch_residuals(query, references)
    assert (many <= few + 1e-7).all()
    assert (many < few).any()


def test_image_residual_is_mean_shot_minus_query() -> None:
    shots = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    assert image_residual(torch.tensor([[1.0, 1.0]]), shots).tolist() == [[1.0, 3.0]]


def loop_elsewhere(maps: torch.Tensor) -> torch.Tensor:
    """Straight from the definition: every position against all that lie 0.12 sides away."""
    b, rows, columns, _ = maps.shape
    values = torch.zeros(b, rows, columns)
    for i in range(b):
        for r in range(rows):
            for c in range(columns):
                best = -1.0
                for y in range(rows):
                    for x in range(columns):
                        if ((r - y) / rows) ** 2 + ((c - x) / columns) ** 2 >= 0.12**2:
                            cosine = torch.cosine_similarity(maps[i, r, c], maps[i, y, x], dim=0)
                            best = max(best, float(cosine))
                values[i, r, c] = (1 - best) / 2
    return values


@pytest.mark.parametrize("pairs", [2**22, 70])
def test_elsewhere_is_the_definition_in_blocks_of_any_size(
    pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inctrl.maths.residuals.PAIRS", pairs)
    maps = torch.randn(2, 9, 7, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(elsewhere_residuals(maps), loop_elsewhere(maps))


def test_a_neighbour_is_not_elsewhere() -> None:
    """Of 9 x 9 positions two that touch are one place: alike, and still unlike all the rest."""
    maps = torch.tensor([1.0, 0.0]).repeat(1, 9, 9, 1)
    maps[0, 4, 4:6] = torch.tensor([0.0, 1.0])
    expected = torch.zeros(1, 9, 9)
    expected[0, 4, 4:6] = 0.5
    torch.testing.assert_close(elsewhere_residuals(maps), expected)
    maps[0, 4, 7] = torch.tensor([0.0, 1.0])
    torch.testing.assert_close(elsewhere_residuals(maps), torch.zeros(1, 9, 9))


def test_where_nothing_is_elsewhere_nothing_is_unlike() -> None:
    assert elsewhere_residuals(torch.ones(2, 1, 1, 3)).tolist() == [[[0.0]], [[0.0]]]


def test_slots_hold_the_items_that_the_release_puts_there() -> None:
    layers, b, k, n = 3, 4, 2, 5
    query = [torch.tensor([[[100.0 * j + i]] * n for i in range(b)]) for j in range(layers)]
    shots = [
        torch.tensor([[[[100.0 * j + 10 * s + i]] * n for s in range(k)] for i in range(b)])
        for j in range(layers)
    ]
    tokens = torch.tensor([[[10.0 * s + i] for s in range(k)] for i in range(b)])
    new_query, new_shots, new_tokens = released_grouping(query, shots, tokens)
    flat_shots = [(j, s, i) for j in range(layers) for s in range(k) for i in range(b)]
    flat_tokens = [(s, i) for s in range(k) for i in range(b)]
    for i in range(b):
        for j in range(layers):
            f = layers * i + j
            assert new_query[j][i, 0, 0] == 100 * (f // b) + f % b
            expected = [100 * a + 10 * s + q for a, s, q in flat_shots[f * k : f * k + k]]
            assert new_shots[j][i, :, 0, 0].tolist() == expected
        expected = [10 * s + q for s, q in flat_tokens[i * k : i * k + k]]
        assert new_tokens[i, :, 0].tolist() == expected
