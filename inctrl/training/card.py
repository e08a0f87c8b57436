"""What a trained adapter says of itself: its config, and of InCTRL's the page for people."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from inctrl.adapters.file import AdapterConfig
from inctrl.adapters.lora import Lora
from inctrl.protocols import Backbone
from inctrl.training.episodes import Members
from inctrl.training.job import Job, Trained
from inctrl.training.loop import Row
from inctrl.version import __version__

SHOWN = 20
"""Epochs that the card shows; of more, an even choice."""
APART = ("save", "lora", "lora_alpha")
"""Of the recipe: what no result depends on, and what the config tells elsewhere."""


def config_for(
    method: str, backbone: Backbone, *, data: Iterable[str], **fields: Any
) -> AdapterConfig:
    """The config of what `inctrl train METHOD` has made for a backbone.

    data     names of the sets
    fields   further ones of AdapterConfig
    """
    return AdapterConfig(
        backbone=backbone.name,
        fingerprint=backbone.fingerprint,
        image_size=backbone.image_size,
        layers=backbone.layers,
        precision=backbone.precision,
        data=", ".join(data),
        source=f"trained by `inctrl train {method}`, inctrl {__version__}",
        **fields,
    )


def config_of(job: Job, trained: Trained) -> AdapterConfig:
    """The config of the adapter; nothing in it depends on when or how often it was run."""
    inspector, recipe = job.inspector, job.recipe
    kept = next((row for row in trained.epochs if row["epoch"] == trained.kept), {})
    figures = {name: value for name, value in kept.items() if name != "step"}
    settings = {name: value for name, value in asdict(recipe).items() if name not in APART}
    return config_for(
        "inctrl",
        inspector.backbone,
        kind="inctrl",
        shape=trained.fusion.shape,
        text=job.text and inspector.backbone.has_text,
        fit=inspector.fit_mode,
        shots=recipe.shots,
        data=[members.name for members in job.auxiliary.trained],
        images=trained.seen,
        seed=recipe.seed,
        metrics=figures,
        recipe={
            **settings,
            **asdict(job.objective),
            "processes": job.processes.size,
            "held_out": job.auxiliary.members[-1].name if job.auxiliary.held_out else None,
        },
        lora=trained.lora.shape.described if trained.lora else {},
    )


def card(config: AdapterConfig, name: str, job: Job, trained: Trained) -> str:
    """README.md of the adapter: how to use it, what it was trained on, how, and what came of it."""
    recipe, objective = job.recipe, job.objective
    shots = " or ".join(map(str, recipe.shots))
    prior = f"with the sentences {job.inspector.bank.name!r}" if config.text else "off"
    held = job.auxiliary.members[-1].name if job.auxiliary.held_out else None
    judged = f"; {held} was held out and chose the epoch" if held else "; the last epoch was kept"
    scrambled = "" if objective.grouping == "per_query" else " Shots scrambled as in the release."
    pixels = f" Map loss on masks, weight {objective.pixels:g}." if objective.pixels else ""
    parts = [
        f"# {name}\n",
        "InCTRL (CVPR 2024): the bottleneck and the two heads, for any item.\n",
        f"    inctrl detect QUERY... --normal DIR --adapter {name}\n",
        f"- Backbone: {config.backbone}, {config.image_size} px, fit {config.fit}, layers "
        f"{', '.join(config.layers)}, fingerprint {config.fingerprint}; it was kept frozen"
        f"{_updates(trained.lora)}.",
        f"- Text prior: {prior}.",
        f"- Seed {recipe.seed}; {recipe.steps} steps an epoch of {recipe.batch} queries, half "
        f"normal, half anomalous, with {shots} shots; loss {objective.loss!r}, AdamW at "
        f"{recipe.rate:g}, decay {recipe.decay:g}.{scrambled}{pixels}",
        f"- Weights of epoch {trained.kept} of {len(trained.epochs)}{judged}.",
        "- They were trained on the data below: figures measured on it say nothing.\n",
        _data(job.auxiliary.trained, job),
        _epochs(trained.epochs),
        "The adapter is subject to the terms of the data it was trained on.\n",
    ]
    return "\n".join(parts)


def _updates(lora: Lora | None) -> str:
    if lora is None:
        return ""
    shape = lora.shape
    return (
        f" but for low-rank updates of its image tower (LoRA, rank {shape.rank}, alpha "
        f"{shape.alpha:g}, {len(shape.targets)} modules), which are part of the adapter"
    )


def _data(trained: Sequence[Members], job: Job) -> str:
    lines = ["| trained on | normal images | anomalous | with drawn defects |", "|---|---|---|---|"]
    for members in trained:
        drawn = sum(job.auxiliary.examples[i].version is not None for i in members.anomalous)
        lines.append(
            f"| {members.name} | {len(members.normal)} | {len(members.anomalous) - drawn} | "
            f"{drawn} |"
        )
    return "\n".join(lines) + "\n"


def _epochs(rows: Sequence[Row]) -> str:
    shown = rows[:: max(1, -(-len(rows) // SHOWN))]
    lines = [
        "| epoch | loss | of the score | of the image score | held-out AUROC |",
        "|" + "---|" * 5,
    ]
    for row in shown:
        held = f"{100 * row['held_out_auroc']:.1f}" if "held_out_auroc" in row else "-"
        figures = " | ".join(f"{row[name]:.4f}" for name in ("loss", "final", "image"))
        lines.append(f"| {row['epoch']} | {figures} | {held} |")
    return "\n".join(lines) + "\n"
