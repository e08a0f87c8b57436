"""`inctrl train coop`: learn the context of prompts on labelled sets (CoOp, IJCV 2022).

The test images of each set are the examples, the name of the set is the item. Sets of the items
that will be inspected do not belong among them.
"""

import argparse
from typing import TYPE_CHECKING, Any

from inctrl.cli.options import (
    add_backbone_options,
    add_cache,
    add_command,
    backbone_arguments,
    refuse_not_positive,
)
from inctrl.cli.output import say
from inctrl.cli.progress import tracked
from inctrl.cli.train import (
    add_seed_and_fit,
    add_set_options,
    chosen_sets,
    followed,
    fresh_folder,
)
from inctrl.errors import UsageError

if TYPE_CHECKING:
    from inctrl.adapters.file import AdapterConfig
    from inctrl.data.categories import Category
    from inctrl.inspection.inspector import Inspector
    from inctrl.training.prompt_context import Examples

EPOCHS = 50
EXAMPLES = """examples:
  inctrl train coop --data sets/ --exclude hazelnut --name prompts
  inctrl detect incoming/ --adapter prompts --item hazelnut
"""


def register(methods: "argparse._SubParsersAction[Any]") -> None:
    add_command(
        methods,
        "coop",
        run,
        "learned prompts, for any item; needs images of both classes",
        __doc__,
        add_set_options,
        _add_training_options,
        add_backbone_options,
        examples=EXAMPLES,
    )


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training")
    group.add_argument(
        "--epochs", type=int, default=EPOCHS, help=f"passes over the examples (default: {EPOCHS})"
    )
    group.add_argument(
        "--context-length", type=int, metavar="M", help="number of learned vectors (default: 16)"
    )
    group.add_argument(
        "--position",
        choices=("end", "middle", "front"),
        default="end",
        help="of the class name among the vectors (default: end)",
    )
    group.add_argument("--csc", action="store_true", help="a context of its own for each class")
    group.add_argument(
        "--init", metavar="WORDS", help="start from these words, a vector a token (default: random)"
    )
    add_seed_and_fit(group, "first vectors")
    add_cache(group)


def run(args: argparse.Namespace) -> int:
    from inctrl.adapters import file
    from inctrl.inspection.inspector import Inspector
    from inctrl.training import prompt_context as training
    from inctrl.training.card import config_for

    sets, path = chosen_sets(args), fresh_folder(args)
    _refuse_numbers(args)
    training.refuse_one_class(sets)
    inspector = Inspector.load(
        detector="zeroshot",
        cache=args.cache,
        **backbone_arguments(args),
    )
    context = training.first_context(
        inspector.backbone,
        length=args.context_length,
        words=args.init,
        own=args.csc,
        position=args.position,
        seed=args.seed,
    )
    training.refuse_long_names(inspector.backbone, context, [data.words for data in sets])
    examples = _examples(inspector, sets, args.quiet)
    recipe = training.Recipe(epochs=args.epochs, seed=args.seed)
    total = training.steps(examples, recipe)
    descent = training.train(inspector.backbone, context, examples, recipe)
    config = config_for(
        "coop",
        inspector.backbone,
        kind="prompt_context",
        shape=context.shape,
        text=True,
        fit=inspector.fit_mode,
        data=[data.name for data in sets],
        seed=args.seed,
        metrics=followed(descent, total, args.epochs, args.quiet),
    )
    file.save(path, config, context, _card(config, path.name, examples, args.init))
    say(f"{path}\n")
    return 0


def _refuse_numbers(args: argparse.Namespace) -> None:
    if args.epochs < 2:
        raise UsageError(f"--epochs {args.epochs}: the first only warms up; give 2 or more")
    refuse_not_positive(args, "context_length")


def _examples(inspector: "Inspector", sets: "list[Category]", quiet: bool) -> "Examples":
    from inctrl.training.prompt_context import encode_examples, joined

    count = sum(-(-len(data.test) // inspector.batch) for data in sets)
    return joined(list(tracked(encode_examples(inspector, sets), count, "encoding", quiet)))


def _card(config: "AdapterConfig", name: str, examples: "Examples", words: str | None) -> str:
    shape, metrics = config.shape, config.metrics
    anomalous = int(examples.anomalous.sum())
    shared = "shared by both classes" if shape["contexts"] == 1 else "for each class"
    begun = f"the words {words!r}" if words else "random vectors"
    return (
        f"# {name}\n\nPrompts learned by CoOp (IJCV 2022), for any item:\n\n"
        f"    inctrl detect QUERY... --adapter {name} --item NAME\n\n"
        f"- Backbone: {config.backbone}, {config.image_size} px, fit {config.fit}.\n"
        f"- Context: {shape['length']} vectors of {shape['width']} {shared}, class name at the "
        f"{shape['position']}, temperature {shape['temperature']:g}; begun from {begun}.\n"
        f"- Data: {config.data}; {len(examples.images) - anomalous} normal and {anomalous} "
        "anomalous images. They were trained on: do not measure on them.\n"
        f"- Training: {metrics['epochs']} epochs, {metrics['steps']} steps, seed {config.seed}; "
        f"mean cross entropy of the last epoch {metrics['loss']:.4f}.\n\n"
        "Image scores only; there is no map.\n"
    )
