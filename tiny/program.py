"""The training program of `tiny`: from captioned images and a sentence encoder to its weights.

text    a small text tower is distilled from the teacher      OUT/work/text
images  the frozen image tower sees every image, and damage   OUT/work/images
heads   the joint space is trained on both                    OUT/weights.safetensors, training.json

Each stage is resumed where it was killed and left out where it is done.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from rich.progress import Progress
from torch import Tensor

from inctrl.backbones.tiny.backbone import DESCRIBED
from inctrl.backbones.tiny.joint import PREFIX, VOTES, JointSpace
from inctrl.backbones.tiny.text import CONFIG, TOKENIZER, WEIGHTS, TextTower, read_tokenizer
from inctrl.backbones.tiny.tower import load_tower
from inctrl.backbones.weights import resolved_device
from inctrl.errors import UsageError
from inctrl.files.tensors import read_state
from inctrl.files.whole import write_file
from inctrl.machine import machine
from tiny import image_features
from tiny.content import train_content
from tiny.distil import LEXICON, train_text_tower
from tiny.recipe import SMOKE, Recipe
from tiny.sentences import inspected
from tiny.shards import Captioned, read_records
from tiny.splits import Split
from tiny.state import forget_state, state_sentences, train_damage, train_wording
from tiny.vocabulary import frequent_words

RECORD = "training.json"
LOG = "log.jsonl"
STANDARDS = ("joint.mean", "joint.deviation")
"""Kept in single precision: they span orders of magnitude."""


@dataclass(frozen=True)
class Job:
    """What a training starts from; `sources` are those of the records that it may train on."""

    out: Path
    shards: Path
    teacher: Path
    sources: tuple[str, ...]
    recipe: Recipe
    device: str = "auto"

    @property
    def smoke(self) -> bool:
        return replace(self.recipe, seed=SMOKE.seed) == SMOKE

    @property
    def identity(self) -> dict[str, Any]:
        """What the weights follow from; a folder of another one is not continued."""
        return {"sources": list(self.sources), "recipe": asdict(self.recipe)}


def train(job: Job, bar: Progress) -> None:
    """Run every stage; UsageError where the folder belongs to another training."""
    began, work = time.monotonic(), job.out / "work"
    records = read_records(job.shards, job.sources)
    free = [record for record in records if record.free]
    split = Split.of(free)
    if not any(record.label and split.trains_content(record) for record in free):
        raise UsageError(
            f"no labelled image in {str(job.shards)!r} is of {', '.join(job.sources)}; "
            "give --sources with labels"
        )
    resumed = _resumed(job, work, free)
    text = work / "text"
    if not (text / "figures.json").is_file():
        train_text_tower(
            text,
            job.teacher,
            records,
            bar,
            steps=job.recipe.text_steps,
            batch=job.recipe.batch,
            seed=job.recipe.seed,
            device=job.device,
            smoke=job.smoke,
        )
    tower = load_tower(None, DESCRIBED, resolved_device(job.device))
    task = bar.add_task("seeing images", total=len(free))
    for done in image_features.extract(tower, job.shards, free, work / "images", job.recipe.seed):
        bar.update(task, completed=done)
    features = image_features.load(work / "images", len(free))
    head = tower.classifier.weight.detach().cpu()
    space = _heads(job, free, features, head, bar)
    for name in (CONFIG, TOKENIZER):
        (job.out / name).write_bytes((text / name).read_bytes())
    joint = {PREFIX + name: tensor for name, tensor in space.state_dict().items()}
    _write(job.out / WEIGHTS, {**read_state(text / WEIGHTS), **joint})
    stored = {
        **job.identity,
        "images": len(free),
        "seconds": None if resumed else round(time.monotonic() - began),
        "machine": machine(),
        "text": json.loads((text / "figures.json").read_text(encoding="utf-8")),
    }
    (job.out / RECORD).write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")


def _heads(
    job: Job,
    records: Sequence[Captioned],
    features: image_features.ImageFeatures,
    class_weights: Tensor,
    bar: Progress,
) -> JointSpace:
    """Seconds of work, on the CPU, so that it is done anew rather than resumed."""
    recipe, text = job.recipe, job.out / "work" / "text"
    tower = TextTower.load(text, "cpu")
    words = frequent_words(read_tokenizer(text / TOKENIZER), LEXICON)
    sentences = state_sentences(inspected(records), words, recipe.sentences, recipe.seed)
    split = Split.of(records)
    rows = torch.tensor([i for i, record in enumerate(records) if split.trains_state(record)])

    def meaning(said: Sequence[str]) -> Tensor:
        return tower(said).clone()  # out of inference mode

    torch.manual_seed(recipe.seed)
    space = JointSpace()
    stages: dict[str, tuple[int, Iterator[float]]] = {
        "content": (
            recipe.content_steps,
            train_content(space, features.pooled, records, class_weights, meaning, recipe),
        ),
        "damage": (VOTES * recipe.damage_steps, train_damage(space, features, rows, recipe)),
        "wording": (recipe.wording_steps, train_wording(space, sentences, meaning, recipe)),
    }
    with (job.out / "work" / LOG).open("w", encoding="utf-8") as log:
        for name, (steps, losses) in stages.items():
            for step, loss in enumerate(bar.track(losses, total=steps, description=name), 1):
                log.write(json.dumps({"stage": name, "step": step, "loss": loss}) + "\n")
    forget_state(space, sentences, meaning)
    return space.eval()


def _resumed(job: Job, work: Path, records: Sequence[Captioned]) -> bool:
    """Whether the folder holds a part of the same training; UsageError where it is another's."""
    listed = json.dumps([asdict(record) for record in records])
    digest = hashlib.sha256(listed.encode()).hexdigest()
    note, identity = work / "job.json", json.loads(json.dumps(job.identity | {"records": digest}))
    if not note.is_file():
        work.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(identity, indent=2) + "\n", encoding="utf-8")
        return False
    if identity | json.loads(note.read_text(encoding="utf-8")) != identity:
        raise UsageError(
            f"{str(job.out)!r} holds a training with another recipe, other sources or other "
            "images; give a fresh folder"
        )
    return True


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    """Half precision but for STANDARDS; renamed into place when complete."""
    stored = {
        name: (tensor if name in STANDARDS else tensor.half()).contiguous()
        for name, tensor in tensors.items()
    }
    write_file(path, safetensors.torch.save(stored))
