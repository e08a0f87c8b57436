"""The sentences are compared with the release's tokens in test_inctrl_oracle.py."""

from pathlib import Path

import pytest
import torch
from fakes import FakeBackbone

from inctrl.backbones.cache import FeatureCache
from inctrl.errors import InvalidFile, UsageError
from inctrl.prompting import both_prototypes, load_bank, prototypes

BANK = load_bank("inctrl")


def test_seven_and_four_states_times_twenty_two_templates() -> None:
    normal, anomalous = BANK.sentences("metal_nut")
    assert (len(normal), len(anomalous)) == (154, 88)
    assert normal[22] == "a cropped photo of the flawless metal nut."
    assert anomalous[-1] == "a photo of the metal nut with damage for anomaly detection."
    assert len(set(normal) | set(anomalous)) == 242


def test_natural_categories_have_one_sentence_each() -> None:
    assert BANK.sentences("cat") == (
        ["a photo of cat for anomaly detection."],
        ["a photo without cat for anomaly detection."],
    )


def test_prototypes_are_normalised_means_of_normalised_embeddings() -> None:
    backbone = FakeBackbone(has_text=True)
    normal, anomalous = BANK.sentences("tile")
    seen = prototypes(backbone, BANK, "tile")
    for row, sentences in zip(seen, (normal, anomalous), strict=True):
        embedded = backbone.encode_text(sentences)
        mean = (embedded / embedded.norm(dim=1, keepdim=True)).mean(0)
        torch.testing.assert_close(row, mean / mean.norm())


def test_raw_prototypes_are_plain_means_and_remembered_beside_the_others(tmp_path: Path) -> None:
    backbone, cache = FakeBackbone(has_text=True), FeatureCache(tmp_path)
    normal, anomalous = BANK.sentences("tile")
    for _ in range(2):
        made, raw = both_prototypes(backbone, BANK, "tile", cache)
        assert torch.equal(made, prototypes(backbone, BANK, "tile"))
        for row, sentences in zip(raw, (normal, anomalous), strict=True):
            torch.testing.assert_close(row, backbone.encode_text(sentences).mean(0))
    assert not torch.allclose(raw.norm(dim=1), torch.ones(2), atol=1e-2)


def test_winclips_bank_is_inctrls_for_every_item() -> None:
    own = load_bank("winclip")
    assert own.sentences("tile") == BANK.sentences("tile")
    assert [len(sentences) for sentences in own.sentences("cat")] == [154, 88]
    assert not own.pairs


def test_an_unknown_bank_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean 'inctrl'"):
        load_bank("inctr")


@pytest.mark.parametrize("name", ["industrial", "medical", "natural", "inctrl", "winclip"])
def test_every_shipped_bank_speaks_of_the_item_and_names_its_source(name: str) -> None:
    bank = load_bank(name)
    for sentences in bank.sentences("steel {x} plate"):
        assert sentences
        assert all("steel {x} plate" in s and "{s}" not in s and "{c}" not in s for s in sentences)
    assert bank.name == name
    assert bank.source


def test_a_bank_of_ones_own_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\nsource = "me"\nnormal = ["round {c}"]\nanomalous = ["oval {c}"]\n'
        'templates = ["{s}", "a photo of {s}"]\n'
    )
    assert load_bank(str(path)).sentences("ring") == (
        ["round ring", "a photo of round ring"],
        ["oval ring", "a photo of oval ring"],
    )


@pytest.mark.parametrize(
    "text", ["name = 3", "=", 'name="x"\nsource="y"\nnormal=[]\nanomalous=[]\ntemplates=[]']
)
def test_a_malformed_bank_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(InvalidFile, match="bad.toml"):
        load_bank(str(tmp_path / "bad.toml"))
    with pytest.raises(UsageError, match="none.toml"):
        load_bank(str(tmp_path / "none.toml"))


def test_sentences_are_encoded_once(tmp_path: Path) -> None:
    backbone, cache = FakeBackbone(has_text=True), FeatureCache(tmp_path)
    first = prototypes(backbone, BANK, "tile", cache)
    assert backbone.sentences == 242
    assert torch.equal(prototypes(backbone, BANK, "tile", cache), first)
    assert backbone.sentences == 242
    prototypes(backbone, BANK, "wood", cache)
    assert backbone.sentences == 484
