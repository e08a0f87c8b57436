"""The content of the joint space, on features and sentences that are made up."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from recipe.tiny_shards import MATERIALS, OBJECTS, write_shards
from torch import Tensor
from torch.nn.functional import normalize

from inctrl.backbones.tiny.joint import CLASSES, MEANING, POOLED, JointSpace
from tiny import content
from tiny.content import label_sentences, pseudo_images, train_content
from tiny.recipe import Recipe
from tiny.shards import Captioned, read_records
from tiny.splits import Split
from tiny.words import class_labels

RECIPE = Recipe(content_steps=150, content_rate=2e-3, batch=16)


class Meaning:
    """A direction for every sentence, drawn from its letters; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, sentences: Sequence[str]) -> Tensor:
        self.asked.extend(sentences)
        rows = [np.random.default_rng(list(s.encode())).normal(size=MEANING) for s in sentences]
        return normalize(torch.tensor(np.array(rows)).float(), dim=-1)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Captioned]:
    """Labels that no class of ImageNet has, so that each sentence tells where it came from."""
    read = read_records(write_shards(tmp_path_factory.mktemp("shards")))
    return [replace(r, label=f"{r.label}oid" if r.label else None) for r in read]


@pytest.fixture(scope="module")
def pooled(records: list[Captioned]) -> Tensor:
    """Features around a centre of their label, or of their own."""
    torch.manual_seed(0)
    centres = {r.label or r.name: torch.randn(POOLED) for r in records}
    return torch.stack([centres[r.label or r.name] + 0.1 * torch.randn(POOLED) for r in records])


@pytest.fixture(scope="module")
def class_weights() -> Tensor:
    return torch.randn(CLASSES, POOLED, generator=torch.Generator().manual_seed(1))


def trained(
    pooled: Tensor,
    records: list[Captioned],
    class_weights: Tensor,
    meaning: Meaning,
    recipe: Recipe = RECIPE,
) -> tuple[JointSpace, list[float]]:
    torch.manual_seed(0)
    space = JointSpace()
    losses = list(train_content(space, pooled, records, class_weights, meaning, recipe))
    return space, losses


@pytest.fixture(scope="module")
def run(
    pooled: Tensor, records: list[Captioned], class_weights: Tensor
) -> tuple[JointSpace, list[float], list[str]]:
    meaning = Meaning()
    space, losses = trained(pooled, records, class_weights, meaning)
    return space, losses, meaning.asked


def test_the_loss_falls(run: tuple[JointSpace, list[float], list[str]]) -> None:
    _, losses, _ = run
    assert len(losses) == RECIPE.content_steps
    plain = [loss for step, loss in enumerate(losses) if step % content.CAPTIONED_EVERY]
    assert np.mean(plain[-4:]) < 0.7 * np.mean(plain[:4])


def test_images_come_to_lie_at_their_labels(
    run: tuple[JointSpace, list[float], list[str]], pooled: Tensor, records: list[Captioned]
) -> None:
    split, meaning = Split.of(records), Meaning()
    rows = [i for i, r in enumerate(records) if r.label and split.trains_content(r)]
    labels = sorted({(records[i].source, records[i].label or "") for i in rows})
    said = normalize(
        torch.stack([meaning(label_sentences(*label)).mean(dim=0) for label in labels]), dim=-1
    )
    with torch.no_grad():
        found = (run[0].linear(pooled[rows]) @ said.T).argmax(dim=1)
    right = [
        labels[i] == (records[r].source, records[r].label) for i, r in zip(found, rows, strict=True)
    ]
    assert len(labels) == len(OBJECTS) - 1 + len(MATERIALS)
    assert np.mean(right) > 0.9


def test_names_are_those_of_the_classes_without_what_they_share(
    run: tuple[JointSpace, list[float], list[str]],
) -> None:
    names = run[0].names
    assert len(class_labels()) == CLASSES
    said = Meaning()([f"a photo of a {class_labels()[0]}"])[0]
    torch.testing.assert_close(names.norm(dim=1), torch.ones(CLASSES))
    assert names[0] @ said > 0.99
    assert names.mean(dim=0).norm() < 1e-2


