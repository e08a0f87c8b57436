"""The auxiliary sets as one list of examples: which categories are trained on, which is held out.

Categories that have no anomalous images get drawn ones (examples.py).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from inctrl.data.categories import Category
from inctrl.errors import UsageError
from inctrl.inspection.inspector import Inspector
from inctrl.prompting import prototypes
from inctrl.registry import unknown
from inctrl.training.checkpoint import FEATURES
from inctrl.training.episodes import Draw, Episodes, Members, holdout, refuse_few
from inctrl.training.examples import READ, Example, Table, TableWriter, encode_examples
from inctrl.training.examples import list_examples as examples_of
from inctrl.training.loop import Recipe
from inctrl.training.processes import Processes
from inctrl.types import Features

Encoded = tuple[Features, Tensor]
Tracked = Callable[[Iterable[Encoded], int], Iterable[Encoded]]
"""Passes its elements on, of which there are so many, and shows how far it is."""
MOST_HELD_OUT = 128
"""Held-out images of each kind that an epoch is judged by."""


@dataclass(frozen=True)
class Auxiliary:
    """Examples of all categories, one after the other, and the numbers of each.

    members   of the categories trained on, then of the one held out
    words     what each category's images show, for sentences
    held_out  whether the last is held out
    """

    examples: tuple[Example, ...]
    members: tuple[Members, ...]
    words: tuple[str, ...]
    held_out: bool

    @property
    def trained(self) -> tuple[Members, ...]:
        return self.members[:-1] if self.held_out else self.members

    def episodes(self, recipe: Recipe) -> Episodes:
        """The draws of a training; UsageError where the sets cannot give them."""
        drawn = Episodes(self.trained, recipe.batch, recipe.shots, recipe.seed, recipe.own_shots)
        drawn.refuse_few()
        if self.held_out:
            refuse_few(self.members[-1:], max(recipe.shots) + 1, max(recipe.shots))
        return drawn

    def judged(self, recipe: Recipe) -> list[Draw]:
        """The held-out category's images against shots of their own, once for each k."""
        if not self.held_out:
            return []
        last, index = self.members[-1], len(self.members) - 1
        return [holdout(last, index, k, recipe.seed, MOST_HELD_OUT) for k in recipe.shots]


def gather(
    categories: Sequence[Category], hold_out: str | None, versions: int, *, everywhere: bool
) -> Auxiliary:
    """List the examples.

    hold_out    name of a category that is only judged on
    versions    drawn defects of each normal image of categories without anomalous images
    everywhere  draw them in all categories
    """
    names = [category.name for category in categories]
    for category in categories:
        if names.count(category.name) > 1:
            raise UsageError(
                f"category {category.name!r} is given twice, once in {category.dataset!r}; "
                f"exclude '{category.dataset}/{category.name}'"
            )
    if hold_out is not None and hold_out not in names:
        raise unknown(hold_out, names, "set to hold out")
    ordered = [c for c in categories if c.name != hold_out]
    if not ordered:
        raise UsageError("holding it out leaves no set to train on; give more sets")
    ordered += [c for c in categories if c.name == hold_out]
    examples: list[Example] = []
    members = []
    for category in ordered:
        bare = not any(sample.anomalous for sample in category.test)
        listed = examples_of(category, versions if everywhere or bare else 0)
        numbered = list(enumerate(listed, start=len(examples)))
        normal = tuple(i for i, example in numbered if not example.anomalous)
        anomalous = tuple(i for i, example in numbered if example.anomalous)
        members.append(Members(category.name, normal, anomalous))
        examples += listed
    if hold_out is not None and not members[-1].anomalous:
        raise UsageError(
            f"held-out set {hold_out!r} has no anomalous image to be judged by; "
            "hold out another, or let defects be drawn on its normal ones"
        )
    words = tuple(category.words for category in ordered)
    return Auxiliary(tuple(examples), tuple(members), words, hold_out is not None)


def encode_all(
    inspector: Inspector,
    auxiliary: Auxiliary,
    seed: int,
    folder: Path,
    processes: Processes,
    tracked: Tracked,
) -> Table:
    """The table of all examples; large ones lie in mapped files of `folder`.

    With several processes each first brings its part into the cache they share.
    """
    examples = auxiliary.examples
    # One by one: the size of a batch moves the last bits of features, and a training that is
    # started again finds some remembered.
    inspector = replace(inspector, batch=1)
    if processes.size > 1 and inspector.cache:
        mine = [
            example
            for start in range(processes.rank * READ, len(examples), processes.size * READ)
            for example in examples[start : start + READ]
        ]
        parts = -(-len(mine) // READ)
        for _ in tracked(encode_examples(inspector, mine, seed), parts):
            continue
        processes.wait()
    writer = TableWriter(len(examples), folder / f"{FEATURES}{processes.rank}")
    reading = encode_examples(inspector, examples, seed)
    for features, shares in tracked(reading, -(-len(examples) // READ)):
        writer.add(features, shares)
    return writer.table


def prototypes_of(inspector: Inspector, auxiliary: Auxiliary) -> Tensor | None:
    """c 2 e: of every category; None where the backbone has no text."""
    if not inspector.backbone.has_text:
        return None
    backbone, bank, cache = inspector.backbone, inspector.bank, inspector.cache
    return torch.stack([prototypes(backbone, bank, w, cache) for w in auxiliary.words])
