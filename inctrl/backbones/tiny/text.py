"""The text tower of the embedded backbone: an open_clip text transformer with its own tokenizer.

Attention is causal, as in CLIP, and the sentence is read off at its end token. What follows that
token cannot reach it, so padding is irrelevant.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from inctrl.backbones.openclip_context import encode_prompts, prompts_of, word_tokens
from inctrl.errors import InvalidFile, MissingModel
from inctrl.files.tensors import load_exactly, read_part
from inctrl.maths.placement import Position

CONFIG = "open_clip_config.json"
TOKENIZER = "tokenizer.json"
WEIGHTS = "weights.safetensors"
PREFIX = "text."
"""Of the tower's tensors in the weights file, which holds the joint space too."""
BATCH = 256
"""Sentences encoded at once; bounds the memory of a long prompt bank."""


class TextTower:
    """Sentences to embeddings; any text works, and long ones are cut at the context length."""

    def __init__(self, model: nn.Module, tokenizer: Any, device: torch.device) -> None:
        self._model = model.eval().requires_grad_(False).to(device)
        self._tokenizer = tokenizer
        self._device = device

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu") -> "TextTower":
        """From a folder with configuration, tokenizer and weights."""
        model = build(read_config(folder / CONFIG))
        load_exactly(model, read_part(folder / WEIGHTS, PREFIX), str(folder / WEIGHTS))
        return cls(model, read_tokenizer(folder / TOKENIZER), torch.device(device))

    @torch.inference_mode()
    def __call__(self, sentences: Sequence[str]) -> Tensor:
        """n sentences -> n 256 float32, unit length."""
        tokens = self._tokenise(sentences)
        parts = [
            encode(self._model, padded(tokens[start : start + BATCH]).to(self._device))
            for start in range(0, len(tokens), BATCH)
        ]
        if not parts:
            return torch.empty(0, self._model.output_dim, device=self._device)  # type: ignore[call-overload, no-any-return]
        return normalize(torch.cat(parts).float(), dim=-1)

    def embed_words(self, words: str) -> Tensor:
        """Token embeddings of words: m d."""
        embedding: Tensor = self._model.token_embedding.weight  # type: ignore[union-attr, assignment]
        return embedding[word_tokens(self._tokenise, words)]

    def with_context(self, context: Tensor, names: Sequence[str], position: Position) -> Tensor:
        """n names and learned vectors (n) m d -> n 256, unit length (protocols.TakesContext)."""
        limit: int = self._model.context_length  # type: ignore[assignment]
        prompts = prompts_of(self._tokenise, names, context.shape[-2], limit)
        return normalize(encode_prompts(self._model, prompts, context, position), dim=-1)

    def _tokenise(self, sentences: Sequence[str]) -> list[list[int]]:
        encodings = self._tokenizer.encode_batch([_unbroken(s) for s in sentences])
        return [encoding.ids for encoding in encodings]


def _unbroken(sentence: str) -> str:
    """Pairs of surrogates joined; single ones, which the tokenizer refuses, are dropped by it."""
    return sentence.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def read_config(path: Path) -> Mapping[str, Any]:
    """The `model_cfg` of an open_clip configuration."""
    _demand(path)
    try:
        config: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))["model_cfg"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidFile(f"{str(path)!r} is no open_clip configuration ({error})") from None
    return config


def read_tokenizer(path: Path) -> Any:
    """A `tokenizers` tokenizer."""
    from tokenizers import Tokenizer

    _demand(path)
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the reader raises bare Exception
        raise InvalidFile(f"{str(path)!r} is not a tokenizer ({error})") from None


def build(config: Mapping[str, Any]) -> Any:
    """The text transformer of a configuration, with open_clip's random weights."""
    from open_clip.model import _build_text_tower  # takes seconds to import

    try:
        return _build_text_tower(config["embed_dim"], dict(config["text_cfg"]))
    except (TypeError, KeyError, AttributeError, AssertionError, RuntimeError) as error:
        raise InvalidFile(f"the configuration describes no text tower ({error})") from None


def padded(tokens: Sequence[Sequence[int]]) -> Tensor:
    """Token lists as one matrix n t, filled up with 0 to the longest."""
    longest = max(map(len, tokens))
    return torch.tensor([[*row, *[0] * (longest - len(row))] for row in tokens])


def encode(model: Any, tokens: Tensor) -> Tensor:
    """Tokens n t -> embeddings n e, not normalised; as the model's own pass, but any t will do.

    The model itself takes only its full context length: four times the work for short sentences.
    """
    length = tokens.shape[1]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    end = (tokens == model.eos_id).int().argmax(dim=1)
    pooled = model.ln_final(x[torch.arange(len(x), device=x.device), end])
    return pooled @ model.text_projection  # type: ignore[no-any-return]


def _demand(path: Path) -> None:
    if not path.is_file():
        raise MissingModel(
            f"no {path.name!r} in {str(path.parent)!r}; give a folder that the training program "
            "wrote, or reinstall inctrl if it is its own"
        )
