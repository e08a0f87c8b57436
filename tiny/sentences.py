"""The sentences that the text tower is distilled on: free captions and what the grammar makes.

Captions of the research-only sources never enter; words held out in `words.toml` are in no
training sentence. The same seed gives the same sentences in the same order.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from tiny.grammar import caption, label, lexicon, material, state
from tiny.shards import Captioned
from tiny.words import class_names, held_out_words, lists

SIZES = {
    "states": 15000,  # pairs: flawless and damaged
    "medical": 3000,  # pairs
    "captions": 30000,
    "materials": 3000,
    "lexicon": 13000,
}
HELD_SHARE = 0.03
"""Part of all sentences kept for evaluation."""


@dataclass(frozen=True)
class Corpus:
    """Distinct sentences: to train on, held out, and held out since they have held-out words."""

    train: tuple[str, ...]
    held_sentences: tuple[str, ...]
    held_words: tuple[str, ...]


def corpus(
    records: Sequence[Captioned], words: Sequence[str], seed: int, scale: float = 1.0
) -> Corpus:
    """All sentences of a seed.

    records     of the pretraining images
    words       frequent words of the teacher's vocabulary, each to be met a few times
    scale       share of the full number of sentences
    """
    r = Random(seed)  # noqa: S311  nothing secret
    made = [*captions_of(records, free=True), *_labels(r, labels(records), scale)]
    for name, make in _makers(records, words).items():
        for _ in range(max(1, int(SIZES[name] * scale))):
            made.extend(make(r))
    research = set(captions_of(records, free=False))
    held = held_out_words()
    distinct = [s for s in dict.fromkeys(made) if s not in research and not held.search(s)]
    r.shuffle(distinct)
    cut = max(1, int(len(distinct) * HELD_SHARE))
    unseen = dict.fromkeys(_with_held_out_words(r, max(5, int(1500 * scale))))
    return Corpus(tuple(distinct[cut:]), tuple(distinct[:cut]), tuple(unseen))


def captions_of(records: Sequence[Captioned], *, free: bool) -> list[str]:
    """Distinct captions of the free sources, or of all others (for evaluation only)."""
    captions = (c for record in records if record.free == free for c in record.captions)
    return list(dict.fromkeys(captions))


def labels(records: Sequence[Captioned]) -> list[str]:
    """Class names of the free sources, sorted."""
    return sorted({record.label for record in records if record.free and record.label})


def inspected(records: Sequence[Captioned]) -> list[str]:
    """What is inspected, medical things apart: our lists, and the classes of the free sources."""
    i = lists()["inspection"]
    return [*i["industrial"], *i["textiles"], *i["natural"], *labels(records)]


def _labels(r: Random, names: Sequence[str], scale: float) -> list[str]:
    """Every name a few times; fewer names, not fewer phrases, at a smaller scale."""
    things = [noun for group in lists()["inspection"].values() for noun in group]
    nouns = [*names, *lists()["materials"]["names"], *things]
    some = [(nouns, 8), (class_names(), 3), (class_names("imagenet-12k", 1), 1)]
    return [
        label(r, noun)
        for group, times in some
        for noun in list(group)[: max(1, int(len(group) * scale))]
        for _ in range(times)
    ]


def _makers(
    records: Sequence[Captioned], words: Sequence[str]
) -> dict[str, Callable[[Random], list[str]]]:
    s, named = lists()["states"], inspected(records)
    classes = class_names(lemmas=1)
    doctors = lists()["inspection"]["medical"]
    stuff = lists()["materials"]["names"]

    def states(r: Random) -> list[str]:
        noun = r.choice(named) if r.random() < 0.75 else r.choice(classes)
        template = r.choice(s["templates"])
        return [state(noun, r.choice(s[side]), template) for side in ("normal", "anomalous")]

    def medical(r: Random) -> list[str]:
        noun, template = r.choice(doctors), r.choice(s["medical_templates"] + s["templates"][:25])
        kind = "medical_" if r.random() < 0.75 else ""
        sides = (f"{kind}normal", f"{kind}anomalous")
        return [state(noun, r.choice(s[side]), template) for side in sides]

    return {
        "states": states,
        "medical": medical,
        "captions": lambda r: [caption(r)],
        "materials": lambda r: [material(r, r.choice(stuff))],
        "lexicon": lambda r: [lexicon(r, words)],
    }


def _with_held_out_words(r: Random, count: int) -> Iterator[str]:
    """Held-out nouns in seen states, seen nouns in held-out states, both held out, in turn."""
    held, s = lists()["held_out"], lists()["states"]
    seen_nouns = lists()["inspection"]["industrial"]
    for _ in range(count):
        template, side = r.choice(s["templates"]), r.choice(("normal", "anomalous"))
        yield state(r.choice(held["nouns"]), r.choice(s[side]), template)
        yield state(r.choice(seen_nouns), r.choice(held[side]), template)
        yield state(r.choice(held["nouns"]), r.choice(held[side]), template)
