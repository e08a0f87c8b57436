"""The state in the joint space: damaged or flawless, as images show it and as sentences say it.

The two sides are trained apart, each with labels of its own, and meet in one number (joint.py).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor
from torch.nn import functional as F

from inctrl.backbones.tiny.joint import DAMAGED, FLAWLESS, NEUTRAL, JointSpace
from tiny.content import Encoder
from tiny.grammar import caption, label, lexicon, material, state
from tiny.image_features import ImageFeatures
from tiny.recipe import Recipe
from tiny.words import class_names, held_out_words, lists

MEDICAL = 0.25
"""Share of the sentences on a state that are about medical things."""
FORGOTTEN = 4
"""Directions of sentences on a state that the content of images is kept clear of."""


@dataclass(frozen=True)
class StateSentences:
    """flawless[i] and damaged[i] are about one thing in one template; neutral say neither."""

    flawless: tuple[str, ...]
    damaged: tuple[str, ...]
    neutral: tuple[str, ...]


@torch.no_grad()
def forget_state(space: JointSpace, sentences: StateSentences, meaning: Encoder) -> None:
    """Take the directions that tell states apart in sentences out of the content of images.

    Else an image scores as damaged for resembling the word, whatever its state.
    """
    differences = meaning(sentences.damaged) - meaning(sentences.flawless)
    directions = torch.linalg.svd(differences, full_matrices=False).Vh[:FORGOTTEN]
    rest = torch.eye(directions.shape[1]) - directions.T @ directions
    space.names.copy_(space.names @ rest)
    space.linear.weight.copy_(rest @ space.linear.weight)
    space.linear.bias.copy_(rest @ space.linear.bias)


def train_damage(
    space: JointSpace, features: ImageFeatures, rows: Tensor, recipe: Recipe
) -> Iterator[float]:
    """Train `space.damage` on damaged and clean versions of the images in `rows`, vote by vote."""
    every = features.clean[rows].flatten(0, 1)
    space.mean.copy_(every.mean(dim=0))
    space.deviation.copy_(every.std(dim=0) + 1e-6)
    clean = space.standardised(features.clean[rows])
    damaged = space.standardised(features.damaged[rows])
    half = recipe.batch
    target = torch.cat([torch.zeros(half), torch.ones(half)])[:, None]
    for number, vote in enumerate(space.damage):
        seed = 1000 * recipe.seed + number
        random = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)

        def loss(vote: torch.nn.Module = vote, random: torch.Generator = random) -> Tensor:
            pick = torch.randint(len(rows), (half,), generator=random)
            version = torch.randint(damaged.shape[1], (half,), generator=random)
            # The clean one in colour or in gray, as the damaged one is.
            shown = torch.cat([clean[pick, version % 2], damaged[pick, version]])
            noise = recipe.statistic_noise * torch.randn(shown.shape, generator=random)
            return F.binary_cross_entropy_with_logits(vote(shown + noise), target)

        yield from _descend(
            vote, loss, recipe.damage_steps, recipe.damage_rate, recipe.damage_decay
        )


def train_wording(
    space: JointSpace, sentences: StateSentences, meaning: Encoder, recipe: Recipe
) -> Iterator[float]:
    """Train `space.wording` to tell what sentences say of a state, if anything."""
    random = torch.Generator().manual_seed(recipe.seed + 2)
    torch.manual_seed(recipe.seed + 2)
    groups = {
        FLAWLESS: sentences.flawless,
        DAMAGED: sentences.damaged,
        NEUTRAL: sentences.neutral,
    }
    kinds = torch.cat([torch.full((len(group),), kind) for kind, group in groups.items()])
    meanings = torch.cat([meaning(group) for group in groups.values()])

    def loss() -> Tensor:
        pick = torch.randint(len(kinds), (2 * recipe.batch,), generator=random)
        noise = recipe.meaning_noise * torch.randn(len(pick), meanings.shape[1], generator=random)
        said = F.normalize(meanings[pick] + noise, dim=-1)
        return F.cross_entropy(space.wording(said), kinds[pick])

    yield from _descend(
        space.wording, loss, recipe.wording_steps, recipe.wording_rate, recipe.wording_decay
    )


def state_sentences(
    nouns: Sequence[str], words: Sequence[str], count: int, seed: int
) -> StateSentences:
    """`count` pairs, and twice as many sentences that say nothing of a state.

    nouns    what is inspected
    words    frequent words, of which the neutral sentences need many
    """
    r = Random(seed)  # noqa: S311  nothing secret
    s, doctors = lists()["states"], lists()["inspection"]["medical"]
    things, held = [*nouns, *class_names(lemmas=1)], held_out_words()
    stuff = lists()["materials"]["names"]

    def pair() -> tuple[str, str]:
        medical = r.random() < MEDICAL
        noun = r.choice(doctors if medical else things)
        template = r.choice(s["medical_templates" if medical and r.random() < 0.5 else "templates"])
        sides = [s[f"medical_{n}" if medical else n] for n in ("normal", "anomalous")]
        good, bad = (r.choice([p for p in phrases if p != "{c}"]) for phrases in sides)
        return state(noun, good, template), state(noun, bad, template)

    neutral: tuple[Callable[[], str], ...] = (
        lambda: caption(r),
        lambda: label(r, r.choice(things)),
        lambda: state(r.choice(things), "{c}", r.choice(s["templates"])),
        lambda: material(r, r.choice(stuff)),
        lambda: lexicon(r, words),
        lambda: lexicon(r, words),
    )

    pairs: list[tuple[str, str]] = []
    while len(pairs) < count:
        drawn = pair()
        if not any(map(held.search, drawn)):
            pairs.append(drawn)
    others: list[str] = []
    while len(others) < 2 * count:
        sentence = r.choice(neutral)()
        if not held.search(sentence):
            others.append(sentence)
    flawless, damaged = zip(*pairs, strict=True)
    return StateSentences(flawless, damaged, tuple(others))


def _descend(
    module: torch.nn.Module, loss: Callable[[], Tensor], steps: int, rate: float, decay: float
) -> Iterator[float]:
    """AdamW under a cosine; yields the loss of every step."""
    optimiser = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, steps))
    for _ in range(steps):
        value = loss()
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        schedule.step()
        yield float(value.detach())
