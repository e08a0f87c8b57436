"""The loop of InCTRL's training: epochs of steps, checkpoints, a log, early stop; resumable.

Killed at any moment and started again it ends with the weights of an uninterrupted run: what is
drawn follows from the seed and the step, and everything else is in the checkpoint.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from inctrl.errors import UsageError
from inctrl.training import checkpoint
from inctrl.training.episodes import Draw
from inctrl.training.fusion import StepLoss
from inctrl.training.processes import Processes

PARTS = ("loss", "final", "image", "pixels")
Row = dict[str, Any]
ALONE = Processes()


@dataclass(frozen=True)
class Recipe:
    """The defaults are those of the released code.

    steps      of an epoch
    batch      queries of a step, an even number: half normal, half anomalous
    shots      numbers of shots; each step draws one
    rate       learning rate of AdamW, with no schedule; `decay` is its weight decay
    own_shots  a normal query may be its own shot, as in the release
    clip       longest gradient; 0: not clipped, as in the release
    patience   epochs without gain on the held-out category before the training ends; 0: it never
               ends early, and the best epoch is kept all the same
    save       steps between checkpoints
    lora       rank of low-rank updates of the image tower, which count lora_alpha / lora; 0: it
               stays frozen, as in the release
    """

    epochs: int = 10
    steps: int = 100
    batch: int = 16
    shots: tuple[int, ...] = (2,)
    rate: float = 1e-3
    decay: float = 0.01
    own_shots: bool = False
    clip: float = 0.0
    patience: int = 0
    seed: int = 0
    save: int = 50
    lora: int = 0
    lora_alpha: float = 0.0


def optimiser_of(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.AdamW:
    return torch.optim.AdamW(parameters, lr=recipe.rate, weight_decay=recipe.decay)


class Learner(Protocol):
    """What is trained."""

    @property
    def module(self) -> nn.Module:
        """Holds every parameter and buffer that training changes, and nothing else."""
        ...

    def loss(self, draw: Draw) -> StepLoss: ...


@dataclass(frozen=True)
class Run:
    """Where and as what a training runs.

    folder     of the checkpoint and the log
    identity   all that the result depends on, besides the code
    draw       number of a step -> the whole batch's draw, or this process's part of it
    validate   AUROC on the held-out category, or None where none is held out
    """

    folder: Path
    identity: str
    draw: Callable[[int], Draw]
    validate: Callable[[], float] | None = None
    processes: Processes = ALONE


@dataclass
class Progress:
    """What a checkpoint holds besides weights: the epoch's sums of losses, the best weights."""

    step: int
    sums: Tensor
    best: float
    stale: int
    kept: dict[str, Tensor] | None


def train(learner: Learner, recipe: Recipe, run: Run) -> Iterator[Row]:
    """Train in place; yields a row for every step, and after each epoch one with its means.

    At the end the module holds the weights of the best epoch on the held-out category, or of the
    last epoch where none is held out. UsageError where the loss is no number any more.
    """
    learner.module.train()
    optimiser = optimiser_of(learner.module.parameters(), recipe)
    progress = _begin(learner.module, optimiser, run)
    total = recipe.epochs * recipe.steps
    while progress.step < total and not _exhausted(progress, recipe):
        losses = _step(learner, optimiser, recipe, run, progress.step)
        progress.step += 1
        progress.sums += losses
        yield {"step": progress.step, "loss": float(losses[0])}
        if progress.step % recipe.steps == 0:
            yield _end_epoch(learner.module, recipe, run, progress)
        if progress.step % recipe.save == 0:
            _save(learner.module, optimiser, run, progress)
    if progress.kept is not None:
        learner.module.load_state_dict(progress.kept)
    learner.module.eval()


def _step(
    learner: Learner, optimiser: torch.optim.Optimizer, recipe: Recipe, run: Run, step: int
) -> Tensor:
    """One step; the losses (PARTS) of the whole batch."""
    loss = learner.loss(run.draw(step))
    parts = torch.stack([loss.total, loss.final, loss.image, loss.pixels]).detach().cpu().double()
    # Averaged before they are looked at, so that all processes stop at once or none.
    run.processes.average([parts])
    if not math.isfinite(float(parts[0])):
        raise UsageError(
            f"the loss is {float(parts[0])} in step {step + 1} (epoch {step // recipe.steps + 1}); "
            f"train with a lower rate than {recipe.rate:g}, or with gradients clipped to 1"
        )
    optimiser.zero_grad()
    loss.total.backward()
    run.processes.average_gradients(learner.module)
    if recipe.clip:
        nn.utils.clip_grad_norm_(learner.module.parameters(), recipe.clip)
    optimiser.step()
    return parts


def _end_epoch(module: nn.Module, recipe: Recipe, run: Run, progress: Progress) -> Row:
    """The epoch's row, logged; the weights are kept if they are the best so far."""
    run.processes.average_statistics(module)
    epoch = progress.step // recipe.steps
    means = (progress.sums / recipe.steps).tolist()
    row: Row = {"step": progress.step, "epoch": epoch}
    row |= {name: round(mean, 8) for name, mean in zip(PARTS, means, strict=True)}
    progress.sums = torch.zeros_like(progress.sums)
    if run.validate is not None:
        module.eval()
        value = round(run.processes.from_first(run.validate), 8)
        module.train()
        row["held_out_auroc"] = value
        if value > progress.best:
            progress.best, progress.stale = value, 0
            progress.kept = copy.deepcopy(module.state_dict())
        else:
            progress.stale += 1
    if run.processes.first:
        checkpoint.log(run.folder, row)
    return row


def _exhausted(progress: Progress, recipe: Recipe) -> bool:
    """Whether enough epochs have brought nothing; asked between epochs only."""
    between = progress.step % recipe.steps == 0
    return between and bool(recipe.patience) and progress.stale >= recipe.patience


def _begin(module: nn.Module, optimiser: torch.optim.Optimizer, run: Run) -> Progress:
    """From the checkpoint, or from the start."""
    found = run.processes.from_first(lambda: checkpoint.load(run.folder, run.identity))
    if found is None:
        progress = Progress(0, torch.zeros(len(PARTS), dtype=torch.double), -math.inf, 0, None)
    else:
        step, states = found
        module.load_state_dict(states["module"])
        optimiser.load_state_dict(states["optimiser"])
        progress = Progress(step, **states["progress"])
    if run.processes.first:
        checkpoint.keep_until(run.folder, progress.step)
    return progress


def _save(
    module: nn.Module, optimiser: torch.optim.Optimizer, run: Run, progress: Progress
) -> None:
    run.processes.average_statistics(module)
    if not run.processes.first:
        return
    states = {
        "module": module.state_dict(),
        "optimiser": optimiser.state_dict(),
        "progress": {name: value for name, value in vars(progress).items() if name != "step"},
    }
    checkpoint.save(run.folder, run.identity, progress.step, states)
