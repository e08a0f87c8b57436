"""The sentences are compared with the release's tokens in test_inctrl_oracle.py."""

import pytest
import torch
from fakes import FakeBackbone

from inctrl.errors import UsageError
from inctrl.prompting import load_bank, prototypes

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


def test_an_unknown_bank_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean 'inctrl'"):
        load_bank("inctr")
