"""A training of InCTRL's adapter from the sets to the trained module; resumable as a whole.

job = Job(inspector, gather(categories, ...), Recipe(), Objective(), work)
trained = run(job, follow)
"""

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from inctrl.adapters.fusion import InCTRLFusion
from inctrl.adapters.lora import Lora
from inctrl.backbones.lowrank import tunable
from inctrl.errors import MissingData
from inctrl.inspection.inspector import Inspector
from inctrl.training import checkpoint
from inctrl.training.auxiliary import Auxiliary, encode_all, prototypes_of
from inctrl.training.episodes import balanced
from inctrl.training.fusion import FrozenLearner, Objective, new_fusion
from inctrl.training.loop import ALONE, Recipe, Row, Run, train
from inctrl.training.processes import Processes
from inctrl.training.survey import Survey, survey
from inctrl.training.tuned import TunedLearner, new_tuned
from inctrl.version import __version__

Follow = Callable[[Iterable[Any], int, str], Iterable[Any]]
"""Passes elements on, of which there are so many at the most, and shows how far it is."""
logger = logging.getLogger("inctrl")
CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Job:
    """Everything that a training needs.

    text     whether the text prior takes part, where the backbone has text
    work     folder of the checkpoint and the log; a killed training goes on from there
    device   where the fusion is trained
    """

    inspector: Inspector
    auxiliary: Auxiliary
    recipe: Recipe
    objective: Objective
    work: Path
    text: bool = True
    processes: Processes = ALONE
    device: torch.device = CPU

    def identity(self, seen: Survey) -> str:
        """All that the result depends on: the hash of each part behind its name."""
        auxiliary, inspector = self.auxiliary, self.inspector
        parts = {
            "release of inctrl": __version__,
            "images": (
                seen,
                auxiliary.members,
                auxiliary.words,
                [(example.version, example.window) for example in auxiliary.examples],
            ),
            "set held out": auxiliary.held_out,
            "backbone": inspector.backbone.fingerprint,
            "fit": inspector.fit_mode,
            "sentences": inspector.bank if self.text else None,
            **vars(self.recipe),
            **vars(self.objective),
            "number of processes": self.processes.size,
        }
        hashes = {name: hashlib.sha256(_bytes(part)).hexdigest() for name, part in parts.items()}
        return json.dumps(hashes)


def _bytes(part: object) -> bytes:
    return repr(part).encode("utf-8", "surrogatepass")


@dataclass(frozen=True, eq=False)
class Trained:
    """The module, a row for every epoch, and the epoch whose weights it has.

    seen   digests of the images that were learned from or held out
    lora   the updates of the image tower that the module goes with
    """

    fusion: InCTRLFusion
    epochs: tuple[Row, ...]
    kept: int
    seen: str
    lora: Lora | None = None


def run(job: Job, follow: Follow, report: Callable[[Row], None] = lambda _: None) -> Trained:
    """Train, or go on; `report` is given every row of the loop that is new.

    Conflict where another training is at work in the work folder.
    """
    if job.recipe.lora:
        tunable(job.inspector.backbone)  # refused before anything is written
    checkpoint.open_folder(job.work)
    alone = checkpoint.locked(job.work) if job.processes.first else contextlib.nullcontext()
    with alone:
        return _run(job, follow, report)


def _run(job: Job, follow: Follow, report: Callable[[Row], None]) -> Trained:
    auxiliary, seen = survey(job.auxiliary)
    if job.objective.pixels:
        _check_masks(seen)
    job = replace(job, auxiliary=auxiliary)
    episodes, judged = job.auxiliary.episodes(job.recipe), job.auxiliary.judged(job.recipe)
    learner = _learner(job, follow)
    part = job.processes
    training = Run(
        job.work,
        job.identity(seen),
        lambda step: balanced(episodes.step(step), part.rank, part.size),
        (lambda: learner.auroc(judged)) if judged else None,
        part,
    )
    steps = (row for row in train(learner, job.recipe, training) if not _reported(row, report))
    for _ in follow(steps, job.recipe.epochs * job.recipe.steps, "training"):
        continue
    epochs = tuple(checkpoint.read_log(job.work)) if part.first else ()
    kept = kept_epoch(epochs)
    if isinstance(learner, TunedLearner):
        return Trained(learner.module.fusion, epochs, kept, seen.seen, learner.lora)
    return Trained(learner.module, epochs, kept, seen.seen)


def _check_masks(seen: Survey) -> None:
    """MissingData for a mask that does not say where the anomaly is; odd ones are warned of."""
    if seen.fault:
        raise MissingData(seen.fault)
    for note in seen.notes:
        logger.warning("%s", note)


def kept_epoch(epochs: Sequence[Row]) -> int:
    """The first of the best on the held-out set, or the last where none was held out; 0 of none."""
    judged = [row for row in epochs if "held_out_auroc" in row]
    best = max(judged, key=lambda row: row["held_out_auroc"], default=None)
    found = best or (epochs[-1] if epochs else {"epoch": 0})
    return int(found["epoch"])


def _reported(row: Row, report: Callable[[Row], None]) -> bool:
    """Whether a row is an epoch's and no step."""
    report(row)
    return "epoch" in row


def _learner(job: Job, follow: Follow) -> FrozenLearner | TunedLearner:
    prototypes = prototypes_of(job.inspector, job.auxiliary) if job.text else None
    if job.recipe.lora:
        examples = job.auxiliary.examples
        return new_tuned(job.inspector, examples, prototypes, job.recipe, job.objective, job.device)
    table = encode_all(
        job.inspector,
        job.auxiliary,
        job.recipe.seed,
        job.work,
        job.processes,
        lambda parts, total: follow(parts, total, "encoding"),
    )
    fusion = new_fusion(table, job.objective, job.recipe.seed).to(job.device)
    return FrozenLearner(fusion, table, prototypes, job.objective, job.device)
