"""The reshape is checked against the index rule of the released code, item by item."""

import torch

from inctrl.maths.grouping import released_grouping


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
