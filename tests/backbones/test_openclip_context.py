"""Learned vectors that happen to be words give what the tower says of those words."""

from types import SimpleNamespace
from typing import Any

import open_clip
import pytest
import torch
from test_openclip import CONFIG, loaded, randomised, written

from inctrl.backbones import load_backbone
from inctrl.backbones.openclip_context import Frame, prompts_of, text_tower, word_tokens
from inctrl.errors import UsageError
from inctrl.maths.placement import Position
from inctrl.protocols import Backbone, TakesContext

SENTENCES: dict[Position, list[str]] = {
    "end": ["a photo of cable.", "a photo of metal nut."],
    "middle": ["a cable photo of.", "a metal nut photo of."],
    "front": ["cable a photo of.", "metal nut a photo of."],
}
NAMES, WORDS = ["cable", "metal nut"], "a photo of"
TOWERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "CLIP": ({}, {}),
    "quick": ({"quick_gelu": True}, {}),
    "custom": ({"custom_text": True}, {}),
    "eos": ({"custom_text": True}, {"pool_type": "eos", "eos_id": 49407}),
    "last": (
        {"custom_text": True},
        {"pool_type": "last", "no_causal_mask": True, "proj_bias": True},
    ),
    "first": ({"custom_text": True}, {"pool_type": "first", "no_causal_mask": True}),
    "unprojected": ({"custom_text": True}, {"proj_type": "none", "width": 24}),
}


@pytest.fixture(scope="module", params=["tiny", *TOWERS])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    if request.param == "tiny":
        return load_backbone("tiny", device="cpu")
    model, text = TOWERS[request.param]
    config = {**CONFIG, **model, "text_cfg": {**CONFIG["text_cfg"], **text}}
    made = {name: value for name, value in config.items() if name != "custom_text"}
    kind = open_clip.CustomTextCLIP if "custom_text" in model else open_clip.CLIP
    torch.manual_seed(0)
    state = randomised(kind(**made)).state_dict()
    return loaded(f"openclip:{written(tmp_path_factory.mktemp('tower'), config, state)}")


@pytest.mark.parametrize("position", SENTENCES)
def test_words_as_vectors_are_the_sentence(backbone: Backbone, position: Position) -> None:
    assert isinstance(backbone, TakesContext)
    expected = backbone.encode_text(SENTENCES[position])
    seen = backbone.encode_with_context(backbone.embed_words(WORDS), NAMES, position)
    torch.testing.assert_close(seen, expected, atol=1e-5, rtol=1e-4)
    other = backbone.encode_text(SENTENCES["end" if position == "front" else "front"])
    assert not torch.allclose(seen, other, atol=1e-4)


def test_a_gradient_comes_back_whatever_was_encoded_before(backbone: Backbone) -> None:
    assert isinstance(backbone, TakesContext)
    backbone.encode_text(["a cable"])
    context = backbone.embed_words(WORDS).clone().requires_grad_()
    backbone.encode_with_context(context, NAMES, "middle").square().sum().backward()
    assert context.grad is not None
    assert context.grad.isfinite().all()
    assert (context.grad.norm(dim=1) > 0).all()


def test_company_changes_nothing(backbone: Backbone) -> None:
    assert isinstance(backbone, TakesContext)
    context = backbone.embed_words(WORDS)
    together = backbone.encode_with_context(context, NAMES, "end")
    alone = [backbone.encode_with_context(context, [name], "end") for name in NAMES]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-4)


def test_no_words_have_no_embedding(backbone: Backbone) -> None:
    assert isinstance(backbone, TakesContext)
    assert len(backbone.embed_words("")) == 0
    assert len(backbone.embed_words("a photo")) == 2


def test_what_is_too_long_is_named(backbone: Backbone) -> None:
    """Vectors, a name of one token, start, full stop and end: exactly full, and one too many."""
    assert isinstance(backbone, TakesContext)
    limit = 32 if backbone.name == "tiny" else 16
    width = backbone.embed_words("").shape[1]
    backbone.encode_with_context(torch.zeros(limit - 4, width), ["cable"], "end")
    with pytest.raises(UsageError, match=f"class 'cable' with {limit - 3} .* the {limit} tokens"):
        backbone.encode_with_context(torch.zeros(limit - 3, width), ["cable"], "end")
    with pytest.raises(UsageError, match="class 'cable cable"):
        backbone.encode_with_context(torch.zeros(1, width), ["cable " * 60], "end")


def tokenise_without_start(texts: list[str]) -> list[list[int]]:
    """Letters, the end token 1, filled up with 1 to ten: the form of SigLIP's tokenizer."""
    return [([ord(c) for c in text if c != "."] + [1] * 10)[:10] for text in texts]


def test_a_tokenizer_without_start_and_full_stop() -> None:
    assert Frame.of(tokenise_without_start) == Frame((), 1, 1)
    prompts = prompts_of(tokenise_without_start, ["bc"], 2, 10)
    assert prompts.tokens.tolist() == [[97, 97, 98, 99, *[1] * 6]]
    assert (prompts.first, prompts.name_lengths, prompts.ends.tolist()) == (0, (2,), [4])


def test_a_word_of_several_tokens_counts_as_several() -> None:
    def tokenise(texts: list[str]) -> list[list[int]]:
        return [list(row) for row in open_clip.tokenize(texts, context_length=16).tolist()]

    assert len(word_tokens(tokenise, "transistor")) == 2
    prompts = prompts_of(tokenise, ["transistor", "cable"], 3, 16)
    assert prompts.name_lengths == (2, 1)
    assert prompts.ends.tolist() == [7, 6]
    assert prompts.tokens.argmax(dim=1).tolist() == [7, 6]


def test_towers_that_take_no_vectors_are_refused() -> None:
    hugging_face = SimpleNamespace(text=SimpleNamespace(transformer=None))
    coca = SimpleNamespace(text=SimpleNamespace(token_embedding=1, cls_emb=1))
    for model in (hugging_face, coca):
        with pytest.raises(UsageError, match="text tower of 'x' takes no learned vectors; use"):
            text_tower(model, "x")
