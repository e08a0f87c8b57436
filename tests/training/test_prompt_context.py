"""The training of CoOp's prompts; its steps are compared in detectors/test_coop_oracle.py."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from fakes import FakeBackbone
from torch import Tensor

from inctrl.adapters.prompt_context import PromptContext
from inctrl.detectors.coop import CoOp
from inctrl.errors import UsageError
from inctrl.inspection.inputs import NO_FEATURES
from inctrl.maths.placement import Position
from inctrl.prompting import encode_states, learned_prototypes
from inctrl.training import prompt_context as training
from inctrl.types import Features, Item


class Speaker(FakeBackbone):
    """A backbone of seven dimensions whose prompts are their vectors' mean, turned by the name."""

    def __init__(self) -> None:
        super().__init__(has_text=True)
        self.heard: list[str] = []

    def embed_words(self, words: str) -> Tensor:
        return torch.tensor([[float(len(word))] * 7 for word in words.split()]).reshape(-1, 7)

    def encode_with_context(
        self,
        context: Tensor,
        names: Sequence[str],
        position: Position,  # noqa: ARG002
    ) -> Tensor:
        self.heard += names
        said = context.mean(dim=-2).expand(len(names), -1)
        turned = [
            row.roll(1) if "anomalous" in n else row for row, n in zip(said, names, strict=True)
        ]
        return torch.stack(turned)


def examples(*counts: tuple[int, int]) -> training.Examples:
    """Random images of items with so many normal and anomalous ones; those are told apart."""
    rows = [
        (i, kind) for i, pair in enumerate(counts) for kind in (0, 1) for _ in range(pair[kind])
    ]
    anomalous = torch.tensor([bool(kind) for _, kind in rows])
    noise = torch.randn(len(rows), 7, generator=torch.Generator().manual_seed(4))
    images = 0.3 * noise + torch.eye(7)[anomalous.long() + 2]
    items = tuple(f"item_{i}" for i in range(len(counts)))
    item = torch.tensor([i for i, _ in rows])
    return training.Examples(images / images.norm(dim=1, keepdim=True), anomalous, item, items)


def test_prompts_say_normal_first_and_the_item_in_words() -> None:
    speaker, context = Speaker(), PromptContext(2, 7, contexts=2)
    with torch.no_grad():
        context.vectors.copy_(torch.stack([torch.eye(7)[:2], torch.eye(7)[3:5]]))
    prompts = encode_states(speaker, context, ["metal_nut", "tile"])
    assert speaker.heard == [
        f"{s} {i}" for i in ("metal nut", "tile") for s in ("normal", "anomalous")
    ]
    assert prompts.shape == (2, 2, 7)
    torch.testing.assert_close(prompts.norm(dim=2), torch.ones(2, 2))
    torch.testing.assert_close(prompts[0], prompts[1])
    half = 0.5**0.5
    by_hand = torch.tensor([[half, half, 0, 0, 0, 0, 0], [0, 0, 0, 0, half, half, 0]])
    torch.testing.assert_close(prompts[0], by_hand)


def test_training_tells_apart_what_can_be() -> None:
    given, speaker = examples((9, 3), (2, 8)), Speaker()
    context = training.first_context(speaker, length=3)
    losses = list(training.train(speaker, context, given, training.Recipe(40, batch=8)))
    assert len(losses) == training.steps(given, training.Recipe(40, batch=8))
    assert np.mean(losses[-5:]) < 0.2 * losses[0]
    prototypes = learned_prototypes(speaker, context, "another item")
    detector = CoOp(context.temperature)
    scores = detector.score(
        Features((), given.images), detector.prepare(NO_FEATURES, Item("x", prototypes))
    ).score
    assert scores[given.anomalous].min() > scores[~given.anomalous].max()


def test_a_step_speaks_of_the_items_of_its_batch_alone() -> None:
    given, speaker = examples((1, 1), (1, 1), (1, 1)), Speaker()
    context = training.first_context(speaker, length=3)
    next(training.train(speaker, context, given, training.Recipe(2, batch=2)))
    assert len(speaker.heard) == 2


def test_each_image_meets_the_prompts_of_its_own_item() -> None:
    class Namer(Speaker):
        """The items' prompts differ."""

        def encode_with_context(
            self, context: Tensor, names: Sequence[str], position: Position
        ) -> Tensor:
            said = super().encode_with_context(context, names, position)
            return torch.stack([r.roll(2 * int(n[-1])) for r, n in zip(said, names, strict=True)])

    given, speaker = examples((2, 1), (1, 2), (2, 2)), Namer()
    context, recipe = training.first_context(speaker, length=3), training.Recipe(2, batch=12)
    expected = []
    for row in next(training.batches(given, recipe, 0)).tolist():
        prompts = learned_prototypes(speaker, context, given.items[int(given.item[row])])
        logits = prompts @ given.images[row] / context.temperature
        expected.append(float(logits.logsumexp(0) - logits[int(given.anomalous[row])]))
    loss = next(training.train(speaker, context, given, recipe))
    assert loss == pytest.approx(np.mean(expected), rel=1e-4)


def test_batches_hold_pairs_of_one_item_and_every_image() -> None:
    given, recipe = examples((7, 3), (2, 5)), training.Recipe(epochs=2, batch=8, seed=5)
    epoch = list(training.batches(given, recipe, 0))
    assert [len(rows) for rows in epoch] == [8, 8, 8]
    rows = torch.cat(epoch)
    assert set(rows.tolist()) == set(range(len(given.images)))
    pairs = rows.reshape(-1, 2)
    assert (given.item[pairs[:, 0]] == given.item[pairs[:, 1]]).all()
    assert not given.anomalous[pairs[:, 0]].any()
    assert given.anomalous[pairs[:, 1]].all()
    assert given.item[pairs[:, 0]].bincount().tolist() == [7, 5]
    assert rows.bincount().max() == 3  # three anomalous images for seven normal ones
    again = torch.cat(list(training.batches(given, recipe, 0)))
    assert torch.equal(rows, again)
    assert not torch.equal(rows, torch.cat(list(training.batches(given, recipe, 1))))


def test_the_rate_warms_up_for_an_epoch_and_falls_as_a_cosine() -> None:
    rates = [training.learning_rate(epoch, 4) for epoch in range(4)]
    half = 0.5**0.5
    assert rates == pytest.approx([1e-5, 0.002, 0.001 * (1 + half), 0.001])


def test_first_vectors_are_small_and_follow_the_seed() -> None:
    speaker = Speaker()
    first = training.first_context(speaker, length=400, own=True, seed=3)
    assert first.vectors.shape == (2, 400, 7)
    assert float(first.vectors.detach().std()) == pytest.approx(0.02, rel=0.1)
    again = training.first_context(speaker, length=400, own=True, seed=3)
    assert torch.equal(first.vectors, again.vectors)
    assert training.first_context(speaker).vectors.shape == (1, 16, 7)
    words = training.first_context(speaker, words="a photo", own=True)
    assert words.vectors[:, :, 0].tolist() == [[1, 5], [1, 5]]


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    given, speaker = examples((2, 2)), Speaker()
    context = training.first_context(speaker, length=3)
    given.images[0] = math.nan
    before = context.vectors.detach().clone()
    with pytest.raises(UsageError, match="the loss is nan"):
        list(training.train(speaker, context, given, training.Recipe(2, batch=4)))
    assert torch.equal(context.vectors, before)
