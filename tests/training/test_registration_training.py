"""Training of the registration: what a step is, and that it learns."""

import pytest
import torch

from inctrl.backbones import load_backbone
from inctrl.protocols import Backbone
from inctrl.training.registration import (
    Recipe,
    Rest,
    batches,
    learning_rate,
    new_registration,
    steps,
    train,
)


def test_the_rate_is_half_a_cosine_down_to_zero() -> None:
    recipe = Recipe(epochs=4, rate=0.1)
    rates = [learning_rate(epoch, recipe) for epoch in (1, 2, 3, 4)]
    assert rates == pytest.approx([0.1 * (2 + 2**0.5) / 4, 0.05, 0.1 * (2 - 2**0.5) / 4, 0])


def test_every_image_is_a_query_once_an_epoch_with_others_of_its_set() -> None:
    recipe, sizes = Recipe(shots=3, batch=4, seed=5), [9, 4]
    seen: list[list[int]] = [[], []]
    for which, queries, supports in batches(sizes, recipe, 1):
        assert len(queries) <= 4
        assert supports.shape == (len(queries), 3)
        seen[which] += queries.tolist()
        for query, row in zip(queries.tolist(), supports.tolist(), strict=True):
            assert len({query, *row}) == 4
            assert max(row) < sizes[which]
    assert [sorted(part) for part in seen] == [list(range(9)), list(range(4))]
    assert steps(sizes, recipe) == 50 * (3 + 1)


def test_the_order_follows_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[object]:
        found = batches([12], Recipe(batch=4, seed=seed), epoch)
        return [(q.tolist(), s.tolist()) for _, q, s in found]

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone("tiny", image_size=128, device="cpu")


def maps(backbone: Backbone, n: int = 6) -> torch.Tensor:
    """First maps of one item: the same smooth map with a little noise."""
    [size, _], channels = new_registration(backbone).shape["grids"][0], 112
    random = torch.Generator().manual_seed(0)
    common = torch.randn(1, channels, size, size, generator=random)
    return common + 0.3 * torch.randn(n, channels, size, size, generator=random)


def test_the_support_is_the_mean_of_its_warped_maps(backbone: Backbone) -> None:
    module = new_registration(backbone)
    rest = Rest(backbone.segments(), module.eval())  # type: ignore[attr-defined]
    first = maps(backbone)
    supports = torch.tensor([[2, 3], [4, 5]])
    with torch.no_grad():
        loss = rest.loss(first[:2], first[supports])
        last = [rest.registered(first[i : i + 1]) for i in range(6)]
        query = torch.cat(last[:2])
        support = torch.cat([(last[2] + last[3]) / 2, (last[4] + last[5]) / 2])
        expected = module.loss_map(query, support).mean()
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=0)


def test_training_lowers_the_loss_moves_the_warps_and_leaves_the_backbone(
    backbone: Backbone,
) -> None:
    module, first = new_registration(backbone), maps(backbone)
    pixels = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    before = backbone.encode_images(pixels)
    losses = list(train(backbone, module, [first], Recipe(epochs=12, rate=0.05, batch=3)))
    assert len(losses) == 24
    assert sum(losses[-4:]) < sum(losses[:4]) - 0.5
    for transformer in module.transformers:
        assert transformer.fc[2].weight.abs().max() > 0  # type: ignore[index,union-attr]
    after = backbone.encode_images(pixels)
    assert all(torch.equal(a, b) for a, b in zip(before.patches, after.patches, strict=True))


def test_steps_are_those_of_sgd_with_momentum_in_training_mode(backbone: Backbone) -> None:
    recipe, first = Recipe(epochs=3, rate=0.1), maps(backbone)
    seen, ours = new_registration(backbone), new_registration(backbone)
    list(train(backbone, seen, [first], recipe))
    rest = Rest(backbone.segments(), ours.train())  # type: ignore[attr-defined]
    speed = {name: torch.zeros_like(p) for name, p in ours.named_parameters()}
    for epoch, rate in ((1, 0.075), (2, 0.025), (3, 0)):
        [(_, queries, supports)] = batches([len(first)], recipe, epoch)
        ours.zero_grad()
        rest.loss(first[queries], first[supports]).backward()
        with torch.no_grad():
            for name, p in ours.named_parameters():
                assert p.grad is not None
                speed[name] = 0.9 * speed[name] + p.grad
                p -= rate * speed[name]
    expected = ours.state_dict()
    for name, tensor in seen.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-5, rtol=1e-4, msg=name)


def test_the_same_seed_gives_the_same_weights(backbone: Backbone) -> None:
    def trained(seed: int) -> dict[str, torch.Tensor]:
        module = new_registration(backbone, seed=seed)
        list(train(backbone, module, [maps(backbone)], Recipe(epochs=2, rate=0.01, seed=seed)))
        return module.state_dict()

    one, same, other = trained(0), trained(0), trained(1)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["encoder.conv1.weight"], other["encoder.conv1.weight"])
