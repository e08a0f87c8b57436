"""The state in the joint space, on statistics and sentences that are made up."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn.functional import normalize

from inctrl.backbones.tiny.joint import (
    CLASSES,
    DAMAGED,
    FLAWLESS,
    MEANING,
    NEUTRAL,
    POOLED,
    STATISTICS,
    VOTES,
    JointSpace,
)
from tiny import state
from tiny.image_features import ImageFeatures
from tiny.recipe import Recipe
from tiny.sentences import inspected
from tiny.state import (
    FORGOTTEN,
    StateSentences,
    forget_state,
    state_sentences,
    train_damage,
    train_wording,
)
from tiny.words import held_out_words, lists

RECIPE = Recipe(
    damage_steps=30, wording_steps=150, wording_rate=1e-2, batch=32, statistic_noise=0.3
)
WORDS = ("house", "river", "walnut", "sofa")
"""Of them two that are held out."""


# Sentences


@pytest.fixture(scope="module")
def sentences() -> StateSentences:
    nouns = [*inspected([]), *lists()["held_out"]["nouns"]]
    return state_sentences(nouns, WORDS, 600, 0)


def test_there_are_twice_as_many_neutral_sentences_as_pairs(sentences: StateSentences) -> None:
    assert len(sentences.flawless) == len(sentences.damaged) == 600
    assert len(sentences.neutral) == 1200


def test_no_sentence_has_a_held_out_word(sentences: StateSentences) -> None:
    held = held_out_words()
    everything = (*sentences.flawless, *sentences.damaged, *sentences.neutral)
    assert not [s for s in everything if held.search(s)]
    assert sum("house" in s for s in sentences.neutral) > 50


def test_a_pair_has_one_noun_and_one_template(monkeypatch: pytest.MonkeyPatch) -> None:
    def spelt_out(noun: str, phrase: str, template: str) -> str:
        return f"{noun}|{template}|{phrase}"

    monkeypatch.setattr(state, "state", spelt_out)
    made = state_sentences(inspected([]), WORDS, 300, 0)
    s = lists()["states"]
    good = {*s["normal"], *s["medical_normal"]} - {"{c}"}
    bad = {*s["anomalous"], *s["medical_anomalous"]}
    doctors = set(lists()["inspection"]["medical"])
    medical = 0
    for one, other in zip(made.flawless, made.damaged, strict=True):
        noun, template, phrase = one.split("|")
        assert other.startswith(f"{noun}|{template}|")
        assert phrase in good
        assert other.split("|")[2] in bad
        medical += noun in doctors
    assert medical / 300 == pytest.approx(state.MEDICAL, abs=0.1)
    assert len(set(made.flawless)) > 250


def test_the_seed_decides_the_sentences(sentences: StateSentences) -> None:
    nouns = [*inspected([]), *lists()["held_out"]["nouns"]]
    assert state_sentences(nouns, WORDS, 600, 0) == sentences
    assert state_sentences(nouns, WORDS, 600, 1).flawless != sentences.flawless


# Wording


class Toy:
    """Sentences by their first word, which says their state, in noise of their own."""

    said: dict[str, int] = {"bad": 0, "good": 1, "plain": 2}  # noqa: RUF012

    def __call__(self, sentences: Sequence[str]) -> Tensor:
        rows = torch.tensor(
            np.array(
                [np.random.default_rng(list(s.encode())).normal(size=MEANING) for s in sentences]
            )
        ).float()
        rows = 0.3 * normalize(rows, dim=-1)
        for row, sentence in zip(rows, sentences, strict=True):
            row[self.said[sentence.split()[0]]] += 1
        return normalize(rows, dim=-1)


def told(start: int, count: int) -> StateSentences:
    """Sentences of the toy."""

    def group(word: str, times: int = 1) -> tuple[str, ...]:
        return tuple(f"{word} {i}" for i in range(start, start + times * count))

    return StateSentences(group("good"), group("bad"), group("plain", 2))


def test_the_wording_of_sentences_never_met_is_told() -> None:
    torch.manual_seed(0)
    space = JointSpace()
    losses = list(train_wording(space, told(0, 40), Toy(), RECIPE))
    assert len(losses) == RECIPE.wording_steps
    assert np.mean(losses[-5:]) < 0.3 * np.mean(losses[:5])
    new = told(1000, 25)
    with torch.no_grad():
        found = [
            space.wording(Toy()(group)).argmax(dim=1)
            for group in (new.flawless, new.damaged, new.neutral)
        ]
    for kinds, kind in zip(found, (FLAWLESS, DAMAGED, NEUTRAL), strict=True):
        assert (kinds == kind).float().mean() > 0.95


# Damage


@pytest.fixture(scope="module")
def features() -> ImageFeatures:
    """Statistics of any scale; damage raises forty of them, gray another forty."""
    torch.manual_seed(0)
    scale, shift = torch.logspace(-2, 2, STATISTICS), torch.randn(STATISTICS)
    base = torch.randn(60, 1, STATISTICS)
    clean = base.expand(60, 2, STATISTICS).clone()
    damaged = base + 0.5 * torch.randn(60, 4, STATISTICS)
    damaged[..., ::60] += 2.5
    for versions in (clean, damaged):
        versions[:, 1::2, 1::60] += 3
    assert len(range(0, STATISTICS, 60)) == 40
    return ImageFeatures(
        torch.zeros(60, POOLED), (clean + shift) * scale, (damaged + shift) * scale
    )


def test_damage_that_shows_is_told(features: ImageFeatures) -> None:
    torch.manual_seed(0)
    space = JointSpace()
    losses = list(train_damage(space, features, torch.arange(40), RECIPE))
    assert len(losses) == VOTES * RECIPE.damage_steps
    space.eval()
    with torch.no_grad():
        parts = (features.clean[40:], features.damaged[40:])
        clean, damaged = (space.damage_logit(part.flatten(0, 1)).numpy() for part in parts)
    kinds = np.repeat([0, 1], [len(clean), len(damaged)])
    assert roc_auc_score(kinds, np.concatenate([clean, damaged])) > 0.95
    assert clean.mean() < 0 < damaged.mean()


def test_gray_is_no_damage(features: ImageFeatures) -> None:
    """An image in gray is unlike the same in colour, in what damage does not change."""
    torch.manual_seed(0)
    space = JointSpace()
    list(train_damage(space, features, torch.arange(40), RECIPE))
    space.eval()
    with torch.no_grad():
        logits = [space.damage_logit(features.clean[40:, i]) for i in (0, 1)]
        bad = space.damage_logit(features.damaged[40:, 0])
    assert abs(logits[0].mean() - logits[1].mean()) < 0.2 * (bad.mean() - logits[0].mean())


def test_only_the_rows_given_are_looked_at(features: ImageFeatures) -> None:
    def weights(seen: ImageFeatures) -> dict[str, Tensor]:
        torch.manual_seed(0)
        space = JointSpace()
        list(train_damage(space, seen, torch.arange(0, 60, 2), replace(RECIPE, damage_steps=2)))
        return space.state_dict()

    clean, damaged = features.clean.clone(), features.damaged.clone()
    clean[1::2], damaged[1::2] = torch.nan, torch.nan
    first, other = weights(features), weights(replace(features, clean=clean, damaged=damaged))
    assert all(torch.equal(first[name], other[name]) for name in first)
    rows = features.clean[::2].flatten(0, 1)
    torch.testing.assert_close(first["mean"], rows.mean(dim=0))
    torch.testing.assert_close(first["deviation"], rows.std(dim=0), rtol=1e-3, atol=1e-5)


def test_the_votes_differ(features: ImageFeatures) -> None:
    torch.manual_seed(0)
    space = JointSpace()
    list(train_damage(space, features, torch.arange(40), RECIPE))
    space.eval()
    with torch.no_grad():
        shown = space.standardised(features.damaged[40:, 0])
        votes = torch.cat([vote(shown) for vote in space.damage], dim=1)
    torch.testing.assert_close(votes.mean(dim=1), space.damage_logit(features.damaged[40:, 0]))
    assert torch.corrcoef(votes.T).fill_diagonal_(0).max() < 0.999


# Forgetting


def test_content_is_kept_clear_of_what_tells_states_apart() -> None:
    torch.manual_seed(0)
    space = JointSpace().eval().requires_grad_(False)
    space.names.copy_(normalize(torch.randn(CLASSES, MEANING), dim=-1))
    before = (space.names.clone(), space.linear.weight.clone(), space.linear.bias.clone())
    seen = (torch.randn(9, POOLED), torch.randn(9, CLASSES), torch.randn(9, STATISTICS))
    directions = torch.linalg.qr(torch.randn(MEANING, FORGOTTEN + 2)).Q
    strengths = torch.tensor([4.0, 3.0, 2.5, 2.0, 0.2, 0.1])[: FORGOTTEN + 2]

    def meaning(said: Sequence[str]) -> Tensor:
        """Damage moves a sentence along few directions, one stronger than the next."""
        numbers = [int(s.split()[1]) for s in said]
        moved = torch.zeros(len(said), MEANING)
        for row, (number, s) in enumerate(zip(numbers, said, strict=True)):
            one = number % len(strengths)
            if s.startswith("bad"):
                moved[row] = strengths[one] * directions[:, one]
        return moved

    def along(found: Tensor) -> Tensor:
        return (found @ directions).abs().amax(dim=0)

    content = space.image(*seen)[:, :MEANING]
    assert along(content)[:FORGOTTEN].min() > 0.03
    forget_state(space, told(0, 60), meaning)
    content = space.image(*seen)[:, :MEANING]
    assert along(content)[:FORGOTTEN].max() < 1e-5
    assert along(space.names)[:FORGOTTEN].max() < 1e-5
    assert along(content)[FORGOTTEN:].min() > 0.03
    rest = torch.linalg.qr(torch.cat([directions[:, :FORGOTTEN], torch.randn(MEANING, 20)], 1)).Q
    others = rest[:, FORGOTTEN:]
    torch.testing.assert_close(space.names @ others, before[0] @ others, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        others.T @ space.linear.weight, others.T @ before[1], atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        others.T @ space.linear.bias, others.T @ before[2], atol=1e-5, rtol=0
    )
