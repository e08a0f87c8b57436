"""The text stage of the training program: sentences, vocabulary, teacher, distillation."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from recipe.tiny_teacher import write_captions, write_teacher
from rich.progress import Progress
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch.nn.functional import normalize

from inctrl.backbones.tiny.text import CONFIG, TOKENIZER, WEIGHTS, TextTower
from inctrl.errors import MissingModel, UsageError
from tiny import distil, probe, textloop, vocabulary
from tiny.distil import train_text_tower
from tiny.sentences import captions_of, corpus
from tiny.shards import Captioned, read_records
from tiny.teacher import encode
from tiny.textloop import Plan, batch_rows, learning_rate, losses
from tiny.textspace import TextSpace
from tiny.words import does, doing, held_out_words, lists, plural, with_article

STEPS, BATCH = 12, 16


Inputs = tuple[Path, list[Captioned]]
"""Folder of the teacher, records of the images."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("inputs")
    write_captions(folder / "captions.jsonl")
    return write_teacher(folder / "teacher"), read_records(folder)


@pytest.fixture(scope="module")
def small() -> Any:
    """Everything at a size at which a run takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distil, "SMOKE", 0.002)
        patch.setattr(textloop, "GROUP", 2)
        yield


@pytest.fixture(scope="module")
def trained(
    small: Any, files: Inputs, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("trained")
    return out, run(out, files)


def run(out: Path, files: Inputs, seed: int = 0) -> dict[str, Any]:
    return train_text_tower(
        out,
        *files,
        Progress(disable=True),
        steps=STEPS,
        batch=BATCH,
        seed=seed,
        device="cpu",
        smoke=True,
    )


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / WEIGHTS)


# Sentences


@pytest.mark.parametrize(
    ("phrase", "ing", "third"),
    [
        ("ride a bike", "riding a bike", "rides a bike"),
        ("run", "running", "runs"),
        ("lie down", "lying down", "lies down"),
        ("carry a bag", "carrying a bag", "carries a bag"),
        ("catch a ball", "catching a ball", "catches a ball"),
        ("play soccer", "playing soccer", "plays soccer"),
        ("swing a bat", "swinging a bat", "swings a bat"),
        ("go for a walk", "going for a walk", "goes for a walk"),
    ],
)
def test_verbs_are_inflected(phrase: str, ing: str, third: str) -> None:
    assert (doing(phrase), does(phrase)) == (ing, third)


def test_nouns_are_inflected() -> None:
    assert [plural(n) for n in ("old man", "box", "lady", "dog")] == [
        "old men",
        "boxes",
        "ladies",
        "dogs",
    ]
    assert [with_article(n) for n in ("apple", "pear")] == ["an apple", "a pear"]


def test_the_seed_alone_decides_the_sentences(files: Inputs) -> None:
    words = ["house", "river"]
    first = corpus(files[1], words, 0, 0.01)
    assert first == corpus(files[1], words, 0, 0.01)
    assert first.train != corpus(files[1], words, 1, 0.01).train


def test_sentences_are_distinct_and_apart(files: Inputs) -> None:
    made = corpus(files[1], ["house"], 0, 0.05)
    assert len(set(made.train)) == len(made.train)
    assert not set(made.train) & {*made.held_sentences, *made.held_words}


def test_no_research_only_caption_is_trained_on(files: Inputs) -> None:
    made = corpus(files[1], ["house"], 0, 0.05)
    research = captions_of(files[1], free=False)
    assert len(research) == 3
    assert not {*made.train, *made.held_sentences} & set(research)
    assert not any(("quokka" in s and "xylophone" in s) or "cobwebbed" in s for s in made.train)
    assert "people eat a cake" in {*made.train, *made.held_sentences}


def test_held_out_words_are_in_no_training_sentence(files: Inputs) -> None:
    words = lists()["held_out"]["nouns"] + ["house"]
    made = corpus(files[1], words, 0, 0.1)
    assert not any(held_out_words().search(s) for s in made.train)
    assert all(held_out_words().search(s) for s in made.held_words)
    assert not any(f" {noun}" in f" {s}." for noun in ("walnut", "zipper") for s in made.train)


def test_the_shipped_lists_give_enough_sentences(files: Inputs) -> None:
    assert len(corpus(files[1], ["house", "river", "music"], 0).train) > 60_000


# Vocabulary


def test_words_of_the_corpus_are_cut_as_the_teacher_cuts_them(
    trained: tuple[Path, Any], files: Inputs
) -> None:
    teacher = vocabulary.teacher_tokenizer(files[0])
    ours = Tokenizer.from_file(str(trained[0] / TOKENIZER))
    for sentence in captions_of(files[1], free=True):
        theirs = teacher.encode(sentence).tokens
        assert ours.encode(sentence).tokens == (
            theirs if len(theirs) <= 32 else [*theirs[:31], "[SEP]"]
        )


def test_pruning_keeps_what_the_corpus_needs_and_says_when_it_cannot(
    files: Inputs,
) -> None:
    teacher = vocabulary.teacher_tokenizer(files[0])
    kept = vocabulary.prune(teacher, ["scratching a bottle"], 90)
    assert kept[:4] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    assert {"scratch", "##ing", "bottle", "##q"} <= set(kept)
    assert "[MASK]" not in kept
    with pytest.raises(UsageError, match="more than 5"):
        vocabulary.prune(teacher, ["a bottle"], 5)


@pytest.mark.parametrize(
    "text", ["", "🦊🦊", "漢字", "zxqj" * 40, "word " * 500, "naïve Ωμέγα\x00"]
)
def test_any_text_has_an_embedding(trained: tuple[Path, Any], text: str) -> None:
    found = TextTower.load(trained[0])([text])
    assert found.shape == (1, 256)
    assert found.isfinite().all()


# Teacher and space


def test_the_teacher_is_asked_once(
    files: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, sentences = torch.device("cpu"), ["a dog", "a photo of a damaged bottle", ""]
    first = encode(files[0], sentences, tmp_path, device)
    monkeypatch.setattr("tiny.teacher._run", None)
    assert torch.equal(encode(files[0], sentences, tmp_path, device), first)
    assert torch.allclose(first.norm(dim=1), torch.ones(3), atol=1e-3)


def test_padding_does_not_change_what_the_teacher_says(files: Inputs, tmp_path: Path) -> None:
    device, sentences = torch.device("cpu"), ["a dog", "a photo of a damaged bottle with a scratch"]
    together = encode(files[0], sentences, tmp_path, device)
    alone = torch.cat([encode(files[0], [s], tmp_path, device) for s in sentences])
    assert torch.allclose(together, alone, atol=2e-2)  # products in bfloat16 where that is faster


def test_a_folder_without_teacher_is_told(files: Inputs, tmp_path: Path) -> None:
    with pytest.raises(MissingModel, match="no sentence encoder"):
        encode(tmp_path, ["a"], tmp_path, torch.device("cpu"))


def test_the_space_keeps_the_widest_directions() -> None:
    torch.manual_seed(0)
    rows = torch.randn(200, 6) * torch.tensor([5.0, 3.0, 1.0, 0.1, 0.1, 0.1]) + 7
    space = TextSpace.fit(rows, 2)
    assert torch.allclose(space.mean, rows.mean(dim=0))
    assert space.projection.abs().argmax(dim=0).tolist() == [0, 1]
    assert torch.allclose(space.projection.T @ space.projection, torch.eye(2), atol=1e-5)
    wide = TextSpace.fit(rows, 8)
    assert torch.allclose(wide(rows), normalize(wide.centre(rows), dim=1))
    similar = normalize(rows - rows.mean(dim=0), dim=1)
    assert torch.allclose(wide(rows) @ wide(rows).T, similar @ similar.T, atol=1e-4)


# The loop


def test_an_epoch_meets_every_row_once() -> None:
    lengths = [i % 9 for i in range(64)]
    plan = Plan(steps=8, batch=8, seed=3, identity="")
    met = [row for step in range(8) for row in batch_rows(lengths, plan, step)]
    assert sorted(met) == list(range(64))


def test_losses_are_zero_for_the_teacher_itself() -> None:
    rows = normalize(torch.randn(5, 7), dim=1)
    assert all(abs(float(loss)) < 1e-6 for loss in losses(rows, rows))
    assert float(losses(-rows, rows)[0]) == pytest.approx(2)
    assert float(losses(-rows, rows)[1]) == pytest.approx(0, abs=1e-6)


def test_the_learning_rate_rises_and_falls_to_nothing() -> None:
    rates = [learning_rate(step, 100) for step in range(100)]
    assert rates.index(max(rates)) == 5
    assert rates[-1] < rates[0]


def test_the_loss_falls(trained: tuple[Path, dict[str, Any]], files: Inputs) -> None:
    out, _ = trained
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == STEPS
    torch.manual_seed(0)
    targets = normalize(torch.randn(8, 256), dim=1)
    model = distil.build(json.loads((out / CONFIG).read_text())["model_cfg"])
    tokens = [[2, 5 + i, 3] for i in range(8)]
    plan = Plan(30, 8, 0, "x", log_every=1)
    folder = out / "loss"
    folder.mkdir()
    textloop.distil(model, tokens, targets, plan, folder, torch.device("cpu"))
    losses = [json.loads(s)["cosine_loss"] for s in (folder / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.5 * losses[0]


def test_the_run_leaves_what_it_promises(trained: tuple[Path, dict[str, Any]]) -> None:
    out, figures = trained
    assert figures == json.loads((out / "figures.json").read_text())
    stored = weights(out)
    assert all(t.dtype == torch.float16 for t in stored.values())
    assert load_file(out / "pca.safetensors")["projection"].shape == (32, 256)
    assert not list(out.glob("*.partial"))
    assert not (out / "checkpoint.pt").exists()
    assert set(figures["probe_unseen_student"]) == {"auroc", "accuracy"}


def test_a_seed_gives_the_same_weights_again_and_another_seed_others(
    small: Any, trained: tuple[Path, Any], files: Inputs, tmp_path: Path
) -> None:
    run(tmp_path / "again", files)
    first, again = weights(trained[0]), weights(tmp_path / "again")
    assert all(torch.equal(first[name], again[name]) for name in first)
    run(tmp_path / "other", files, seed=1)
    other = weights(tmp_path / "other")
    assert not torch.equal(first["text.text_projection"], other["text.text_projection"])


def test_a_killed_run_goes_on_to_the_same_weights(
    small: Any,
    trained: tuple[Path, Any],
    files: Inputs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distil, "Plan", lambda *a: Plan(*a, save_every=5, log_every=3))
    fall = textloop.losses
    calls = iter(range(STEPS))

    def killed(*tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if next(calls) == 8:
            raise KeyboardInterrupt
        return fall(*tensors)

    monkeypatch.setattr(textloop, "losses", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, files)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 5
    monkeypatch.setattr(textloop, "losses", fall)
    with pytest.raises(UsageError, match="other settings"):
        run(tmp_path, files, seed=1)
    run(tmp_path, files)
    first, resumed = weights(trained[0]), weights(tmp_path)
    assert all(torch.equal(first[name], resumed[name]) for name in first)
    steps = [json.loads(s)["step"] for s in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == [3, 6, 9, 12]


def test_the_probe_tests_other_words_than_it_fits() -> None:
    found = probe.probes(0)
    seen = {s for s, _ in found["seen"].fit}
    assert not seen & {s for s, _ in (*found["seen"].test, *found["unseen"].test)}
    assert all(held_out_words().search(s) for s, _ in found["unseen"].test)
    assert not any(held_out_words().search(s) for s in seen)


def test_the_probe_finds_a_direction_that_is_there() -> None:
    found = probe.probes(0)["seen"]
    torch.manual_seed(0)
    damaged = torch.tensor([float(label) for _, label in (*found.fit, *found.test)])
    rows = torch.randn(len(damaged), 8) * 0.1
    rows[:, 3] += damaged
    assert probe.score(found, rows)["auroc"] > 99
