"""`inctrl train inctrl`: train InCTRL's adapter on labelled sets (CVPR 2024), for any item.

All images of the sets are examples: normal ones and, where a set has none that are anomalous, ones
with drawn defects. Sets of the items that will be inspected do not belong among them. A training
that was killed goes on where it was when the same command is given again, with the same result.
Several processes train as one: `torchrun --nproc-per-node N -m inctrl train ...`.
"""

import argparse
import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inctrl.cli.options import (
    add_backbone_options,
    add_cache,
    add_command,
    add_domain,
    backbone_arguments,
    refuse_not_positive,
)
from inctrl.cli.output import say
from inctrl.cli.progress import lines, tensorboard, tracked
from inctrl.cli.train import (
    add_seed_and_fit,
    add_set_options,
    chosen_sets,
    fresh_folder,
)
from inctrl.errors import UsageError

if TYPE_CHECKING:
    from inctrl.data.categories import Category
    from inctrl.training.job import Job
    from inctrl.training.loop import Recipe

logger = logging.getLogger("inctrl")
EXAMPLES = """examples:
  inctrl train --data sets/ --exclude hazelnut --shots 2 4 8 --name mine
  inctrl train --data visa:VisA --hold-out candle --patience 3 --pixels 1 --name industrial
  inctrl train --data sets/ --lora 4 --name tuned
  inctrl detect incoming/ --normal good/ --adapter mine
"""


def register(methods: "argparse._SubParsersAction[Any]") -> None:
    add_command(
        methods,
        "inctrl",
        run,
        "InCTRL's bottleneck and heads, for any item (the default method)",
        __doc__,
        add_set_options,
        _add_example_options,
        _add_training_options,
        _add_tower_options,
        add_backbone_options,
        examples=EXAMPLES,
    )


def _add_tower_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "the image tower",
        "It stays frozen unless low-rank updates of it (LoRA) are trained too. Every step then\n"
        "encodes its images anew, with gradients, instead of looking features up: it takes\n"
        "hundreds of times as long (with tiny on a CPU some ten seconds), and time and memory\n"
        "grow with --batch and --shots.",
    )
    group.add_argument(
        "--lora", type=int, default=0, metavar="RANK", help="rank of the updates (default: 0, off)"
    )
    group.add_argument(
        "--lora-alpha",
        type=float,
        metavar="A",
        help="the updates count A / RANK (default: RANK, so that --rate means the same at any "
        "rank)",
    )


def _add_example_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is learned from")
    group.add_argument(
        "--hold-out", metavar="SET", help="a set that is not trained on and tells the best epoch"
    )
    group.add_argument(
        "--synthetic",
        choices=("auto", "all", "none"),
        default="auto",
        help="draw defects on the normal images of sets without anomalous ones, of all, or of none "
        "(default: auto)",
    )
    group.add_argument(
        "--versions", type=int, default=2, help="drawn defects of each image (default: 2)"
    )
    group.add_argument("--no-text", action="store_true", help="train without the text prior")
    add_domain(group)


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training")
    group.add_argument("--epochs", type=int, default=10, help="default: 10")
    group.add_argument("--steps", type=int, default=100, help="of an epoch (default: 100)")
    # A destination of its own: the setting `batch` is how many images are encoded at a time.
    group.add_argument(
        "--batch",
        dest="queries",
        metavar="N",
        type=int,
        default=16,
        help="queries of a step (default: 16)",
    )
    group.add_argument(
        "--shots", type=int, nargs="+", default=[2], metavar="K", help="drawn of these (default: 2)"
    )
    group.add_argument("--rate", type=float, default=1e-3, help="learning rate (default: 1e-3)")
    group.add_argument("--decay", type=float, default=0.01, help="weight decay (default: 0.01)")
    group.add_argument(
        "--loss",
        choices=("released", "focal", "bce"),
        default="released",
        help="released: focal, with the sigmoid taken twice (default)",
    )
    group.add_argument(
        "--pixels", type=float, default=0.0, metavar="W", help="weight of the map's loss on masks"
    )
    group.add_argument(
        "--grouping",
        choices=("per_query", "released"),
        default="per_query",
        help="released: queries meet scrambled shots, as in the released code",
    )
    group.add_argument(
        "--own-shots", action="store_true", help="a query may be its own shot, as released"
    )
    group.add_argument("--clip", type=float, default=0.0, help="longest gradient (default: any)")
    group.add_argument(
        "--patience", type=int, default=0, help="epochs without gain on --hold-out before the end"
    )
    group.add_argument("--tensorboard", type=Path, metavar="DIR", help="write the losses there")
    add_seed_and_fit(group, "first weights, defects")
    add_cache(group)


