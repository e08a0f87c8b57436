"""A sentence encoder of a few thousand random weights, and captions, written to a folder."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

WORDS = [
    "a",
    "photo",
    "of",
    "the",
    "with",
    "man",
    "dog",
    "damaged",
    "flawless",
    "bottle",
    "scratch",
]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,'-"


def write_teacher(folder: Path) -> Path:
    """`config.json`, weights and `tokenizer.json`, as a sentence encoder's folder holds them."""
    folder.mkdir(parents=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    frequent = [w for w in WORDS if len(w) > 1]
    pieces = [*special, *LETTERS, *(f"##{c}" for c in LETTERS), *frequent, "##ing", "##ed", "##s"]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(special)
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=ends
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def write_captions(path: Path) -> Path:
    """Records of the free and of the research-only tier."""
    rows = [
        {"source": "caltech101", "label": "accordion", "captions": ["a photo of an accordion"]},
        {"source": "ambientcg", "label": "asphalt", "captions": ["the surface of asphalt"]},
        {"source": "cocomini", "captions": ["a man cuts a cake", "people eat a cake"]},
        {"source": "flickr8k", "captions": ["a quokka naps on a xylophone", "two dogs run"]},
        {"source": "dtd", "label": "cobwebbed", "captions": ["a photo of a cobwebbed texture"]},
    ]
    placed = [{"shard": "drawn", "file": f"{i}.png", **row} for i, row in enumerate(rows)]
    path.write_text("".join(json.dumps(row) + "\n" for row in placed), encoding="utf-8")
    return path
