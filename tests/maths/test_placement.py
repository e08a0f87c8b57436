import pytest
import torch

from inctrl.maths.placement import Position, place, token_order

# Two prompts, tokens named by numbers: start 0, placeholders 1 2 3, the name, full stop 7, end 8.
PROMPTS = torch.tensor([[0, 1, 2, 3, 41, 42, 7, 8, 9], [0, 1, 2, 3, 51, 7, 8, 9, 9]])
V = [-1, -2, -3]


@pytest.mark.parametrize(
    ("position", "first", "second"),
    [
        ("end", [0, *V, 41, 42, 7, 8, 9], [0, *V, 51, 7, 8, 9, 9]),
        ("middle", [0, -1, 41, 42, -2, -3, 7, 8, 9], [0, -1, 51, -2, -3, 7, 8, 9, 9]),
        ("front", [0, 41, 42, *V, 7, 8, 9], [0, 51, *V, 7, 8, 9, 9]),
    ],
)
def test_vectors_and_name_by_hand(position: Position, first: list[int], second: list[int]) -> None:
    embedded = PROMPTS[..., None].float()
    context = torch.tensor(V)[:, None].float()
    assert place(embedded, context, 1, (2, 1), position)[..., 0].tolist() == [first, second]


def test_each_prompt_may_have_vectors_of_its_own() -> None:
    context = torch.tensor([V, [-4, -5, -6]])[..., None].float()
    placed = place(PROMPTS[..., None].float(), context, 1, (2, 1), "end")[..., 0]
    assert placed[:, 1:4].tolist() == [V, [-4, -5, -6]]


@pytest.mark.parametrize("position", ["end", "middle", "front"])
@pytest.mark.parametrize("vectors", [1, 4, 5])
def test_no_token_is_lost_or_doubled(position: Position, vectors: int) -> None:
    order = token_order(12, vectors, 2, 3, position)
    assert sorted(order) == list(range(12))
    assert order[:2] == [0, 1]


def test_the_gradient_reaches_every_vector() -> None:
    context = torch.zeros(3, 1, requires_grad=True)
    place(PROMPTS[..., None].float(), context, 1, (2, 1), "middle").sum().backward()
    assert context.grad is not None
    assert context.grad[:, 0].tolist() == [2, 2, 2]
