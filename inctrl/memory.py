"""The memory bank: normal patches, thinned to a coreset, and searched.

PatchCore (Roth et al., CVPR 2022), sections 3.1 and 3.2.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from inctrl.errors import UsageError
from inctrl.maths.coreset import (
    approximate_start,
    exact_start,
    greedy_picks,
    project,
    random_projection,
)
from inctrl.maths.neighbours import about_mean, nearest_rows, row_distances

Sampler = Literal["approximate", "exact"]
Search = Literal["auto", "torch", "flat", "ivf"]
PROJECTED = 128
"""Channels in which the sampler measures distances, as released; the bank keeps all."""
STARTS = 10
"""Start points of the approximate sampler, as released; they need not be picked."""
LARGE = 200_000
"""Rows from which `auto` searches approximately."""
PROBED = 1 / 8
"""Share of an approximate index's cells that a search looks into."""


@dataclass(frozen=True)
class Thinning:
    """How a bank is thinned.

    fraction   share of the rows to keep; 1 keeps all
    whole      up to so many rows nothing is thinned
    sampler    how the first pick is found (maths/coreset.py)
    projected  channels of the random projection in which distances are measured; 0: none
    seed       of projection and start points
    """

    fraction: float = 1.0
    whole: int = 0
    sampler: Sampler = "approximate"
    projected: int = PROJECTED
    seed: int = 0

    def pick(self, rows: Tensor) -> Tensor | None:
        """Indices of the rows to keep; None for all."""
        count = max(1, math.ceil(self.fraction * len(rows) - 1e-9))
        if len(rows) <= self.whole or count >= len(rows):
            return None
        generator = torch.Generator().manual_seed(self.seed)
        d = rows.shape[1]
        if self.projected and self.projected != d:
            matrix = random_projection(self.projected, d, generator).to(rows)
            points = project(rows, matrix)
        else:
            points = rows - rows.mean(dim=0)
        if self.sampler == "exact":
            reach = exact_start(points)
        else:
            starts = torch.randperm(len(points), generator=generator)[:STARTS]
            reach = approximate_start(points, starts)
        return greedy_picks(points, reach, count)


KEEP_ALL = Thinning()


@dataclass(frozen=True, eq=False)
class MemoryBank:
    """Rows m d; places m, the number of each row among all that were given."""

    rows: Tensor
    places: Tensor

    @classmethod
    def build(cls, rows: Tensor, thinning: Thinning = KEEP_ALL) -> "MemoryBank":
        """From n d rows; UsageError where there is none."""
        if not len(rows):
            raise UsageError("a memory bank needs one row at least")
        kept = thinning.pick(rows)
        if kept is None:
            return cls(rows, torch.arange(len(rows), device=rows.device))
        return cls(rows[kept], kept)

    def __len__(self) -> int:
        return len(self.rows)

    def search(
        self, query: Tensor, count: int = 1, method: Search = "auto"
    ) -> tuple[Tensor, Tensor]:
        """The rows nearest to query n d: n c squared distances, nearest first, and n c row numbers.

        c = min(count, m). `torch` and `flat` (faiss) are exact and agree to rounding, `ivf` (faiss)
        looks into a share of the bank's cells. `auto`: `ivf` from LARGE rows on, else `torch`.
        """
        count = min(count, len(self))
        if method == "auto":
            method = "ivf" if len(self) >= LARGE else "torch"
        if method == "torch":
            return nearest_rows(query, self.rows, count, self._about)
        index = self._flat if method == "flat" else self._ivf
        _, numbers = index.search(query.float().cpu().numpy(), count)
        # -1 stands for a neighbour that the probed cells did not hold: the nearest counts again.
        rows = torch.from_numpy(np.where(numbers < 0, numbers[:, :1], numbers)).to(query.device)
        return row_distances(query, self.rows, rows), rows

    def pack(self) -> dict[str, Tensor]:
        """As named tensors."""
        return {"rows": self.rows, "places": self.places}

    @classmethod
    def unpack(cls, tensors: dict[str, Tensor]) -> "MemoryBank":
        """The inverse of `pack`."""
        return cls(tensors["rows"], tensors["places"])

    @cached_property
    def _about(self) -> tuple[Tensor, Tensor]:
        return about_mean(self.rows)

    @cached_property
    def _flat(self) -> Any:
        import faiss  # a tenth of a second, which most runs do without

        index = faiss.IndexFlatL2(self.rows.shape[1])
        index.add(self.rows.float().cpu().numpy())
        return index

    @cached_property
    def _ivf(self) -> Any:
        import faiss

        rows = self.rows.float().cpu().numpy()
        cells = max(1, min(len(rows) // 39, round(4 * math.sqrt(len(rows)))))  # faiss wants 39 each
        index = faiss.IndexIVFFlat(faiss.IndexFlatL2(rows.shape[1]), rows.shape[1], cells)
        index.train(rows)
        index.add(rows)
        index.nprobe = max(1, math.ceil(PROBED * cells))
        return index
