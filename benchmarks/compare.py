"""Every detector on the same sets, shots and features: the tables of docs/comparison.md.

    python -m benchmarks.compare DATA [--backbone duo] [--seeds 3] [--results DIR]
        [--only ROW ...] [--write]

All see the layers that the backbone gives by default, at its size, the whole image (regad: the
convolutional tower of `duo` alone); shots of a seed are the same for all. Detectors with trained
adapters (coop, regad) are trained once for each set on the other sets, with the defaults of `inctrl
train` but for EPOCHS of regad, so that none has seen a set on which it is measured. Each cell is an
`inctrl evaluate` in a folder of --results, from which a second run goes on; --write puts the tables
into docs/comparison.md, the figures into docs/comparison.json.
"""

import argparse
import contextlib
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe
from inctrl.cli.main import run as inctrl
from inctrl.data.categories import Category
from inctrl.data.sources import read_data
from inctrl.resources import DEFAULT_BACKBONE

ROOT = Path(__file__).resolve().parent.parent
SHOTS = (1, 2, 4, 8)
LIGHT = ("textile_sim", "mnist_3", "mnist_7")
"""A simulated texture and two digits decide the plain mean; the second mean goes without."""
CACHE = "16"
"""GB: the features of all sets stay from one row to the next."""
EPOCHS = 16
"""Of regad: training runs through the tower forwards and backwards, a third of the default here."""


@dataclass(frozen=True)
class Contender:
    """A row: a detector, its options, how it is trained, and what to say of it."""

    name: str
    detector: str
    options: dict[str, str] = field(default_factory=dict)
    trained: tuple[str, ...] = ()
    note: str = ""


CONTENDERS = (
    Contender("incontext", "incontext", note="with the text prior"),
    Contender("incontext, no text", "incontext", {"text_weight": "0"}),
    Contender("winclip", "winclip"),
    Contender("patchcore", "patchcore", note="every shot kept whole"),
    Contender("patchcore, 10 %", "patchcore", {"keep_shots": "0"}),
    Contender("spade", "spade"),
    Contender("padim", "padim", note="all channels"),
    Contender("regad, untrained", "regad", note="PaDiM of all channels on 22 versions"),
    Contender("regad", "regad", trained=("regad", "--epochs", str(EPOCHS))),
    Contender("coop", "coop", trained=("coop",), note="shots take no part"),
    Contender("zeroshot", "zeroshot", note="shots take no part"),
)


def main() -> None:
    args = parse()
    args.results.mkdir(parents=True, exist_ok=True)
    sets = read_data(args.data)
    wanted = [c for c in CONTENDERS if not args.only or c.name in args.only]
    found: dict[str, dict[str, Any]] = {}
    for contender in wanted:
        found[contender.name] = {d.name: cell(contender, d, args) for d in sets}
    table = summary(found, [data.name for data in sets])
    print(f"\n{heading(args)}\n\n{table}")
    if args.write:
        write(found, table, args)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of sets in the layout of MVTec AD")
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path("runs", "compare"))
    parser.add_argument("--only", nargs="+", metavar="ROW")
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


def cell(contender: Contender, data: Category, args: argparse.Namespace) -> dict[str, Any]:
    """AUROCs of one detector on one set, seeds x shots in per cent; a finished one is kept."""
    out: Path = args.results / re.sub(
        r"\W+", "-", f"{contender.name} {data.name} {args.backbone} {args.seeds}"
    )
    if contender.trained:
        who = ["--adapter", trained(contender, data, args)]
    else:
        options = ",".join(f"{key}={value}" for key, value in contender.options.items())
        who = ["--detector", f"{contender.detector}:{options}" if options else contender.detector]
    command = ["evaluate", "--data", str(args.data), "--only", data.name, *who, "--out", str(out)]
    command += ["--seeds", str(args.seeds), "--shots", *map(str, SHOTS), "--quiet"]
    command += ["--backbone", args.backbone, "--cache-size", CACHE]
    with contextlib.redirect_stdout(io.StringIO()):
        code = inctrl(command)
    if code:
        raise SystemExit(code)
    found = json.loads((out / "results.json").read_text(encoding="utf-8"))
    kept = {name: figures(found, f"{name}_auroc", args.seeds) for name in ("image", "pixel")}
    means = np.array(kept["image"]).mean(axis=0)
    cells = "   ".join(f"k={k} {m:5.1f}" for k, m in zip(SHOTS, means, strict=True))
    print(f"{contender.name:20} {data.name:14} {cells}", flush=True)
    return kept


