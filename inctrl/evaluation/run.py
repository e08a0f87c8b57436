"""Evaluate: every contender on every category with every number of shots and every seed.

Cells that a former run has kept are taken as they are; what is computed is kept at once.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from inctrl.backbones.features import Tally
from inctrl.data.categories import Category
from inctrl.data.masks import unmasked
from inctrl.errors import InctrlError, OutputError
from inctrl.evaluation.contenders import Entrant
from inctrl.evaluation.content import Content
from inctrl.evaluation.features import DecodedImages, SharedFeatures, groups
from inctrl.evaluation.kept import VERSION, Kept
from inctrl.evaluation.leaks import learned, repeated
from inctrl.evaluation.plan import Plan
from inctrl.evaluation.results import Cell, Evaluation, Example
from inctrl.evaluation.score import Draw, cell_of, examples_of, judge
from inctrl.evaluation.timings import Timings
from inctrl.version import __version__


class Slot(NamedTuple):
    """Where a cell belongs: a contender and a category by their places in the plan."""

    contender: int
    category: int
    k: int
    seed: int


class Watch(Protocol):
    """Who is told how it goes."""

    def cell(self, cell: Cell, category: Category, *, computed: bool) -> None: ...
    def failed(self, label: str, category: Category, reason: str) -> None: ...


@dataclass(frozen=True, eq=False)
class Run:
    """What an evaluation works with.

    contents   of the plan's categories
    features   what all contenders remember with
    tally      what counts their images
    """

    plan: Plan
    contents: tuple[Content, ...]
    kept: Kept
    features: SharedFeatures
    tally: Tally
    draw: Draw
    watch: Watch
    timings: Timings


Done = dict[Slot, tuple[Cell, tuple[Example, ...]]]


def evaluate(run: Run) -> Evaluation:
    """All cells; a contender that fails on a category is noted there, and the others go on."""
    done: Done = {}
    faults: dict[tuple[int, int], str] = {}
    for number, category in enumerate(run.plan.categories):
        decoded = DecodedImages(run.contents[number].deep)
        for group in groups(run.plan.entrants):
            run.features.clear()
            for entrant in group:
                place = run.plan.entrants.index(entrant)
                try:
                    for slot in slots(run.plan, place, number):
                        done[slot] = _cell(run, slot, decoded)
                except OutputError:
                    raise
                except InctrlError as error:
                    label = entrant.contender.label
                    fault = f"{label} failed on {category.dataset}/{category.name}: {error}"
                    faults[number, place] = fault
                    run.watch.failed(label, category, str(error))
    return _evaluation(run.plan, run.contents, done, [faults[at] for at in sorted(faults)])


def mask_notes(plan: Plan, contents: Sequence[Content]) -> list[str]:
    """What is odd about the masks, and where some are missing."""
    notes = [note for content in contents for note in content.notes]
    found = [unmasked(category) for category in plan.categories]
    return notes + [f"{note}: pixels are not evaluated" for note in found if note]


def waiting(run: Run) -> list[Entrant]:
    """The contenders that have a cell to compute."""
    return [
        entrant
        for place, entrant in enumerate(run.plan.entrants)
        if any(
            run.kept.read(_key(run, slot), "", examples=_shown(run.plan, slot)) is None
            for number in range(len(run.plan.categories))
            for slot in slots(run.plan, place, number)
        )
    ]


def slots(plan: Plan, contender: int, category: int) -> Iterator[Slot]:
    """Those of a contender on a category."""
    for k in plan.shots:
        for seed in plan.seeds:
            yield Slot(contender, category, k, seed)


def _cell(run: Run, slot: Slot, decoded: DecodedImages) -> tuple[Cell, tuple[Example, ...]]:
    """A cell with its examples: as it was kept, or computed and kept."""
    entrant, category = run.plan.entrants[slot.contender], run.plan.categories[slot.category]
    key, shown, label = _key(run, slot), _shown(run.plan, slot), entrant.contender.label
    kept = run.kept.read(key, label, examples=shown)
    if kept is None:
        kept = _compute(run, slot, decoded)
        run.kept.write(key, kept[0], kept[1] if shown else None)
        run.watch.cell(kept[0], category, computed=True)
    else:
        run.watch.cell(kept[0], category, computed=False)
    return kept


def _compute(run: Run, slot: Slot, decoded: DecodedImages) -> tuple[Cell, tuple[Example, ...]]:
    entrant, category = run.plan.entrants[slot.contender], run.plan.categories[slot.category]
    spent = run.timings.of(entrant.contender.label)
    encoded, seconds = run.tally.encoded, run.tally.seconds
    judged = judge(entrant.inspector, category, slot.k, slot.seed, decoded, views=entrant.views)
    started = time.perf_counter()
    cell = cell_of(judged, entrant.contender.label, category, slot.k, slot.seed)
    spent.add(judged, cell, time.perf_counter() - started)
    examples: tuple[Example, ...] = ()
    if _shown(run.plan, slot):
        examples = tuple(examples_of(judged, cell, category, decoded, run.draw))
    spent.encoded += run.tally.encoded - encoded
    spent.encode += run.tally.seconds - seconds
    return cell, examples


def _key(run: Run, slot: Slot) -> str:
    """A hash of all that a cell depends on."""
    parts = (
        VERSION,
        __version__,
        run.plan.entrants[slot.contender].identity,
        run.contents[slot.category].digest,
        slot.k,
        slot.seed,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _shown(plan: Plan, slot: Slot) -> bool:
    """Examples are of the largest k and the first seed."""
    return slot.k == max(plan.shots) and slot.seed == plan.seeds[0]


def _evaluation(
    plan: Plan, contents: tuple[Content, ...], done: Done, faults: list[str]
) -> Evaluation:
    """In the order of the plan, whatever was computed when."""
    pairs = list(zip(plan.categories, contents, strict=True))
    notes = [*plan.left_out, *mask_notes(plan, contents), *learned(plan, contents)]
    notes += [note for category, content in pairs for note in repeated(category, content)]
    ordered = [done[slot] for slot in sorted(done)]
    return Evaluation(
        contenders=tuple(entrant.contender for entrant in plan.entrants),
        tests=tuple(plan.test_set(category) for category in plan.categories),
        shots=plan.shots,
        seeds=plan.seeds,
        alpha=plan.alpha,
        cells=tuple(cell for cell, _ in ordered),
        examples=tuple(example for _, examples in ordered for example in examples),
        group_by=_group_words(plan.group_by),
        protocol=plan.protocol,
        notes=(*notes, *faults),
    )


def _group_words(rule: str) -> str:
    if not rule:
        return ""
    return "the group that the set names" if rule == "group" else f"the name's part {rule!r}"
