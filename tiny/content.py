"""The content of the joint space: images against labels, captions and the names of classes."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from inctrl.backbones.tiny.joint import JointSpace
from inctrl.maths.neighbours import unit
from tiny.recipe import Recipe
from tiny.shards import Captioned
from tiny.splits import MATERIALS, Split
from tiny.words import class_labels, with_article

Encoder = Callable[[Sequence[str]], Tensor]
"""n sentences -> n MEANING, unit length."""
CAPTIONED, CAPTIONED_EVERY = 48, 4
"""Captioned images in a step, and steps from one such step to the next: there are few."""
RIDGE = 10.0
"""Times the mean variance; the plain covariance gives pseudo-images less like real ones."""
SCALE = 3.0
"""First logarithm of the inverse temperature."""


def label_sentences(source: str, label: str) -> list[str]:
    """What is said of an image that has only a label."""
    if source == MATERIALS:
        return [f"a close-up photo of {label} texture", f"the surface of {label}"]
    return [f"a photo of {with_article(label)}", label]


def train_content(
    space: JointSpace,
    pooled: Tensor,
    records: Sequence[Captioned],
    class_weights: Tensor,
    meaning: Encoder,
    recipe: Recipe,
) -> Iterator[float]:
    """Set `space.names` and train `space.linear`; yields the loss of every step.

    pooled          n p, of the records
    class_weights   c p, the frozen class head's
    """
    random = torch.Generator().manual_seed(recipe.seed)
    torch.manual_seed(recipe.seed)
    names = meaning([label_sentences("", name)[0] for name in class_labels()])
    # Their mean says `a photo of a`, which every image would be drawn to.
    space.names.copy_(unit(names - names.mean(dim=0)))
    rows, targets, labels = _labelled(records, meaning)
    captioned = [
        (i, meaning(record.captions))
        for i, record in enumerate(records)
        if record.free and not record.label
    ]
    classes, centre = pseudo_images(pooled, class_weights)
    scale = torch.nn.Parameter(torch.tensor(SCALE))
    optimiser = torch.optim.AdamW(
        [
            {"params": space.linear.parameters(), "weight_decay": recipe.content_decay},
            {"params": [scale], "weight_decay": 0.0},
        ],
        lr=recipe.content_rate,
    )

    def logits(seen: Tensor, said: Tensor) -> Tensor:
        embedded = unit(space.linear(F.dropout(seen, recipe.feature_dropout)))
        return scale.exp() * embedded @ said.T

    def draw(count: int) -> Tensor:
        return torch.randint(count, (recipe.batch,), generator=random)

    for step in range(recipe.content_steps):
        pick, named = draw(len(rows)), draw(len(names))
        loss = F.cross_entropy(logits(pooled[rows[pick]], labels), targets[pick])
        noise = recipe.class_noise * (pooled[draw(len(pooled))] - centre)
        loss = loss + F.cross_entropy(logits(classes[named] + noise, names), named)
        if captioned and step % CAPTIONED_EVERY == 0:
            images, said = _one_caption_each(captioned, random)
            matches, own = logits(pooled[images], said), torch.arange(len(images))
            loss = loss + (F.cross_entropy(matches, own) + F.cross_entropy(matches.T, own)) / 2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield float(loss.detach())


def pseudo_images(pooled: Tensor, class_weights: Tensor) -> tuple[Tensor, Tensor]:
    """Pooled features that a class head's weights stand for (c p), and the mean feature p.

    A discriminant weight is the inverse covariance times a class mean; multiplying by the
    (regularised) covariance of real images undoes it.
    """
    centre = pooled.mean(dim=0)
    deviations = pooled - centre
    covariance = deviations.T @ deviations / len(pooled)
    ridge = RIDGE * covariance.trace() / len(covariance)
    directions = unit(class_weights @ (covariance + ridge * torch.eye(len(covariance))))
    return directions * deviations.norm(dim=1).mean() + centre, centre


def _labelled(records: Sequence[Captioned], meaning: Encoder) -> tuple[Tensor, Tensor, Tensor]:
    """Rows with a label to train on, the number of their label, and what each label means."""
    split = Split.of(records)
    usable = [
        (i, (record.source, record.label))
        for i, record in enumerate(records)
        if record.label and split.trains_content(record)
    ]
    labels = sorted({label for _, label in usable})
    means = [meaning(label_sentences(*label)).mean(dim=0) for label in labels]
    targets = [labels.index(label) for _, label in usable]
    return torch.tensor([i for i, _ in usable]), torch.tensor(targets), unit(torch.stack(means))


def _one_caption_each(
    captioned: Sequence[tuple[int, Tensor]], random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Rows of up to CAPTIONED images, and for each the meaning of one of its captions."""
    order = torch.randperm(len(captioned), generator=random)[:CAPTIONED].tolist()
    said = []
    for i in order:
        meanings = captioned[i][1]
        said.append(meanings[int(torch.randint(len(meanings), (1,), generator=random))])
    return torch.tensor([captioned[i][0] for i in order]), torch.stack(said)