def figures(found: dict[str, Any], metric: str, seeds: int) -> list[list[float]] | None:
    """A figure of results.json, seeds x shots in per cent; None where it is undefined."""
    table = {(c["seed"], c["k"]): c["figures"][metric] for c in found["cells"]}
    if None in table.values():
        return None
    return [[100 * table[seed, k] for k in SHOTS] for seed in range(seeds)]


def trained(contender: Contender, data: Category, args: argparse.Namespace) -> str:
    """The adapter trained on all sets but this one."""
    folder = args.results / "adapters" / f"{contender.detector}-{args.backbone}-without-{data.name}"
    if not folder.is_dir():
        folder.parent.mkdir(exist_ok=True)
        command = ["train", *contender.trained, "--data", str(args.data), "--exclude", data.name]
        command += ["--backbone", args.backbone]
        with contextlib.redirect_stdout(io.StringIO()):
            code = inctrl([*command, "--out", str(folder), "--quiet"])
        if code:
            raise SystemExit(code)
    return str(folder)


def heading(args: argparse.Namespace) -> str:
    return f"{describe()}; {args.backbone}, seeds 0-{args.seeds - 1}, AUROC in per cent"


def summary(found: dict[str, dict[str, Any]], sets: list[str]) -> str:
    """Means over the sets, +- the standard deviation of that mean over the seeds."""
    heads = [f"k={k}" for k in SHOTS]
    lines = [
        "| detector | " + " | ".join(f"image {h}" for h in heads) + " | pixel k=1 | pixel k=8 |",
        "|---|" + "---|" * (len(heads) + 2),
    ]
    notes = {c.name: c.note for c in CONTENDERS}
    for name, cells in found.items():
        image = np.mean([cells[s]["image"] for s in sets], axis=0)
        masked = [cells[s]["pixel"] for s in sets if cells[s]["pixel"] is not None]
        pixel = np.mean(masked, axis=0)[:, [0, -1]] if masked else None
        values = [spread(image[:, i]) for i in range(image.shape[1])]
        values += [spread(pixel[:, i]) for i in (0, 1)] if pixel is not None else ["-", "-"]
        note = f" ({notes[name]})" if notes[name] else ""
        lines.append(f"| {name}{note} | " + " | ".join(values) + " |")
    return "\n".join(lines)


def per_set(found: dict[str, dict[str, Any]], name: str) -> str:
    """One set: image AUROC at each k, and pixel AUROC where it has masks."""
    heads = [f"k={k}" for k in SHOTS]
    masked = any(cells[name]["pixel"] is not None for cells in found.values())
    more = [f"pixel {h}" for h in heads] if masked else []
    lines = [
        "| detector | " + " | ".join(heads + more) + " |",
        "|---|" + "---|" * (len(heads) + len(more)),
    ]
    for detector, cells in found.items():
        rows = [cells[name]["image"], *([cells[name]["pixel"]] if masked else [])]
        values: list[str] = []
        for row in rows:
            array = None if row is None else np.array(row)
            values += (
                ["-"] * len(heads)
                if array is None
                else [spread(array[:, i]) for i in range(array.shape[1])]
            )
        lines.append(f"| {detector} | " + " | ".join(values) + " |")
    return "\n".join(lines)


def spread(values: NDArray[np.float64]) -> str:
    return f"{values.mean():.1f}±{values.std(ddof=1) if len(values) > 1 else 0:.1f}"


def write(found: dict[str, dict[str, Any]], table: str, args: argparse.Namespace) -> None:
    """docs/comparison.md and docs/comparison.json."""
    sets = list(next(iter(found.values())))
    light = [name for name in sets if name not in LIGHT]
    parts = [
        "# All detectors on equal features\n",
        "Written by `python -m benchmarks.compare DATA --write`, which says how.",
        f"{heading(args)}.\n",
        f"## Mean of {len(sets)} sets\n\n{table}\n",
        f"## Mean of {len(light)}, without {', '.join(LIGHT)}\n\n{summary(found, light)}\n",
        *(f"## {name}\n\n{per_set(found, name)}\n" for name in sets),
    ]
    (ROOT / "docs" / "comparison.md").write_text("\n".join(parts), encoding="utf-8")
    figures = {"heading": heading(args), "shots": SHOTS, "auroc": found}
    (ROOT / "docs" / "comparison.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
