"""The text stage of the training program: from a teacher and word lists to a small text tower."""

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from rich.progress import Progress
from tokenizers import Tokenizer
from torch import Tensor

from inctrl.backbones.tiny.text import (
    CONFIG,
    PREFIX,
    TOKENIZER,
    WEIGHTS,
    TextTower,
    build,
    read_tokenizer,
)
from inctrl.backbones.weights import resolved_device
from inctrl.files.whole import write_file
from tiny import probe, vocabulary
from tiny.sentences import Corpus, captions_of, corpus
from tiny.shards import Captioned
from tiny.teacher import encode
from tiny.textloop import Plan, distil
from tiny.textspace import WIDTH, TextSpace
from tiny.textstart import begin

STEPS, BATCH = 2000, 256
VOCABULARY = 12288
LEXICON = 7000
"""Frequent words that the grammar puts into sentences."""
CONTEXT = 32
LAYERS, HEADS = 4, 4
SMOKE = 0.01
"""Share of the sentences that a smoke run makes, and of those that it is tested on."""
CAPTIONS_TESTED = 1000


def train_text_tower(
    out: Path,
    teacher: Path,
    records: Sequence[Captioned],
    bar: Progress,
    *,
    steps: int = STEPS,
    batch: int = BATCH,
    seed: int = 0,
    device: str = "auto",
    smoke: bool = False,
) -> dict[str, Any]:
    """Make the text tower of `tiny` in `out`, and measure it.

    teacher     folder of a sentence encoder with a WordPiece tokenizer
    records     of the pretraining images; only captions of free sources are trained on
    returns     figures, also in `figures.json`; cosines to the teacher are means in [-1, 1]

    Leaves configuration, tokenizer, weights, `pca.safetensors` and `log.jsonl`; run again after a
    kill it goes on from the last checkpoint.
    """
    began, where = time.monotonic(), resolved_device(device)
    out.mkdir(parents=True, exist_ok=True)
    source = vocabulary.teacher_tokenizer(teacher)
    words = vocabulary.frequent_words(source, LEXICON)
    scale = SMOKE if smoke else 1.0
    sentences = corpus(records, words, seed, scale)
    pieces = vocabulary.prune(source, sentences.train, min(VOCABULARY, source.get_vocab_size()))
    vocabulary.write(source, pieces, CONTEXT, out / TOKENIZER)
    (out / CONFIG).write_text(json.dumps(configuration(pieces), indent=2) + "\n", encoding="utf-8")
    tokens = _tokens(read_tokenizer(out / TOKENIZER), sentences.train)
    taught = _teach(teacher, [sentences.train, pieces], out, where, bar)
    space = TextSpace.fit(taught[0])
    space.save(out / "pca.safetensors")
    torch.manual_seed(seed)
    model = build(configuration(pieces)["model_cfg"])
    targets = space(taught[0])
    marks = [i for i, piece in enumerate(pieces) if piece in vocabulary.SPECIAL]
    begin(model, space.centre(taught[1]), marks, tokens, targets)
    identity = _identity(steps, batch, seed, tokens, space)
    task = bar.add_task("distilling", total=steps)
    plan = Plan(steps, batch, seed, identity)
    distil(model, tokens, targets, plan, out, where,
           lambda step: bar.update(task, completed=step))  # fmt: skip
    _write_weights(model, out / WEIGHTS)
    figures = measure(out, teacher, records, sentences, space, (seed, scale), where, bar)
    figures |= {"sentences": len(sentences.train), "vocabulary": len(pieces), "steps": steps}
    figures |= {"batch": batch, "seed": seed, "device": str(where)}
    figures |= {"seconds": round(time.monotonic() - began, 1)}
    (out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    (out / "checkpoint.pt").unlink(missing_ok=True)
    return figures


def configuration(pieces: Sequence[str]) -> dict[str, Any]:
    """The open_clip configuration of the pair of towers, with these word pieces."""
    return {
        "model_cfg": {
            "embed_dim": WIDTH,
            "vision_cfg": {
                "timm_model_name": "tf_efficientnet_lite0",
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "linear",
                "image_size": 288,
            },
            "text_cfg": {
                "context_length": CONTEXT,
                "vocab_size": len(pieces),
                "width": WIDTH,
                "heads": HEADS,
                "layers": LAYERS,
                "pool_type": "eos",
                "eos_id": pieces.index("[SEP]"),
                "pad_id": pieces.index("[PAD]"),
            },
        },
        "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
    }


def measure(
    out: Path,
    teacher: Path,
    records: Sequence[Captioned],
    sentences: Corpus,
    space: TextSpace,
    drawn: tuple[int, float],
    device: torch.device,
    bar: Progress,
) -> dict[str, Any]:
    """Cosines on held-out sentences, and probes of the state, of the tower as it was written.

    drawn    seed of the probes, and the share of their sentences
    """
    tower, kept = TextTower.load(out, device), max(10, int(CAPTIONS_TESTED * drawn[1]))
    tested = {
        "cosine_held_sentences": list(sentences.held_sentences),
        "cosine_held_words": list(sentences.held_words),
        "cosine_research_captions": captions_of(records, free=False)[:kept],
    }
    found = probe.probes(*drawn)
    groups = [*tested.values(), *(p.sentences for p in found.values())]
    targets = [space(t) for t in _teach(teacher, groups, out, device, bar)]
    students = [tower(group).cpu() for group in groups]
    pairs = list(zip(students, targets, strict=True))
    figures: dict[str, Any] = {
        name: round(float((mine * theirs).sum(dim=1).mean()), 4) if len(mine) else None
        for name, (mine, theirs) in zip(tested, pairs, strict=False)
    }
    for (name, p), (mine, theirs) in zip(found.items(), pairs[len(tested) :], strict=True):
        figures[f"probe_{name}_student"] = probe.score(p, mine)
        figures[f"probe_{name}_teacher"] = probe.score(p, theirs)
    return figures | {"megabytes": round((out / WEIGHTS).stat().st_size / 1e6, 2)}


def _teach(
    teacher: Path, groups: Sequence[Sequence[str]], out: Path, device: torch.device, bar: Progress
) -> list[Tensor]:
    """The teacher's embeddings of groups of sentences, each n d."""
    together = [sentence for group in groups for sentence in group]
    task = bar.add_task("asking the teacher", total=len(together))
    embeddings = encode(
        teacher, together, out / "cache", device, lambda done: bar.advance(task, done)
    )
    return list(embeddings.split([len(group) for group in groups]))


def _tokens(tokenizer: Tokenizer, sentences: Sequence[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch(list(sentences))]


def _identity(steps: int, batch: int, seed: int, tokens: Any, space: TextSpace) -> str:
    digest = hashlib.sha256(json.dumps([steps, batch, seed, tokens]).encode())
    digest.update(space.mean.numpy().tobytes())
    return digest.hexdigest()


def _write_weights(model: Any, path: Path) -> None:
    state = {
        PREFIX + name: t.detach().cpu().half().contiguous()
        for name, t in model.state_dict().items()
    }
    write_file(path, safetensors.torch.save(state))
