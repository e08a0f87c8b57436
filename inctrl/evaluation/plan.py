"""What an evaluation is to do, and what it refuses before anything is computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inctrl.data.categories import Category
from inctrl.errors import UsageError
from inctrl.evaluation.contenders import Entrant
from inctrl.evaluation.results import TestSet
from inctrl.registry import unknown

FEW = 5
"""Faults that an error names before it only counts them."""
PROTOCOLS = {"inctrl": (2, 4, 8)}
"""Published protocols by name: the numbers of shots that they report."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Contenders x categories x shots x seeds.

    group_by   what shots and test images may not share: "group" (as the layout gives it), a
               regular expression searched in names of images, or empty
    left_out   what lies in the data and is not used, in lines
    """

    entrants: tuple[Entrant, ...]
    categories: tuple[Category, ...]
    shots: tuple[int, ...]
    seeds: tuple[int, ...]
    alpha: float
    group_by: str = ""
    protocol: str = ""
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [(c.dataset, c.name) for c in self.categories]
        for dataset, name in names:
            if names.count((dataset, name)) > 1:
                raise UsageError(f"category {dataset}/{name} is given twice; leave one out")
        self._refuse_shots()

    def drawn(self, category: Category) -> list[int]:
        """The indices in `train` of all shots of all seeds, in order."""
        most = max(self.shots)  # draws of one seed are nested
        return sorted({i for seed in self.seeds for i in category.draw(most, seed)})

    def lacks(self, former: Mapping[str, Any]) -> list[str]:
        """What a former results.json tells of and is not planned again, in words."""
        mine = {entrant.contender.label for entrant in self.entrants}
        tests = {(category.dataset, category.name) for category in self.categories}
        labels = [one["label"] for one in former["contenders"]]
        tested = [(test["dataset"], test["category"]) for test in former["tests"]]
        return [
            *(f"detector {label}" for label in labels if label not in mine),
            *(f"category {'/'.join(test)}" for test in tested if test not in tests),
            *(f"k = {k}" for k in former["shots"] if k not in self.shots),
            *(f"seed {seed}" for seed in former["seeds"] if seed not in self.seeds),
            *([f"alpha {former['alpha']}"] if former["alpha"] != self.alpha else []),
        ]

    def test_set(self, category: Category) -> TestSet:
        test = category.test
        return TestSet(
            dataset=category.dataset,
            category=category.name,
            images=tuple(category.short(sample.image) for sample in test),
            anomalous=tuple(sample.anomalous for sample in test),
            kinds=tuple(sample.kind for sample in test),
            masks=category.has_masks,
            normals=len(category.train),
        )

    def _refuse_shots(self) -> None:
        most = max(self.shots)
        short = [c for c in self.categories if len(c.train) < most]
        if short:
            counts = [f"{c.dataset}/{c.name} has {len(c.train)}" for c in short]
            raise UsageError(
                f"k={most} is more than the normal training images of "
                f"{counted(counts, 'category', 'categories')}; ask for fewer shots, or exclude "
                "them"
            )
        hungry = [e.contender.label for e in self.entrants if e.inspector.detector.needs_shots]
        if 0 in self.shots and hungry:
            raise UsageError(f"k=0, but {hungry[0]!r} needs shots; leave one of them out")


def chosen(
    categories: Sequence[Category], only: Sequence[str], exclude: Sequence[str]
) -> tuple[Category, ...]:
    """Those named in `only` (all, if none is), without those of `exclude`.

    A category is called by its name, or DATASET/NAME.
    """
    known = {name for c in categories for name in _names(c)}
    for name in (*only, *exclude):
        if name not in known:
            raise unknown(name, {c.name for c in categories}, "category")
    kept = tuple(
        c
        for c in categories
        if (not only or _names(c) & set(only)) and not _names(c) & set(exclude)
    )
    if not kept:
        raise UsageError("no category is left to evaluate")
    return kept


def shots_of(protocol: str, asked: Sequence[int] | None) -> tuple[int, ...]:
    """The numbers of shots: as asked, or those of the protocol, with which they may not differ."""
    own = PROTOCOLS.get(protocol, (1, 2, 4, 8))
    wanted = tuple(sorted(set(asked))) if asked else own
    if protocol and wanted != own:
        shots = " ".join(map(str, own))
        raise UsageError(
            f"protocol {protocol} is for k = {shots}, not {' '.join(map(str, wanted))}; "
            "leave one of the two out"
        )
    return wanted


def counted(names: Sequence[str], one: str, many: str) -> str:
    """'2 categories (a has 3, b has 4)', a few of them by name."""
    more = ", ..." if len(names) > FEW else ""
    return f"{len(names)} {one if len(names) == 1 else many} ({', '.join(names[:FEW])}{more})"


def _names(category: Category) -> set[str]:
    return {category.name, f"{category.dataset}/{category.name}"}
