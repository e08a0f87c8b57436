"""`inctrl train regad`: learn to register images of one item onto each other (RegAD, ECCV 2022).

The normal images (train/good) of each set are the examples; no test image is looked at. Sets of
the items that will be inspected do not belong among them.
"""

import argparse
from typing import TYPE_CHECKING, Any

from inctrl.cli.options import (
    add_backbone_options,
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
    from inctrl.training.registration import Recipe

EXAMPLES = """examples:
  inctrl train regad --data sets/ --exclude hazelnut --shots 4 --name registered
  inctrl detect incoming/ --normal good/ --adapter registered
"""


def register(methods: "argparse._SubParsersAction[Any]") -> None:
    add_command(
        methods,
        "regad",
        run,
        "registration, for any item; needs normal images only",
        __doc__,
        add_set_options,
        _add_training_options,
        add_backbone_options,
        examples=EXAMPLES,
    )


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training")
    group.add_argument(
        "--epochs", type=int, default=50, help="passes over the images (default: 50)"
    )
    group.add_argument(
        "--shots", type=int, default=2, metavar="K", help="images a query meets (default: 2)"
    )
    group.add_argument("--batch", type=int, default=32, help="queries of a step (default: 32)")
    group.add_argument("--rate", type=float, default=1e-4, help="learning rate (default: 1e-4)")
    group.add_argument(
        "--mode",
        default="rotation_scale",
        help="what may be done to a map: affine, or translation, rotation, scale, shear and some "
        "joined by _ (default: rotation_scale)",
    )
    add_seed_and_fit(group, "first weights")


def run(args: argparse.Namespace) -> int:
    from inctrl.adapters import file
    from inctrl.inspection.inspector import Inspector
    from inctrl.training import registration as training
    from inctrl.training.card import config_for

    sets, path, recipe = chosen_sets(args, labelled=False), fresh_folder(args), _recipe(args)
    training.refuse_few(sets, recipe.shots)
    backbone = Inspector.load(
        detector="regad",
        cache="off",
        **backbone_arguments(args),
    ).backbone
    module = training.new_registration(backbone, args.mode, recipe.seed)
    reading = (training.first_maps(backbone, data, args.fit) for data in sets)
    normals = list(tracked(reading, len(sets), "reading", args.quiet))
    total = training.steps([len(maps) for maps in normals], recipe)
    descent = training.train(backbone, module, normals, recipe)
    config = config_for(
        "regad",
        backbone,
        kind="registration",
        shape=module.shape,
        text=False,
        fit=args.fit,
        data=[data.name for data in sets],
        seed=recipe.seed,
        metrics=followed(descent, total, recipe.epochs, args.quiet),
        shots=(recipe.shots,),
    )
    file.save(path, config, module, _card(config, path.name, recipe, sum(map(len, normals))))
    say(f"{path}\n")
    return 0


def _recipe(args: argparse.Namespace) -> "Recipe":
    from inctrl.maths.warps import MODES
    from inctrl.registry import unknown
    from inctrl.training.registration import Recipe

    if args.mode not in MODES:
        raise unknown(args.mode, MODES, "mode")
    if args.epochs < 2:
        raise UsageError(f"--epochs {args.epochs}: the rate falls to 0 in the last; give 2 or more")
    refuse_not_positive(args, "shots", "batch", "rate")
    return Recipe(args.epochs, args.shots, args.batch, args.rate, args.seed)


def _card(config: "AdapterConfig", name: str, recipe: "Recipe", images: int) -> str:
    shape, metrics = config.shape, config.metrics
    return (
        f"# {name}\n\nRegistration learned as in RegAD (ECCV 2022), for any item:\n\n"
        f"    inctrl detect QUERY... --normal DIR --adapter {name}\n\n"
        f"- Backbone: {config.backbone}, {config.image_size} px, fit {config.fit}, layers "
        f"{', '.join(config.layers)}; it was kept frozen.\n"
        f"- Spatial transformers: mode {shape['mode']}, one a layer.\n"
        f"- Data: {images} normal images of {config.data}; no test image was looked at.\n"
        f"- Training: {metrics['epochs']} epochs, {metrics['steps']} steps of up to "
        f"{recipe.batch} queries with {recipe.shots} supports, SGD at {recipe.rate:g}, seed "
        f"{config.seed}; mean loss of the last epoch {metrics['loss']:.4f} (-1 is the least).\n"
    )
