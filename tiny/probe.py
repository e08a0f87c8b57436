"""A linear probe of the state: does a direction of the text tell flawless from damaged?"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor

from tiny.grammar import state
from tiny.words import lists

FITTED, TESTED = 1200, 800
TEMPLATES = slice(3, 25)
"""Those of InCTRL's bank."""


@dataclass(frozen=True)
class Probe:
    """Sentences with their state (1 = damaged) to fit on, and others to test on."""

    fit: tuple[tuple[str, int], ...]
    test: tuple[tuple[str, int], ...]

    @property
    def sentences(self) -> list[str]:
        return [sentence for sentence, _ in (*self.fit, *self.test)]


def probes(seed: int, scale: float = 1.0) -> dict[str, Probe]:
    """`seen`: the student met the tested words in its training; `unseen`: it met none of them.

    scale    share of the full number of sentences

    In both, no tested noun or state word is among those the probe is fitted on.
    """
    r, all_lists = Random(seed), lists()  # noqa: S311  nothing secret
    s, held = all_lists["states"], all_lists["held_out"]
    nouns = r.sample(all_lists["inspection"]["industrial"], 120)
    halves = {side: r.sample(s[side], len(s[side])) for side in ("normal", "anomalous")}
    first = [half[: len(half) // 2] for half in halves.values()]
    second = [half[len(half) // 2 :] for half in halves.values()]
    fitted, tested = (max(40, int(n * scale)) for n in (FITTED, TESTED))
    fit = _draw(r, nouns[:60], first, fitted)
    return {
        "seen": Probe(fit, _draw(r, nouns[60:], second, tested)),
        "unseen": Probe(fit, _draw(r, held["nouns"], [held["normal"], held["anomalous"]], tested)),
    }


def score(probe: Probe, embeddings: Tensor) -> dict[str, float]:
    """AUROC and accuracy in per cent; embeddings n d belong to `probe.sentences`."""
    x = embeddings.numpy()
    y = np.array([label for _, label in (*probe.fit, *probe.test)])
    n = len(probe.fit)
    model = LogisticRegression(C=10.0, max_iter=1000).fit(x[:n], y[:n])
    logits = model.decision_function(x[n:])
    return {
        "auroc": round(100 * float(roc_auc_score(y[n:], logits)), 2),
        "accuracy": round(100 * float(((logits > 0) == y[n:]).mean()), 2),
    }


def _draw(
    r: Random, nouns: Sequence[str], sides: Sequence[Sequence[str]], count: int
) -> tuple[tuple[str, int], ...]:
    """Pairs of a flawless and a damaged sentence with one noun and template."""
    templates = lists()["states"]["templates"][TEMPLATES]
    drawn = []
    for _ in range(count // 2):
        noun, template = r.choice(nouns), r.choice(templates)
        for label, phrases in enumerate(sides):
            phrase = r.choice([p for p in phrases if p != "{c}"])
            drawn.append((state(noun, phrase, template), label))
    return tuple(drawn)
