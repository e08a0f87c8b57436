"""The loop of the distillation: batches by seed and step, checkpoints, a log; resumable."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from inctrl.backbones.tiny.text import encode, padded
from inctrl.training import checkpoint
from tiny.precision import autocast

LEARNING_RATE = 1e-3
WARM_UP = 0.06
WEIGHT_DECAY = 0.01
PAIRS = 10.0
"""Weight of the pairwise similarities beside the cosine."""
CLIP = 1.0
GROUP = 16
"""Batches that are sorted by length together, for less padding."""


@dataclass(frozen=True)
class Plan:
    """How long and in which order; `identity` names all that the result depends on."""

    steps: int
    batch: int
    seed: int
    identity: str
    save_every: int = 250
    log_every: int = 25


def distil(
    model: Any,
    tokens: Sequence[Sequence[int]],
    targets: Tensor,
    plan: Plan,
    folder: Path,
    device: torch.device,
    tick: Callable[[int], None] = lambda _: None,
) -> None:
    """Train `model` in place until its embeddings of `tokens` are `targets` (n e, unit length).

    Leaves `log.jsonl` and `checkpoint.pt` in `folder`; from a checkpoint of the same plan it goes
    on, with the result of an uninterrupted run. UsageError where the plan is another.
    """
    model.train().to(device)
    optimiser = _optimiser(model)
    step, began = 0, time.monotonic()
    found = checkpoint.load(folder, plan.identity)
    if found is not None:
        step, states = found
        model.load_state_dict(states["model"])
        optimiser.load_state_dict(states["optimiser"])
    checkpoint.keep_until(folder, step)
    while step < plan.steps:
        rows = batch_rows([len(t) for t in tokens], plan, step)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, plan.steps)
        batch = padded([tokens[i] for i in rows]).to(device)
        with autocast(device):
            embedded = encode(model, batch)
        cosine, pairs = losses(normalize(embedded.float(), dim=-1), targets[rows].to(device))
        optimiser.zero_grad()
        (cosine + PAIRS * pairs).backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        step += 1
        tick(step)
        if step % plan.log_every == 0 or step == plan.steps:
            seconds = round(time.monotonic() - began, 1)
            row = _row(step, cosine.item(), pairs.item(), plan.steps, seconds)
            checkpoint.log(folder, row)
        if step % plan.save_every == 0 and step < plan.steps:
            states = {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
            checkpoint.save(folder, plan.identity, step, states)


def losses(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """1 - cosine, and the mean squared error of all pairwise similarities; n e, unit length."""
    cosine = 1 - (student * teacher).sum(dim=1).mean()
    return cosine, (student @ student.T - teacher @ teacher.T).square().mean()


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    warm = max(1, int(WARM_UP * steps))
    if step < warm:
        return LEARNING_RATE * (step + 1) / warm
    return LEARNING_RATE * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))) / 2


def batch_rows(lengths: Sequence[int], plan: Plan, step: int) -> list[int]:
    """The rows of a step: each epoch is one permutation, groups of it are sorted by length."""
    per_epoch = max(1, len(lengths) // plan.batch)
    epoch, place = divmod(step, per_epoch)
    generator = torch.Generator().manual_seed(plan.seed * 1_000_003 + epoch)
    order = torch.randperm(len(lengths), generator=generator).tolist()
    mixed = torch.randperm(per_epoch, generator=generator).tolist()
    group, offset = divmod(mixed[place], GROUP)
    start = group * GROUP * plan.batch
    rows = sorted(order[start : start + GROUP * plan.batch], key=lambda i: lengths[i])
    return rows[offset * plan.batch : (offset + 1) * plan.batch]


def _optimiser(model: nn.Module) -> torch.optim.Optimizer:
    """AdamW, its decay for the matrices of the layers only."""
    decayed = [p for n, p in model.named_parameters() if p.ndim > 1 and "embedding" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim < 2 or "embedding" in n]
    groups = [
        {"params": decayed, "weight_decay": WEIGHT_DECAY},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98))


def _row(step: int, cosine: float, pairs: float, steps: int, seconds: float) -> dict[str, float]:
    return {
        "step": step,
        "cosine_loss": round(cosine, 6),
        "pair_loss": round(pairs, 6),
        "learning_rate": round(learning_rate(step - 1, steps), 8),
        "seconds": seconds,
    }