def run(args: argparse.Namespace) -> int:
    from inctrl.backbones.weights import resolved_device
    from inctrl.inspection.inspector import Inspector
    from inctrl.training.auxiliary import gather
    from inctrl.training.fusion import Objective
    from inctrl.training.job import Job
    from inctrl.training.processes import joined

    path, recipe = fresh_folder(args), _recipe(args)
    versions = 0 if args.synthetic == "none" else args.versions
    sets = chosen_sets(args, labelled=False)
    if args.pixels:
        _warn_of_masks(sets)
    auxiliary = gather(
        sets,
        args.hold_out,
        versions,
        everywhere=args.synthetic == "all",
    )
    auxiliary.episodes(recipe)  # what cannot be drawn is told before anything is encoded
    with joined() as processes:
        inspector = Inspector.load(
            domain=args.domain,
            cache=args.cache,
            **backbone_arguments(args),
        )
        job = Job(
            inspector,
            auxiliary,
            recipe,
            Objective(args.loss, args.grouping, args.pixels),
            path.with_name(f"{path.name}.training"),
            not args.no_text,
            processes,
            resolved_device(args.device),
        )
        _run(job, path, args)
    return 0


def _warn_of_masks(sets: "list[Category]") -> None:
    from inctrl.data.masks import unmasked

    for note in filter(None, map(unmasked, sets)):
        logger.warning("%s: where these are anomalous is not learned", note)


def _run(job: "Job", path: Path, args: argparse.Namespace) -> None:
    """Train, write the adapter, and clear away what a kill would have needed."""
    from inctrl.adapters import file
    from inctrl.training import checkpoint
    from inctrl.training import job as program
    from inctrl.training.card import card, config_of

    def follow(parts: Iterable[Any], total: int, what: str) -> Iterable[Any]:
        # Steps know their number, which is not 1 where a killed training goes on.
        place = (lambda row: int(row["step"])) if what == "training" else None
        return tracked(parts, total, what, args.quiet, place) if job.processes.first else parts

    def tell(row: Mapping[str, Any]) -> None:
        report(dict(row))
        if job.processes.first:
            lines().row(row)

    with tensorboard(args.tensorboard if job.processes.first else None) as report:
        trained = program.run(job, follow, tell)
    if job.processes.first:
        config = config_of(job, trained)
        page = card(config, path.name, job, trained)
        file.save(path, config, trained.fusion, page, trained.lora)
        checkpoint.remove_folder(job.work)
        say(f"{path}\n")


def _recipe(args: argparse.Namespace) -> "Recipe":
    from inctrl.training.loop import Recipe

    refuse_not_positive(args, "epochs", "steps", "rate")
    if args.rate > 1:
        raise UsageError(f"--rate {args.rate:g} is above 1, at which nothing is learned")
    for name in ("versions", "decay", "pixels", "clip", "patience"):
        if not 0 <= getattr(args, name) < math.inf:
            raise UsageError(f"--{name} {getattr(args, name)} is not a number from 0 on")
    if args.synthetic == "all" and not args.versions:
        raise UsageError("--synthetic all with --versions 0 draws nothing; leave one of them out")
    if args.queries < 4 or args.queries % 2:
        raise UsageError(
            f"--batch {args.queries}: half of it is normal and half anomalous, and batch norm "
            "needs more than a pair; give an even number from 4 on"
        )
    if min(args.shots) < 1:
        raise UsageError(f"--shots {min(args.shots)} is not a positive number")
    if args.patience and args.hold_out is None:
        raise UsageError("--patience counts epochs without gain on a held-out set; give --hold-out")
    return Recipe(
        args.epochs,
        args.steps,
        args.queries,
        tuple(dict.fromkeys(args.shots)),
        args.rate,
        args.decay,
        args.own_shots,
        args.clip,
        args.patience,
        args.seed,
        save=10 if args.lora else Recipe.save,  # its steps are long, and a kill loses them
        lora=args.lora,
        lora_alpha=_lora_alpha(args),
    )


def _lora_alpha(args: argparse.Namespace) -> float:
    """Checked; equal to the rank where it is not given, as the update then counts as it is."""
    if args.lora < 0:
        raise UsageError(f"--lora {args.lora} is below 0")
    if args.lora_alpha is None:
        return float(args.lora)
    if not args.lora:
        raise UsageError("--lora-alpha weighs low-rank updates; give their rank with --lora")
    refuse_not_positive(args, "lora_alpha")
    alpha: float = args.lora_alpha
    return alpha
