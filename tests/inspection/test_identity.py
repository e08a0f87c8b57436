"""What makes two contexts the same: above all the sentences, not the name of their bank."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeBackbone

from inctrl.adapters.prompt_context import PromptContext
from inctrl.decoding import decode
from inctrl.detectors import build_detector
from inctrl.errors import ContextMismatch
from inctrl.evaluation.contenders import enter
from inctrl.inspection.inspector import Inspector
from inctrl.inspection.registered import Registered
from inctrl.inspection.saved import load_context, save_context
from inctrl.prompting import load_bank
from inctrl.service.answers import model_of
from inctrl.store import open_store

SHOTS = [
    np.random.default_rng(seed).integers(0, 120, (48, 48, 3), dtype=np.uint8) for seed in range(4)
]


def write_bank(folder: Path, flaw: str) -> str:
    path = folder / "mine.toml"
    path.write_text(
        'name = "mine"\nsource = "a test"\nnormal = ["{c}"]\n'
        f'anomalous = ["{flaw} {{c}}"]\ntemplates = ["a photo of a {{s}}."]\n'
    )
    return str(path)


def reading(domain: str) -> Inspector:
    backbone = FakeBackbone(has_text=True)
    return Inspector(backbone, build_detector("incontext"), bank=load_bank(domain))


def test_edited_sentences_have_the_shots_of_a_set_prepared_again(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        store.sets.create("part", [decode(shot, f"{i}.png") for i, shot in enumerate(SHOTS)])
        Registered(store, reading(write_bank(tmp_path, "damaged"))).fitted("part")
        edited = reading(write_bank(tmp_path, "torn and rather longer"))
        found = Registered(store, edited).fitted("part")
        assert store.contexts.count("part") == 2
        expected = edited.fit(SHOTS)
        assert (found.context.text.prototypes == expected.context.text.prototypes).all()


def test_a_saved_context_is_refused_where_the_sentences_differ(tmp_path: Path) -> None:
    mine = reading(write_bank(tmp_path, "damaged"))
    save_context(mine.fit(SHOTS), tmp_path / "c")
    load_context(mine, tmp_path / "c")
    with pytest.raises(ContextMismatch, match="made with other sentences than bank 'mine'"):
        load_context(reading(write_bank(tmp_path, "torn")), tmp_path / "c")


def without_hash(folder: Path) -> Path:
    """A context as it was written before sentences were hashed."""
    index = json.loads((folder / "context.json").read_text())
    del index["card"]["text_sha256"]
    (folder / "context.json").write_text(json.dumps(index))
    return folder


def test_an_old_context_is_taken_with_a_shipped_bank_and_refused_with_a_users(
    tmp_path: Path,
) -> None:
    shipped, mine = reading("inctrl"), reading(write_bank(tmp_path, "damaged"))
    save_context(shipped.fit(SHOTS), tmp_path / "shipped")
    save_context(mine.fit(SHOTS), tmp_path / "mine")
    load_context(shipped, without_hash(tmp_path / "shipped"))
    with pytest.raises(ContextMismatch, match="sentences"):
        load_context(mine, without_hash(tmp_path / "mine"))
    edited = replace(shipped, bank=replace(shipped.bank, templates=("another {s}",)))
    with pytest.raises(ContextMismatch, match="sentences"):
        load_context(edited, tmp_path / "shipped")


def test_an_old_context_without_text_is_taken(tmp_path: Path) -> None:
    blind = Inspector(FakeBackbone(), build_detector("incontext"))
    save_context(blind.fit(SHOTS), tmp_path / "c")
    load_context(blind, without_hash(tmp_path / "c"))


def test_one_identity_is_in_the_card_the_reply_and_the_contender() -> None:
    inspector = reading("inctrl")
    card = inspector.fit(SHOTS).card
    reply, contender = model_of(card), enter(inspector, "x").contender
    assert card.text_sha256 == inspector.bank.sha256
    for name, value in asdict(inspector.identity).items():
        assert getattr(card, name) == value
        assert getattr(contender, name) == value
        said = getattr(reply, name)
        assert (tuple(said) if name == "layers" else said) == value


def test_name_and_source_of_a_bank_are_no_part_of_its_hash() -> None:
    bank = load_bank("inctrl")
    assert replace(bank, name="other", source="elsewhere").sha256 == bank.sha256
    assert bank.shipped
    assert not replace(bank, pairs={"nut": ("a nut", "no nut")}).shipped


def test_learned_prompts_are_known_by_their_numbers() -> None:
    one, same, other = PromptContext(2, 3), PromptContext(2, 3), PromptContext(2, 3)
    other.vectors.data[0, 0, 0] = 1.0
    assert one.sha256 == same.sha256 != other.sha256
