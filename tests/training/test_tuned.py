"""Training that alters the image tower too: `tiny` at a small size, on a few made images."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from torch import Tensor, nn

from inctrl.adapters import file
from inctrl.backbones.cache import FeatureCache
from inctrl.backbones.features import Tally
from inctrl.backbones.lowrank import lowrank, targets_of, tunable
from inctrl.backbones.rewired import RewiredBackbone
from inctrl.cli.main import run as command
from inctrl.data.sources import read_data
from inctrl.errors import UsageError
from inctrl.inspection.inspector import Inspector
from inctrl.maths.neighbours import unit
from inctrl.protocols import Tunable
from inctrl.training import job as program
from inctrl.training.auxiliary import Auxiliary, gather, prototypes_of
from inctrl.training.card import card, config_of
from inctrl.training.episodes import Draw
from inctrl.training.examples import Table, encode_examples, open_example
from inctrl.training.fusion import FrozenLearner, Objective, new_fusion
from inctrl.training.job import Job, Trained
from inctrl.training.loop import Recipe, Row
from inctrl.training.tuned import TunedLearner, new_tuned

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=2, steps=3, batch=4, shots=(2,), save=2, lora=2, lora_alpha=2.0)
OBJECTIVE = Objective(pixels=1.0)
PARTS = ("total", "final", "image", "pixels")


def write(path: Path, seed: int, bar: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(90, 160, (48, 64, 3), dtype=np.uint8)
    if bar:
        pixels[:24, : 8 + 8 * (seed % 3)] //= 2
    PIL.Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tile` has defects, of which two have masks; `clean` gets drawn ones."""
    root = tmp_path_factory.mktemp("sets")
    for i in range(4):
        write(root / f"tile/train/good/{i}.png", i)
        write(root / f"clean/train/good/{i}.png", 10 + i)
        write(root / f"tile/test/bar/{i}.png", 20 + i, bar=True)
    mask = np.zeros((48, 64), dtype=np.uint8)
    mask[:24, :16] = 255
    (root / "tile/ground_truth/bar").mkdir(parents=True)
    for i in range(2):
        PIL.Image.fromarray(mask).save(root / f"tile/ground_truth/bar/{i}_mask.png")
    return root


@pytest.fixture(scope="module")
def inspector() -> Inspector:
    return Inspector.load("tiny", image_size=64, device="cpu", cache="off")


def gathered(root: Path, hold_out: str | None = None) -> Auxiliary:
    return gather(read_data(root, labelled=False), hold_out, 1, everywhere=False)


def learner_of(inspector: Inspector, examples: Auxiliary, moved: bool = False) -> TunedLearner:
    """`moved`: with updates that have changed the tower."""
    prototypes = prototypes_of(inspector, examples)
    made = new_tuned(inspector, examples.examples, prototypes, RECIPE, OBJECTIVE, CPU)
    random = torch.Generator().manual_seed(0)
    if moved:
        for update in made.module.updates:
            update.data = 0.2 * torch.randn(update.shape, generator=random)
    return made


def frozen(inspector: Inspector, examples: Auxiliary, fusion: nn.Module) -> FrozenLearner:
    """The same fusion on a table of the inspector's features, image by image."""
    seen = [next(encode_examples(inspector, [e], RECIPE.seed)) for e in examples.examples]
    table = Table(
        tuple(unit(torch.cat(p)) for p in zip(*(f.patches for f, _ in seen), strict=True)),
        torch.cat([features.image for features, _ in seen]),
        torch.cat([shares for _, shares in seen]),
    )
    prototypes = prototypes_of(inspector, examples)
    return FrozenLearner(fusion, table, prototypes, OBJECTIVE, CPU)  # type: ignore[arg-type]


def tower(learner: TunedLearner) -> Tunable:
    backbone = learner.inspector.backbone
    assert isinstance(backbone, RewiredBackbone)
    return tunable(backbone._backbone)


# A step


def test_untrained_it_has_the_losses_of_a_frozen_tower(inspector: Inspector, root: Path) -> None:
    examples = gathered(root)
    learner = learner_of(inspector, examples)
    other = frozen(inspector, examples, learner.module.fusion)
    for step in range(3):
        draw = examples.episodes(RECIPE).step(step)
        seen, expected = learner.loss(draw), other.loss(draw)
        for part in PARTS:
            torch.testing.assert_close(getattr(seen, part), getattr(expected, part))
        assert expected.pixels > 0


