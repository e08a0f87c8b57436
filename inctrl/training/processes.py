"""Several processes that train as one: started by `torchrun` or `accelerate launch`.

Both set RANK, WORLD_SIZE, LOCAL_RANK and where to meet. Every process runs the same program on its
part of each batch; gradients are averaged, and only the first process writes.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")
WAIT = timedelta(hours=2)
"""For the others: one may have to encode all images first."""


@dataclass(frozen=True)
class Processes:
    """This process's number and how many there are."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        """Until all have come here."""
        if self.size > 1:
            dist.barrier()

    def from_first(self, find: Callable[[], T]) -> T:
        """What the first process finds, for all."""
        found = [find() if self.first else None]
        if self.size > 1:
            dist.broadcast_object_list(found)
        return cast(T, found[0])

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over the processes."""
        if self.size > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)
                tensor /= self.size

    def average_gradients(self, module: nn.Module) -> None:
        """As if the parts had been one batch (but for batch norm, which sees its own part)."""
        self.average(p.grad for p in module.parameters() if p.grad is not None)

    def average_statistics(self, module: nn.Module) -> None:
        """The running statistics of batch norms, which each process has of its own part."""
        self.average(b for b in module.buffers() if b.is_floating_point())


@contextlib.contextmanager
def joined() -> Iterator[Processes]:
    """The processes that this one was started with; alone where it was started alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Processes()
        return
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if cuda else "gloo", timeout=WAIT)
    try:
        yield Processes(dist.get_rank(), size)
        # One that leaves while others still talk to it may bring them down.
        dist.barrier()
    finally:
        dist.destroy_process_group()
