"""Shots that come one by one and are held once."""

import torch
from torch import Tensor

from inctrl.inspection.gathered import Gathered, joined
from inctrl.inspection.seen import Seen
from inctrl.maths.tiles import Tiling
from inctrl.types import Features, concatenate


def shot(seed: int) -> Seen:
    random = torch.Generator().manual_seed(seed)
    layers = (torch.randn(1, 4, 4, 3, generator=random), torch.randn(1, 2, 2, 5, generator=random))
    features = Features(layers, torch.randn(1, 6, generator=random))
    return Seen(features, features, Tiling((8, 8)))


def held(parts: tuple[Tensor, ...]) -> list[int]:
    return [part.untyped_storage().data_ptr() for part in parts]


def test_the_bank_of_gathered_shots_is_where_they_are():
    gathered, given = Gathered(3), [shot(i) for i in range(3)]
    seen = [gathered.add(one) for one in given]
    bank = joined([one.bank for one in seen])
    whole = concatenate([one.bank for one in given])
    assert all(torch.equal(a, b) for a, b in zip(bank.patches, whole.patches, strict=True))
    assert torch.equal(bank.image, whole.image)
    for one in seen:
        assert held(one.bank.patches) == held(bank.patches)
        assert one.query is one.bank


def test_fewer_or_more_shots_than_expected_make_the_same_bank():
    whole = concatenate([shot(i).bank for i in range(3)])
    for expected in (1, 2, 9):
        gathered = Gathered(expected)
        bank = joined([gathered.add(shot(i)).bank for i in range(3)])
        assert all(torch.equal(a, b) for a, b in zip(bank.patches, whole.patches, strict=True))


def test_shots_in_another_order_than_they_came_are_joined_in_theirs():
    gathered = Gathered(3)
    seen = [gathered.add(shot(i)).bank for i in range(3)]
    bank, whole = joined([seen[2], seen[0]]), concatenate([shot(2).bank, shot(0).bank])
    assert all(torch.equal(a, b) for a, b in zip(bank.patches, whole.patches, strict=True))


def test_shots_of_several_views_stay_where_they_are():
    features = concatenate([shot(0).bank, shot(1).bank])
    several = Seen(features, features[:1], Tiling((8, 8)))
    assert Gathered(2).add(several) is several
