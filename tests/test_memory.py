import pytest
import torch
from torch import Tensor

from inctrl.errors import UsageError
from inctrl.memory import MemoryBank, Thinning


def rows(n: int, d: int = 16, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_a_bank_keeps_everything_by_default() -> None:
    bank = MemoryBank.build(rows(30))
    assert torch.equal(bank.rows, rows(30))
    assert bank.places.tolist() == list(range(30))


def test_thinning_keeps_a_share_rounded_up_and_one_at_least() -> None:
    for fraction, kept in ((0.1, 4), (0.001, 1), (1.0, 31)):
        assert len(MemoryBank.build(rows(31), Thinning(fraction))) == kept
    assert len(MemoryBank.build(rows(31), Thinning(0.1, whole=31))) == 31


def test_kept_rows_are_rows_of_the_input_at_their_places() -> None:
    given = rows(200)
    for sampler in ("exact", "approximate"):
        bank = MemoryBank.build(given, Thinning(0.2, sampler=sampler))  # type: ignore[arg-type]
        assert torch.equal(given[bank.places], bank.rows)
        assert len(set(bank.places.tolist())) == 40


def test_the_seed_decides_the_coreset() -> None:
    def picked(seed: int) -> list[int]:
        thinning = Thinning(0.1, projected=4, seed=seed)
        places: list[int] = MemoryBank.build(rows(200), thinning).places.tolist()
        return places

    assert picked(0) == picked(0)
    assert picked(0) != picked(1)


@pytest.mark.parametrize("count", [1, 3, 100])
@pytest.mark.parametrize("method", ["flat", "ivf"])
def test_every_index_answers_as_torch_does(count: int, method: str) -> None:
    """This bank is so small that the approximate index looks everywhere."""
    bank, query = MemoryBank.build(rows(60)), rows(25, seed=1)
    squared, found = bank.search(query, count, "torch")
    ours, same = bank.search(query, count, method)  # type: ignore[arg-type]
    assert torch.equal(found, same)
    assert torch.equal(squared, ours)


def test_an_approximate_index_finds_nearly_all_neighbours() -> None:
    centres = 8 * rows(50, 32)
    given = centres.repeat(200, 1) + rows(10_000, 32, seed=1)
    query = centres + rows(50, 32, seed=2)
    bank = MemoryBank.build(given)
    _, exact = bank.search(query, 1, "torch")
    _, near = bank.search(query, 1, "ivf")
    assert float((exact == near).float().mean()) >= 0.95


def test_a_bank_needs_a_row() -> None:
    with pytest.raises(UsageError, match="one row at least"):
        MemoryBank.build(rows(0))
