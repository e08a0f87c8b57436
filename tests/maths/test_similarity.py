import pytest
import torch

from inctrl.maths.similarity import informed, trust


def test_trust_is_that_of_the_worst_shot() -> None:
    assert float(trust(torch.tensor([0.0, 0.1]))) == pytest.approx(0.8)
    assert float(trust(torch.tensor([0.1, 0.0]))) == pytest.approx(0.8)
    assert float(trust(torch.tensor([0.0]))) == 1


@pytest.mark.parametrize("worst", [0.5, 0.7, 1.0])
def test_there_is_no_trust_where_a_shot_is_called_damaged(worst: float) -> None:
    assert float(trust(torch.tensor([0.0, 0.0, worst]))) == 0


def test_scores_move_with_what_is_said_of_the_query_beyond_the_shots() -> None:
    scores, said = torch.tensor([0.2, 0.2, 0.2]), torch.tensor([0.1, 0.9, 0.3])
    moved = informed(scores, said, torch.tensor([0.2, 0.4]), 0.1)
    torch.testing.assert_close(moved, torch.tensor([0.196, 0.212, 0.2]))


def test_scores_stay_within_the_weight_and_are_untouched_without() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, said, shots = (torch.rand(50, generator=generator) for _ in range(3))
    moved = informed(scores, said, shots, 0.1)
    assert bool(((moved / scores - 1).abs() <= 0.1).all())
    torch.testing.assert_close(informed(scores, said, shots, 0.0), scores, atol=0, rtol=0)