def test_its_first_fusion_is_that_of_a_frozen_training(inspector: Inspector, root: Path) -> None:
    examples = gathered(root)
    ours = learner_of(inspector, examples).module.fusion.state_dict()
    table = frozen(inspector, examples, nn.Identity()).table
    theirs = new_fusion(table, OBJECTIVE, RECIPE.seed).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_gradients_are_those_of_every_image_encoded_by_itself_and_all_kept(
    inspector: Inspector, root: Path
) -> None:
    """The plain loop: no image is encoded once for several uses, nothing is computed again."""
    examples = gathered(root)
    learner = learner_of(inspector, examples, moved=True)
    learner.module.fusion.eval()  # a batch norm of four rows makes much of rounding
    parameters = list(learner.module.parameters())
    draw = examples.episodes(RECIPE).step(1)
    seen = torch.autograd.grad(learner.loss(draw).total, parameters)

    def token_and_patches(number: Tensor) -> tuple[Tensor, ...]:
        image, _ = open_example(examples.examples[int(number)], RECIPE.seed)
        features = tower(learner).encode_traced(inspector.backbone.preprocessing([image], "squash"))
        return (*map(unit, features.patches), features.image)

    numbers = torch.cat([draw.queries, draw.shots.flatten()])
    *patches, tokens = map(torch.cat, zip(*map(token_and_patches, numbers), strict=True))
    whole = frozen(inspector, examples, nn.Identity()).table.shares[numbers]
    table = Table(tuple(patches), tokens, whole)
    by_hand = FrozenLearner(learner.module.fusion, table, learner.prototypes, OBJECTIVE, CPU)
    rows = torch.arange(len(numbers))
    b = len(draw.queries)
    placed = Draw(rows[:b], draw.labels, rows[b:].reshape(draw.shots.shape), draw.categories)
    expected = torch.autograd.grad(by_hand.loss(placed).total, parameters)
    for ours, theirs in zip(seen, expected, strict=True):
        assert theirs.abs().max() > 0
        # Which shot patch is the nearest may change with the last bits.
        close = theirs.abs().max().item() * 1e-2
        torch.testing.assert_close(ours, theirs, atol=close, rtol=1e-2)


