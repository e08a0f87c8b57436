"""Which queries and shots each step of the training sees.

Everything follows from the seed and the number of the step, so that a training that was killed
goes on with the very draws it would have had.

As released: half of a batch is normal and half anomalous, in that order; each half comes from an
endless pass over all normal (anomalous) images of all categories, shuffled anew for every pass; a
query meets k normal images of its own category. Unlike the release, a query is never its own shot,
unless that is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from inctrl.errors import UsageError

NORMAL, ANOMALOUS, SHOTS = 0, 1, 2
"""What is drawn: each has a stream of its own."""


@dataclass(frozen=True)
class Members:
    """The images of a category by their numbers in the table of examples."""

    name: str
    normal: tuple[int, ...]
    anomalous: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Draw:
    """A step: numbers of b queries, their labels b, the numbers b k of their shots, categories b.

    categories   index of each query's category among the members
    """

    queries: Tensor
    labels: Tensor
    shots: Tensor
    categories: Tensor


@dataclass(frozen=True)
class Episodes:
    """The draws of a training.

    batch       queries of a step, an even number
    shots       numbers of shots; each step draws one
    own_shots   a normal query may be among its own shots, as in the release
    """

    members: tuple[Members, ...]
    batch: int
    shots: tuple[int, ...]
    seed: int
    own_shots: bool = False

    def refuse_few(self) -> None:
        """UsageError where a category cannot give what is drawn."""
        most = max(self.shots)
        refuse_few(self.members, most if self.own_shots else most + 1, most)
        if not any(m.anomalous for m in self.members):
            raise UsageError(
                "no anomalous image to train on; give sets that have some, or let defects be "
                "drawn on normal ones"
            )

    def step(self, number: int) -> Draw:
        """The draw of step `number`, counted from 0."""
        half = self.batch // 2
        drawn = torch.cat([self._stream(kind, number, half) for kind in (NORMAL, ANOMALOUS)])
        labels = torch.tensor([0.0] * half + [1.0] * half)
        random = _generator(self.seed, SHOTS, number)
        k = self.shots[int(torch.randint(len(self.shots), (1,), generator=random))]
        shots = [self._shots_of(c, q, k, random) for c, q in drawn.tolist()]
        return Draw(drawn[:, 1], labels, torch.tensor(shots), drawn[:, 0])

    def _stream(self, kind: int, step: int, count: int) -> Tensor:
        """Rows (category, image) of an endless shuffled pass, from step * count on."""
        every = _rows(self.members, kind)
        found = []
        for place in range(step * count, (step + 1) * count):
            rounds, at = divmod(place, len(every))
            found.append(every[_order(self.seed, kind, rounds, len(every))[at]])
        return torch.stack(found)

    def _shots_of(self, category: int, query: int, k: int, random: torch.Generator) -> list[int]:
        pool = [i for i in self.members[category].normal if self.own_shots or i != query]
        return [pool[i] for i in torch.randperm(len(pool), generator=random)[:k].tolist()]


def refuse_few(members: Sequence[Members], needed: int, shots: int) -> None:
    """UsageError that names the categories with fewer normal images than are needed at once."""
    few = [f"{m.name!r} ({len(m.normal)})" for m in members if len(m.normal) < needed]
    if few:
        raise UsageError(
            f"{shots} shots and a query are {needed} normal images, more than there are in "
            f"{', '.join(few)}; give fewer shots, or exclude these sets"
        )


def balanced(draw: Draw, rank: int, size: int) -> Draw:
    """The part of a draw that process `rank` of `size` takes: as many of each half."""
    if size == 1:
        return draw
    if len(draw.queries) % (2 * size) or len(draw.queries) < 4 * size:
        raise UsageError(
            f"a batch of {len(draw.queries)} cannot be shared by {size} processes, each of which "
            "needs as many normal as anomalous queries, two of each or more; give a multiple of "
            f"{2 * size} from {4 * size} on"
        )
    rows = torch.arange(len(draw.queries))
    mine = torch.cat([half[rank::size] for half in rows.chunk(2)])
    return Draw(draw.queries[mine], draw.labels[mine], draw.shots[mine], draw.categories[mine])


def holdout(members: Members, index: int, k: int, seed: int, most: int) -> Draw:
    """All images of category `index` (`most` of each kind, evenly spread) against k shots each."""
    random = _generator(seed, SHOTS, 0)
    rows: list[tuple[int, float]] = [(i, 0.0) for i in _evenly(members.normal, most)]
    rows += [(i, 1.0) for i in _evenly(members.anomalous, most)]
    shots = []
    for query, _ in rows:
        pool = [i for i in members.normal if i != query]
        shots.append([pool[i] for i in torch.randperm(len(pool), generator=random)[:k].tolist()])
    queries, labels = zip(*rows, strict=True)
    return Draw(
        torch.tensor(queries),
        torch.tensor(labels),
        torch.tensor(shots),
        torch.full((len(rows),), index),
    )


def _evenly(numbers: Sequence[int], most: int) -> list[int]:
    step = max(1, -(-len(numbers) // most))
    return list(numbers[::step])


@lru_cache(maxsize=4)
def _rows(members: tuple[Members, ...], kind: int) -> Tensor:
    """n 2: category and number of every normal or anomalous image."""
    return torch.tensor(
        [
            (category, image)
            for category, group in enumerate(members)
            for image in (group.anomalous if kind == ANOMALOUS else group.normal)
        ]
    )


@lru_cache(maxsize=8)
def _order(seed: int, kind: int, rounds: int, length: int) -> Tensor:
    return torch.randperm(length, generator=_generator(seed, kind, rounds))


def _generator(seed: int, kind: int, number: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 3 + kind) * 1_000_003 + number)
