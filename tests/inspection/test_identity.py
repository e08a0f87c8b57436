"""What makes two contexts the same: above all the sentences, not the name of their bank."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeBackbone

from inctrl.adapters.prompt_context import PromptContext
from inctrl.decoding import decode
from inctrl.detectors import build_detector
from inctrl.errors import ContextMismatch, InvalidFile, UsageError
from inctrl.evaluation.contenders import enter
from inctrl.identity import unlike
from inctrl.inspection.inspector import Inspector
from inctrl.inspection.registered import Registered
from inctrl.inspection.saved import arguments, load_context, save_context
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
    with pytest.raises(ContextMismatch, match="prepared with other sentences than bank 'mine'"):
        load_context(reading(write_bank(tmp_path, "torn")), tmp_path / "c")


def without_hash(folder: Path) -> Path:
    """A context as it was written before sentences were hashed and precisions told apart."""
    index = json.loads((folder / "context.json").read_text())
    del index["card"]["text_sha256"], index["card"]["precision"]
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
    blind.backbone.fingerprint = "fake-2"
    with pytest.raises(ContextMismatch, match="with other weights under the same name"):
        load_context(blind, tmp_path / "c")


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


def identity(**other: Any) -> dict[str, Any]:
    """That of an inspector, with something else in place."""
    return {**asdict(reading("inctrl").identity), **other}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({}, ""),
        ({"detector": "spade", "options": {"k": 1}, "layers": ("x",)}, "by incontext, not spade"),
        ({"fingerprint": "f"}, "with other weights under the same name 'fake'"),
        ({"fingerprint": "f", "image_size": 64}, "with image size 32, not 64"),
        ({"fingerprint": "f", "precision": "bfloat16"}, "with precision float32, not bfloat16"),
        ({"fingerprint": "f", "layers": ("fine",)}, "with layers fine,coarse, not fine"),
        ({"fingerprint": "f", "backbone": "b", "image_size": 64}, "with backbone 'fake', not 'b'"),
        ({"backbone": "alias"}, ""),
        ({"adapter": "/a/x", "adapter_sha256": "s"}, "with no adapter, not 'x'"),
        (
            {"adapter": "/a/x", "adapter_sha256": "s", "fingerprint": "f"},
            "with no adapter, not 'x'",
        ),
        ({"fit": "pad"}, "with fit 'squash', not 'pad'"),
        ({"text_sha256": "s"}, "with other sentences than bank 'inctrl' has now"),
    ],
)
def test_differences_are_said_in_words_and_never_as_hashes(
    other: dict[str, Any], words: str
) -> None:
    assert unlike(identity(), identity(**other)) == words


def test_an_adapter_with_other_numbers_under_its_name_is_told() -> None:
    one, two = (identity(adapter=f"/{s}/x", adapter_sha256=s) for s in "ab")
    assert unlike(one, two) == "with other weights of adapter 'x'"
    assert unlike(one, identity()) == "with adapter 'x', not without one"
    assert unlike(one, {**two, "adapter": "/b/y"}) == "with adapter 'x', not 'y'"


def test_an_inspector_that_made_no_context_is_told_what_it_has_else(tmp_path: Path) -> None:
    mine = reading("inctrl")
    save_context(mine.fit(SHOTS), tmp_path / "c")
    other = replace(mine, detector=build_detector("patchcore"), fit_mode="pad")
    with pytest.raises(
        ContextMismatch, match=r"prepared by incontext, not patchcore with fit 'squash', not 'pad';"
    ):
        load_context(other, tmp_path / "c")
    other = replace(mine, backbone=FakeBackbone("fake-2", has_text=True))
    with pytest.raises(ContextMismatch, match="other weights under the same name 'fake'"):
        load_context(other, tmp_path / "c")


def test_a_context_that_lacks_a_part_of_its_record_is_damaged(tmp_path: Path) -> None:
    save_context(reading("inctrl").fit(SHOTS), tmp_path / "c")
    index = json.loads((tmp_path / "c" / "context.json").read_text())
    del index["card"]["fit"]
    (tmp_path / "c" / "context.json").write_text(json.dumps(index))
    with pytest.raises(InvalidFile, match="says nothing of 'fit'"):
        arguments(tmp_path / "c", {})


def test_a_context_is_a_folder_and_not_the_file_in_it(tmp_path: Path) -> None:
    save_context(reading("inctrl").fit(SHOTS), tmp_path / "c")
    with pytest.raises(UsageError, match="holds no saved context .* give the folder that it lies"):
        load_context(reading("inctrl"), tmp_path / "c/context.json")


def test_an_adapter_that_lay_elsewhere_when_a_context_was_made_is_looked_for_by_name(
    tmp_path: Path,
) -> None:
    save_context(reading("inctrl").fit(SHOTS), tmp_path / "c")
    index = json.loads((tmp_path / "c" / "context.json").read_text())
    index["card"] |= {"adapter": "/of/another/machine/mine", "adapter_sha256": "s"}
    (tmp_path / "c" / "context.json").write_text(json.dumps(index))
    assert arguments(tmp_path / "c", {})["adapter"] == "mine"
    assert arguments(tmp_path / "c", {"fit": "pad", "layers": []})["fit"] == "pad"
