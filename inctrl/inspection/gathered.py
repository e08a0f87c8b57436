"""Features of shots one behind the other in memory, so that many are held once.

Hundreds of shots come one by one, and their bank is wanted in one piece. Kept apart and then
joined they would be held twice.
"""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from inctrl.inspection.seen import Seen
from inctrl.types import Features, concatenate


class Gathered:
    """Takes shots that are seen as they are; memory is used as they come.

    expected   how many may come; those beyond it lie in another piece, which `joined` copies
    """

    def __init__(self, expected: int) -> None:
        self._room = max(1, expected)
        self._layers: list[Tensor] = []
        self._count = 0

    def add(self, seen: Seen) -> Seen:
        """The same shot; its patches have moved behind those of the one before."""
        if seen.bank is not seen.query or len(seen.bank) != 1:
            return seen
        if not self._layers or self._count == self._room:
            self._count = 0
            self._layers = [p.new_empty(self._room, *p.shape[1:]) for p in seen.bank.patches]
        row = slice(self._count, self._count + 1)
        for layer, patches in zip(self._layers, seen.bank.patches, strict=True):
            layer[row] = patches
        self._count += 1
        moved = replace(seen.bank, patches=tuple(layer[row] for layer in self._layers))
        return replace(seen, bank=moved, query=moved)


def joined(parts: Sequence[Features]) -> Features:
    """`concatenate`, without copying patches that lie one behind the other already."""
    found = [_run(layer) for layer in zip(*(part.patches for part in parts), strict=True)]
    if any(run is None for run in found):
        return concatenate(parts)
    whole = concatenate([replace(part, patches=()) for part in parts])
    return replace(whole, patches=tuple(run for run in found if run is not None))


def _run(parts: Sequence[Tensor]) -> Tensor | None:
    """The parts k times b h w d as one tensor, if they are neighbours in one piece of memory."""
    first, place = parts[0], parts[0].storage_offset()
    for part in parts:
        same = part.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        if not (same and part.is_contiguous() and part.storage_offset() == place):
            return None
        place += part.numel()
    rows = sum(len(part) for part in parts)
    return first.as_strided((rows, *first.shape[1:]), first.stride())
