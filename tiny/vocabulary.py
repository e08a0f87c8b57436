"""The student's vocabulary: the teacher's word pieces that our sentences and languages need."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from inctrl.errors import InvalidFile, UsageError

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
FIRST_WORD = 1996
"""Where BERT's vocabulary begins to be ordered by frequency: special pieces and single characters
come before. Where a vocabulary is smaller, all of it counts as ordered."""


def teacher_tokenizer(folder: Path) -> Tokenizer:
    """The teacher's tokenizer, neither padding nor cutting."""
    file = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the reader raises bare Exception
        raise InvalidFile(f"{str(file)!r} is not a tokenizer ({error})") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def frequent_words(tokenizer: Tokenizer, count: int) -> list[str]:
    """The most frequent whole words of the teacher: letters only, at least three of them."""
    ordered = _by_frequency(tokenizer)
    return [w for w in ordered if w.isascii() and w.isalpha() and len(w) > 2][:count]


def prune(tokenizer: Tokenizer, sentences: Iterable[str], size: int) -> list[str]:
    """The pieces to keep, in order: special, characters to fall back on, the corpus, the frequent.

    Words of the corpus are cut as the teacher cuts them, since the longest match is still there.
    UsageError where `size` pieces do not hold the first three.
    """
    known = tokenizer.get_vocab()
    used: set[str] = set()
    for encoding in tokenizer.encode_batch(list(sentences)):
        used.update(encoding.tokens)
    characters = [p for p in known if len(p.removeprefix("##")) == 1 and _is_latin(p)]
    kept = dict.fromkeys([*SPECIAL, *sorted(characters, key=known.__getitem__)])
    kept.update(dict.fromkeys(sorted(used, key=known.__getitem__)))
    if len(kept) > size:
        raise UsageError(f"the sentences need {len(kept)} word pieces, more than {size}")
    for piece in _by_frequency(tokenizer):
        if len(kept) == size:
            break
        kept[piece] = None
    return list(kept)


def write(tokenizer: Tokenizer, pieces: Sequence[str], context: int, path: Path) -> None:
    """The teacher's tokenizer with these pieces only, numbered in order, cutting at `context`."""
    stored: dict[str, Any] = json.loads(tokenizer.to_str())
    ids = {piece: i for i, piece in enumerate(pieces)}
    stored["model"]["vocab"] = ids
    stored["added_tokens"] = [
        {**token, "id": ids[token["content"]]}
        for token in stored["added_tokens"]
        if token["content"] in ids
    ]
    for name, token in stored["post_processor"]["special_tokens"].items():
        token["ids"] = [ids[name]]
    stored["truncation"] = {
        "direction": "Right",
        "max_length": context,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    stored["padding"] = None
    path.write_text(json.dumps(stored, ensure_ascii=False), encoding="utf-8")


def _by_frequency(tokenizer: Tokenizer) -> list[str]:
    """Pieces of more than one character, the frequent ones first."""
    known = tokenizer.get_vocab()
    first = FIRST_WORD if len(known) > 2 * FIRST_WORD else 0
    ordered = sorted((i, p) for p, i in known.items() if i >= first)
    return [p for _, p in ordered if len(p.removeprefix("##")) > 1 and p[0] != "["]


def _is_latin(piece: str) -> bool:
    """Letters of Latin and Greek, digits, and signs below U+0400 or of general punctuation."""
    code = ord(piece[-1])
    return code < 0x400 or 0x2010 <= code <= 0x2044 or 0x20A0 <= code <= 0x20BF