def test_gradients_are_the_same_bits_each_time_with_several_threads(
    inspector: Inspector, root: Path
) -> None:
    """Images that a step uses often: their gradients are added up in one order."""
    examples = gathered(root)
    learner = learner_of(inspector, examples, moved=True)
    few = examples.episodes(RECIPE).step(0)
    draw = Draw(
        few.queries.repeat(8),
        few.labels.repeat(8),
        few.shots.repeat(8, 1),
        few.categories.repeat(8),
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        parameters = list(learner.module.updates)
        first, *others = [
            torch.autograd.grad(learner.loss(draw).total, parameters) for _ in range(4)
        ]
    finally:
        torch.set_num_threads(before)
    for other in others:
        assert all(map(torch.equal, first, other))


def test_equal_images_of_a_step_are_encoded_once(inspector: Inspector, root: Path) -> None:
    examples = gathered(root)
    learner = learner_of(inspector, examples)
    draw = examples.episodes(RECIPE).step(0)
    draw = replace(draw, queries=draw.shots[:, 0], shots=draw.shots[:, [0, 1, 1]])
    tally = Tally()
    replace(learner, inspector=replace(learner.inspector, tally=tally)).loss(draw)
    assert tally.encoded == len(draw.shots.unique()) < draw.shots.numel()


def test_nothing_of_a_tower_that_changes_is_remembered(
    inspector: Inspector, root: Path, tmp_path: Path
) -> None:
    remembering = replace(inspector, cache=FeatureCache(tmp_path / "cache"))
    examples = gathered(root)
    draw = examples.episodes(RECIPE).step(0)
    learner = learner_of(remembering, examples)
    learner.module.eval()
    before = learner.loss(draw).total
    for name, update in zip(learner.names, learner.module.updates, strict=True):
        if "lora_B" in name:
            update.data.fill_(0.1)
    assert not torch.isclose(learner.loss(draw).total, before)


def test_what_is_trained_is_the_fusion_and_the_updates_alone(
    inspector: Inspector, root: Path
) -> None:
    """A checkpoint holds nothing of the frozen tower, and processes average every gradient."""
    learner = learner_of(inspector, gathered(root))
    module, targets = learner.module, targets_of(tunable(inspector.backbone))
    trained = {p for p in tower(learner).image_tower.parameters() if p.requires_grad}
    assert set(module.parameters()) == trained | set(module.fusion.parameters())
    kinds = {name.partition(".")[0] for name in module.state_dict()}
    assert kinds == {"fusion", "updates"}
    assert len(module.updates) == 2 * len(targets)
    assert learner.shape.targets == targets


def test_a_change_of_the_module_is_a_change_of_the_tower(inspector: Inspector, root: Path) -> None:
    """A best epoch or a checkpoint that is read back takes the tower with it."""
    learner = learner_of(inspector, gathered(root))
    pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    before = learner.inspector.backbone.encode_images(pixels).image
    moved = learner_of(inspector, gathered(root), moved=True)
    learner.module.load_state_dict(moved.module.state_dict())
    after = learner.inspector.backbone.encode_images(pixels).image
    assert torch.equal(after, moved.inspector.backbone.encode_images(pixels).image)
    assert not torch.equal(after, before)


def test_the_tower_stays_in_evaluation_mode(inspector: Inspector, root: Path) -> None:
    learner = learner_of(inspector, gathered(root))
    learner.module.train()
    assert not any(module.training for module in tower(learner).image_tower.modules())


# The held-out set


def test_the_held_out_figure_is_that_of_the_tower_as_it_is(
    inspector: Inspector, root: Path
) -> None:
    examples = gathered(root, hold_out="tile")
    learner = learner_of(inspector, examples, moved=True)
    learner.module.eval()
    draws = examples.judged(replace(RECIPE, shots=(1, 2)))
    backbone = lowrank(inspector.backbone, 2, 2.0, learner.lora.tensors)
    tuned = replace(inspector, backbone=backbone)
    expected = frozen(tuned, examples, learner.module.fusion).auroc(draws)
    assert learner.auroc(draws) == expected
    assert expected != frozen(inspector, examples, learner.module.fusion).auroc(draws)


# A whole training


def job_of(inspector: Inspector, root: Path, work: Path, hold_out: str | None = None) -> Job:
    return Job(inspector, gathered(root, hold_out), RECIPE, OBJECTIVE, work)


def finished(job: Job, report: Callable[[Row], None] = lambda _: None) -> Trained:
    return program.run(job, lambda parts, *_: parts, report)


def written(job: Job, path: Path) -> bytes:
    """The weights file of the finished training."""
    trained = finished(job)
    config = config_of(job, trained)
    file.save(path, config, trained.fusion, card(config, "mine", job, trained), trained.lora)
    return (path / file.WEIGHTS).read_bytes()


class Killed(Exception):
    """Stands for a kill between two steps."""


@pytest.mark.parametrize("hold_out", [None, "tile"])
def test_killed_and_started_again_it_ends_with_the_same_bytes(
    inspector: Inspector, root: Path, tmp_path: Path, hold_out: str | None
) -> None:
    whole = written(job_of(inspector, root, tmp_path / "a.training", hold_out), tmp_path / "a")
    job = job_of(inspector, root, tmp_path / "b.training", hold_out)

    def kill(row: Row) -> None:
        if row["step"] == 5:
            raise Killed

    with pytest.raises(Killed):
        finished(job, kill)
    resumed: list[int] = []
    finished(job, lambda row: resumed.append(row["step"]))
    assert resumed[0] == 5  # the last checkpoint was that of step 4
    assert written(job, tmp_path / "b") == whole


def test_training_moves_every_update_and_not_the_backbone_it_was_given(
    inspector: Inspector, root: Path, tmp_path: Path
) -> None:
    pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    before = inspector.backbone.encode_images(pixels)
    trained = finished(job_of(inspector, root, tmp_path / "work"))
    assert trained.lora is not None
    for name, tensor in trained.lora.tensors.items():
        assert tensor.any(), name  # B began at zero
    after = inspector.backbone.encode_images(pixels)
    assert torch.equal(before.image, after.image)
    altered = lowrank(inspector.backbone, 2, 2.0, trained.lora.tensors).encode_images(pixels)
    assert not torch.equal(altered.image, after.image)


def test_training_lowers_the_loss(inspector: Inspector, root: Path, tmp_path: Path) -> None:
    job = job_of(inspector, root, tmp_path / "work")
    longer = replace(RECIPE, epochs=4, steps=5, rate=3e-3)
    first, *_, last = finished(replace(job, recipe=longer)).epochs
    assert last["loss"] < 0.8 * first["loss"]


def test_no_table_of_features_is_made(
    inspector: Inspector, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the table of a frozen tower")

    monkeypatch.setattr(program, "encode_all", refuse)
    finished(job_of(inspector, root, tmp_path / "work"))


def test_rank_and_alpha_belong_to_the_identity_of_a_training(
    inspector: Inspector, root: Path, tmp_path: Path
) -> None:
    job = job_of(inspector, root, tmp_path)
    others = [replace(RECIPE, lora=3), replace(RECIPE, lora_alpha=3.0), replace(RECIPE, lora=0)]
    assert len({job.identity, *(replace(job, recipe=r).identity for r in others)}) == 4


def test_the_adapter_says_what_was_updated_and_is_used_with_it(
    inspector: Inspector, root: Path, tmp_path: Path
) -> None:
    job = job_of(inspector, root, tmp_path / "work")
    trained = finished(job)
    config = config_of(job, trained)
    file.save(
        tmp_path / "mine", config, trained.fusion, card(config, "m", job, trained), trained.lora
    )
    assert config.fingerprint == inspector.backbone.fingerprint
    assert (config.lora["rank"], config.lora["alpha"], len(config.lora["targets"])) == (2, 2.0, 33)
    assert not {"lora", "lora_alpha"} & set(config.recipe)
    told = (tmp_path / "mine" / file.CARD).read_text()
    assert "kept frozen but for low-rank updates" in told
    assert "LoRA, rank 2, alpha 2, 33 modules" in told
    used = Inspector.load(adapter=str(tmp_path / "mine"), device="cpu", cache="off").backbone
    assert trained.lora is not None
    wanted = lowrank(inspector.backbone, 2, 2.0, trained.lora.tensors)
    assert used.fingerprint == wanted.fingerprint != inspector.backbone.fingerprint


def test_without_updates_the_tower_is_said_to_be_frozen(
    inspector: Inspector, root: Path, tmp_path: Path
) -> None:
    job = replace(job_of(inspector, root, tmp_path / "work"), recipe=replace(RECIPE, lora=0))
    trained = finished(job)
    config = config_of(job, trained)
    assert config.lora == {}
    assert trained.lora is None
    assert "it was kept frozen.\n" in card(config, "m", job, trained)


def test_a_backbone_without_a_tower_is_refused_before_anything_is_written(
    root: Path, tmp_path: Path
) -> None:
    job = job_of(Inspector.load("pixels", device="cpu", cache="off"), root, tmp_path / "work")
    with pytest.raises(UsageError, match="'pixels' has no image tower"):
        finished(job)
    assert not (tmp_path / "work").exists()


# The command


def test_the_command_trains_them(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["train", "--data", str(root), "--out", str(tmp_path / "mine"), "--cache", "off"]
    sizes = ["--image-size", "64", "--epochs", "1", "--steps", "1", "--batch", "4"]
    assert command([*common, *sizes, "--device", "cpu", "--lora", "3"]) == 0
    stored = json.loads((tmp_path / "mine" / file.CONFIG).read_text())
    assert (stored["lora"]["rank"], stored["lora"]["alpha"]) == (3, 3.0)
    assert not (tmp_path / "mine.training").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--lora", "-1"], "--lora -1 is below 0"),
        (["--lora-alpha", "2"], "give their rank with --lora"),
        (["--lora", "2", "--lora-alpha", "0"], "--lora-alpha 0.0 is not a positive number"),
        (["--lora", "2", "--lora-alpha", "nan"], "--lora-alpha nan is not a positive number"),
        (["--lora", "2", "--backbone", "pixels"], "'pixels' has no image tower"),
    ],
)
def test_the_command_refuses_what_makes_no_sense(
    options: list[str],
    said: str,
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    common = ["train", "--data", str(root), "--out", str(tmp_path / "mine"), "--cache", "off"]
    assert command([*common, *options]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
