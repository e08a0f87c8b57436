"""A sentence encoder from a folder, as the teacher: mean of the tokens, unit length."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from inctrl.errors import InvalidFile, MissingModel
from inctrl.files.whole import whole_file
from tiny.precision import autocast
from tiny.vocabulary import teacher_tokenizer

BATCH = 256
LONGEST = 128
"""Tokens of a sentence that are read."""


def encode(
    folder: Path,
    sentences: Sequence[str],
    cache: Path,
    device: torch.device,
    tick: Callable[[int], None] = lambda _: None,
) -> Tensor:
    """Embeddings of sentences, n d float32, unit length; kept in `cache` and run only once.

    cache    folder of `.npz` files, named by the content of the teacher and of the sentences
    tick     called with the number of sentences after each batch
    """
    file = cache / f"teacher-{_digest(folder, sentences)}.npz"
    if file.is_file():
        with np.load(file) as stored:
            return torch.from_numpy(stored["embeddings"].astype(np.float32))
    found = _run(folder, sentences, device, tick)
    cache.mkdir(parents=True, exist_ok=True)
    with whole_file(file) as stream:
        np.savez(stream, embeddings=found.half().numpy())
    return found.half().float()  # as a second run will read them


@torch.inference_mode()
def _run(
    folder: Path, sentences: Sequence[str], device: torch.device, tick: Callable[[int], None]
) -> Tensor:
    from transformers import AutoModel  # takes seconds to import

    if not (folder / "config.json").is_file():
        raise MissingModel(f"no sentence encoder in {str(folder)!r}; give its folder")
    try:
        model = AutoModel.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise InvalidFile(f"{str(folder)!r} holds no sentence encoder ({error})") from None
    model = model.eval().to(device)
    tokenizer = teacher_tokenizer(folder)
    tokenizer.enable_truncation(LONGEST)
    tokenizer.enable_padding()
    # Sentences of like length together: less padding.
    order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
    parts = []
    for start in range(0, len(order), BATCH):
        encoded = tokenizer.encode_batch([sentences[i] for i in order[start : start + BATCH]])
        ids = torch.tensor([e.ids for e in encoded], device=device)
        mask = torch.tensor([e.attention_mask for e in encoded], device=device)
        with autocast(device):
            tokens = model(input_ids=ids, attention_mask=mask).last_hidden_state
        weight = mask[:, :, None].float()
        parts.append(((tokens.float() * weight).sum(1) / weight.sum(1)).cpu())
        tick(len(encoded))
    sorted_rows = torch.nn.functional.normalize(torch.cat(parts), dim=-1)
    rows = torch.empty_like(sorted_rows)
    rows[torch.tensor(order)] = sorted_rows
    return rows


def _digest(folder: Path, sentences: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*")):
        if file.suffix in (".json", ".safetensors", ".bin"):
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
    digest.update(json.dumps(list(sentences)).encode())
    return digest.hexdigest()[:16]