def test_held_out_objects_and_research_captions_are_never_asked_for(
    run: tuple[JointSpace, list[float], list[str]], records: list[Captioned]
) -> None:
    asked, split = set(run[2]), Split.of(records)
    assert len(split.objects) == 1
    assert not [s for s in asked for held in split.objects if held in s]
    assert not [s for s in asked if "quokka" in s]
    trained_on = {r.label for r in records if r.label} - split.objects
    assert all(any(f"{label}" in s for s in asked) for label in trained_on)
    assert "a man cuts a cake" in asked


def test_research_images_are_not_looked_at(
    pooled: Tensor, records: list[Captioned], class_weights: Tensor
) -> None:
    """As the program does: their records are left out, and their captions change nothing."""
    rows = [i for i, record in enumerate(records) if record.free]
    free, recipe = [records[i] for i in rows], replace(RECIPE, content_steps=3)
    other = [replace(r, captions=("else",)) if not r.free else r for r in records]
    everything = trained(pooled, records, class_weights, Meaning(), recipe)[1]
    assert trained(pooled, other, class_weights, Meaning(), recipe)[1] == everything
    assert len(trained(pooled[rows], free, class_weights, Meaning(), recipe)[1]) == 3


def test_the_seed_decides_everything(
    pooled: Tensor, records: list[Captioned], class_weights: Tensor
) -> None:
    def weights(seed: int) -> Tensor:
        recipe = replace(RECIPE, content_steps=3, seed=seed)
        space, _ = trained(pooled, records, class_weights, Meaning(), recipe)
        return space.linear.weight.detach()

    first = weights(0)
    torch.rand(3)  # the generator of the process is where a run left it
    assert torch.equal(weights(0), first)
    assert not torch.equal(weights(1), first)


def means_and_weights(spread: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features of 12 classes in noise of a spread a dimension, their means, and the weights of a
    discriminant: the inverse covariance of the features times the means."""
    torch.manual_seed(2)
    means = torch.randn(12, len(spread))
    means -= means.mean(dim=0)
    features = (means[:, None] + spread * torch.randn(12, 500, len(spread))).flatten(0, 1) + 7
    return features, means, means @ torch.linalg.inv(torch.cov(features.T))


def test_pseudo_images_undo_the_covariance(monkeypatch: pytest.MonkeyPatch) -> None:
    features, means, weights = means_and_weights(torch.logspace(-1, 1, 24))
    assert torch.cosine_similarity(weights, means).mean() < 0.6
    monkeypatch.setattr(content, "RIDGE", 1e-6)
    found, centre = pseudo_images(features, weights)
    torch.testing.assert_close(centre, features.mean(dim=0))
    assert torch.cosine_similarity(found - centre, means).min() > 0.98
    lengths = (found - centre).norm(dim=1)
    typical = (features - centre).norm(dim=1).mean()
    torch.testing.assert_close(lengths, typical.expand(12))


def test_the_ridge_leaves_them_nearer_than_the_weights_are() -> None:
    features, means, weights = means_and_weights(torch.logspace(-1, 1, 24))
    found, centre = pseudo_images(features, weights)
    nearer = torch.cosine_similarity(found - centre, means)
    assert (nearer > torch.cosine_similarity(weights, means)).all()


@pytest.mark.parametrize(
    ("source", "label", "expected"),
    [
        (
            "ambientcg",
            "oak bark",
            ["a close-up photo of oak bark texture", "the surface of oak bark"],
        ),
        ("caltech101", "ant", ["a photo of an ant", "ant"]),
    ],
)
def test_a_label_is_put_in_words(source: str, label: str, expected: list[str]) -> None:
    assert label_sentences(source, label) == expected
