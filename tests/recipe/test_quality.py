"""The figures of the model card, of backbones whose answers are known."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from fakes import FakeBackbone
from recipe.tiny_shards import MATERIALS, OBJECTS, write_shards
from torch import Tensor

from inctrl.images import Image
from inctrl.prompting import load_bank
from inctrl.types import Features, Fit
from tiny import quality, splits
from tiny.image_features import versions
from tiny.quality import Figure, measure, on_sets
from tiny.shards import Captioned, read_images, read_records
from tiny.splits import Split

LABELS = (*OBJECTS, *MATERIALS)
CAPTIONED = 5
CLEAN, DAMAGED, FIRST_LABEL, FIRST_CAPTION, NOTHING, DIMENSIONS = 0, 1, 2, 10, 15, 16


class Oracle(FakeBackbone):
    """Sees and says what it is told to."""

    def __init__(self, see: Callable[[Image], Tensor], say: Callable[[str], Tensor]) -> None:
        super().__init__(has_text=True)
        self.preprocessing = self.pixels
        self.see, self.say = see, say
        self.asked: list[str] = []
        self.seen: list[Image] = []

    def pixels(self, images: Sequence[Image], fit: Fit) -> Tensor:  # noqa: ARG002
        assert len(images) <= quality.BATCH
        self.seen.extend(images)
        return torch.stack([self.see(image) for image in images])

    def encode_images(self, pixels: Tensor) -> Features:
        return Features((), pixels)

    def encode_text(self, sentences: Sequence[str]) -> Tensor:
        self.asked.extend(sentences)
        return torch.stack([self.say(sentence) for sentence in sentences])


def axis(*numbers: int) -> Tensor:
    """The sum of axes, of a length that must not matter."""
    return 3 * torch.eye(DIMENSIONS)[list(numbers)].sum(dim=0)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def records(shards: Path) -> list[Captioned]:
    return read_records(shards)


@pytest.fixture(scope="module")
def states() -> dict[str, int]:
    """What each sentence of the bank says."""
    sides = [load_bank("industrial").sentences(label) for label in LABELS]
    return {
        sentence: kind
        for groups in sides
        for kind, group in zip((CLEAN, DAMAGED), groups, strict=True)
        for sentence in group
    }


@pytest.fixture(autouse=True)
def _few_banks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "RANDOM_BANKS", 10)


class Truth:
    """What is true of the images and sentences of the drawn shards."""

    def __init__(self, shards: Path, records: list[Captioned], states: dict[str, int]) -> None:
        images = read_images(shards, records)
        self.undamaged = {image.sha256 for image in images}
        self.labels = {r.name: LABELS.index(r.label) for r in records if r.label}
        told = [r for r in records if r.source == "flickr8k"]
        self.captions = {r.captions[0]: i for i, r in enumerate(told)}
        self.pictures = {r.name: i for i, r in enumerate(told)}
        self.states = states

    def see(self, image: Image) -> Tensor:
        state = CLEAN if image.sha256 in self.undamaged else DAMAGED
        if image.name in self.pictures:
            return axis(FIRST_CAPTION + self.pictures[image.name])
        return axis(state, FIRST_LABEL + self.labels[image.name])

    def say(self, sentence: str) -> Tensor:
        if sentence in self.states:
            return axis(self.states[sentence])
        if sentence in self.captions:
            return axis(FIRST_CAPTION + self.captions[sentence])
        named = [i for i, label in enumerate(LABELS) if label in sentence]
        return axis(FIRST_LABEL + named[0]) if named else axis(NOTHING)


@pytest.fixture(scope="module")
def truth(shards: Path, records: list[Captioned], states: dict[str, int]) -> Truth:
    return Truth(shards, records, states)


def test_who_knows_everything_has_full_marks(
    shards: Path, records: list[Captioned], truth: Truth
) -> None:
    figures = measure(Oracle(truth.see, truth.say), shards, records, 0)
    tested = sum(map(splits.tests_material, records))
    assert tested >= 2
    assert figures == {
        "textures": Figure(100, 0, 4 * 3),
        "objects": Figure(100, 0, 2 * 3),
        "random sentences": Figure(50, 0, 6 * 3),
        "materials, top-1 of 4": Figure(100, 0, tested),
        "objects never paired, top-1 of 4": Figure(100, 0, 2),
        "caption to image, recall at 1 of 5": Figure(100, 0, 5),
        "caption to image, recall at 5 of 5": Figure(100, 0, 5),
        "caption to image, recall at 10 of 5": Figure(100, 0, 5),
    }


def test_who_takes_damage_for_its_contrary_has_none(
    shards: Path, records: list[Captioned], truth: Truth
) -> None:
    def say(sentence: str) -> Tensor:
        kind = truth.states.get(sentence)
        return truth.say(sentence) if kind is None else axis(CLEAN + DAMAGED - kind)

    figures = measure(Oracle(truth.see, say), shards, records, 0)
    assert figures["textures"].value == figures["objects"].value == 0


def test_who_knows_nothing_is_at_chance(shards: Path, records: list[Captioned]) -> None:
    """Alike for all: nothing is ranked, and the captioned image is in the middle of five."""
    figures = measure(Oracle(lambda _: axis(0), lambda _: axis(0)), shards, records, 0)
    for name in ("textures", "objects", "random sentences"):
        assert figures[name].value == 50
    assert figures["caption to image, recall at 1 of 5"].value == 0
    assert figures["caption to image, recall at 5 of 5"].value == 100


def test_labels_that_are_mistaken_count_as_wrong(
    shards: Path, records: list[Captioned], truth: Truth
) -> None:
    mistaken = next(r for r in records if splits.tests_material(r))
    material = MATERIALS.index(mistaken.label or "")

    def see(image: Image) -> Tensor:
        if image.name == mistaken.name:
            return axis(FIRST_LABEL + len(OBJECTS) + (material + 1) % len(MATERIALS))
        if truth.labels.get(image.name, len(OBJECTS)) < len(OBJECTS):
            return axis(FIRST_LABEL + (truth.labels[image.name] + 1) % len(OBJECTS))
        return truth.see(image)

    figures = measure(Oracle(see, truth.say), shards, records, 0)
    tested = sum(map(splits.tests_material, records))
    right = 1 - 1 / tested
    error = 100 * (right * (1 - right) / tested) ** 0.5
    assert figures["materials, top-1 of 4"] == Figure(
        pytest.approx(100 * right), pytest.approx(error), tested
    )
    assert figures["objects never paired, top-1 of 4"].value == 0


def test_recall_is_of_the_image_among_all(
    shards: Path, records: list[Captioned], truth: Truth
) -> None:
    """Every caption is nearer to the next image than to its own, and nearer to no other."""

    def say(sentence: str) -> Tensor:
        if sentence not in truth.captions:
            return truth.say(sentence)
        own = truth.captions[sentence]
        following = FIRST_CAPTION + (own + 1) % CAPTIONED
        return 0.8 * axis(FIRST_CAPTION + own) + axis(following)

    figures = measure(Oracle(truth.see, say), shards, records, 0)
    assert figures["caption to image, recall at 1 of 5"].value == 0
    assert figures["caption to image, recall at 5 of 5"].value == 100


def test_only_what_was_held_out_is_looked_at(
    shards: Path, records: list[Captioned], truth: Truth
) -> None:
    oracle, split = Oracle(truth.see, truth.say), Split.of(records)
    measure(oracle, shards, records, 0)
    allowed = {
        r.name
        for r in records
        if not r.free or split.tests_state(r) or splits.tests_material(r) or split.tests_object(r)
    }
    assert {image.name for image in oracle.seen} == allowed
    chosen = [r for r in records if split.tests_state(r)]
    for record, image in zip(chosen, read_images(shards, chosen), strict=True):
        drawn_before = {version.sha256 for version in versions(image, record, split, 0)}
        assert not drawn_before & {image.sha256 for image in oracle.seen}
    trained = {r.captions[0] for r in records if r.source == "cocomini"}
    assert not trained & set(oracle.asked)


def test_what_the_records_hold_nothing_for_is_left_out(
    shards: Path, records: list[Captioned], truth: Truth
) -> None:
    few = [r for r in records if r.source != "caltech101" and r.free]
    figures = measure(Oracle(truth.see, truth.say), shards, few, 0)
    assert set(figures) == {"textures", "random sentences", "materials, top-1 of 4"}
    assert measure(Oracle(truth.see, truth.say), shards, [], 0) == {}
    none_free = [replace(r, free=False) for r in records if r.source == "ambientcg"]
    assert "textures" not in measure(Oracle(truth.see, truth.say), shards, none_free, 0)


def test_errors_are_those_of_a_bootstrap() -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1], 200)
    figure = quality._auroc(labels, rng.normal(size=400) + labels)
    assert figure.value == pytest.approx(76, abs=4)
    assert figure.error == pytest.approx(2.3, abs=0.6)  # Hanley and McNeil's formula gives 2.3
    assert quality._auroc(labels, rng.normal(size=400), errors=False).error == 0


# Labelled sets


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sets")
    for name in ("brain_mri", "cap"):
        for part, count in (("train/good", 1), ("test/good", 3), ("test/hole", 2)):
            (root / name / part).mkdir(parents=True)
            for i in range(count):
                PIL.Image.new("RGB", (20, 20), (9 * i, 99, 0)).save(root / name / part / f"{i}.png")
    return root


def test_labelled_sets_are_measured_by_the_bank_that_fits(sets: Path) -> None:
    """One set right and one set wrong: 100 and 0, and their mean with its standard error."""
    medical, industrial = (load_bank(n).sentences(item) for n, item in
                           (("medical", "brain mri"), ("industrial", "cap")))  # fmt: skip

    def see(image: Image) -> Tensor:
        bad = "hole" in Path(image.name).parts[-2]
        return axis(DAMAGED if bad == ("brain_mri" in image.name) else CLEAN)

    def say(sentence: str) -> Tensor:
        return axis(DAMAGED if sentence in {*medical[1], *industrial[1]} else CLEAN)

    oracle = Oracle(see, say)
    figures = on_sets(oracle, sets, ["brain_mri"])
    assert figures == {
        "brain_mri": Figure(100, 0, 5),
        "cap": Figure(0, 0, 5),
        "mean": Figure(50, pytest.approx(50), 10),
    }
    assert set(oracle.asked) == {s for bank in (medical, industrial) for side in bank for s in side}
    assert not [image for image in oracle.seen if "train" in image.name]
