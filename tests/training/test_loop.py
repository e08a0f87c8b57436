"""The loop on a module so small that a training takes no time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from inctrl.errors import Conflict, InvalidFile, OutputError, UsageError
from inctrl.training import checkpoint
from inctrl.training.episodes import Draw
from inctrl.training.fusion import StepLoss
from inctrl.training.loop import Recipe, Row, Run, train

RECIPE = Recipe(epochs=3, steps=4, save=3)


@dataclass
class Toy:
    """Learns to map each number drawn to its double; batch norm keeps statistics."""

    module: nn.Module
    broken_at: int = -1

    def loss(self, draw: Draw) -> StepLoss:
        given = draw.queries.float()[:, None]
        wrong = (self.module(given)[:, 0] - 2 * given[:, 0]).square().mean()
        if int(draw.queries[0]) == self.broken_at:
            wrong = wrong * torch.nan
        return StepLoss(wrong, wrong / 2, wrong / 4, wrong / 8)


def toy(broken_at: int = -1) -> Toy:
    torch.manual_seed(0)
    return Toy(nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)), broken_at)


def draw(step: int) -> Draw:
    numbers = torch.arange(4) + step % 7
    return Draw(numbers, torch.zeros(4), numbers[:, None], torch.zeros(4, dtype=torch.long))


def run(folder: Path, validate: Callable[[], float] | None = None) -> Run:
    return Run(folder, "one", draw, validate)


def weights(learner: Toy) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in learner.module.state_dict().items()}


def finish(learner: Toy, recipe: Recipe, told: Run) -> list[Row]:
    return list(train(learner, recipe, told))


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_it_learns_and_logs_a_row_an_epoch(tmp_path: Path) -> None:
    rows = finish(toy(), replace(RECIPE, epochs=20, rate=0.05), run(tmp_path))
    epochs = [row for row in rows if "epoch" in row]
    assert [row["epoch"] for row in epochs] == list(range(1, 21))
    assert epochs[-1]["loss"] < epochs[0]["loss"]
    assert epochs[0]["final"] == pytest.approx(epochs[0]["loss"] / 2, abs=1e-6)
    assert checkpoint.read_log(tmp_path) == epochs


def test_the_epoch_s_loss_is_the_mean_of_its_steps(tmp_path: Path) -> None:
    rows = finish(toy(), RECIPE, run(tmp_path))
    steps = [row["loss"] for row in rows if "epoch" not in row]
    [first, *_] = [row["loss"] for row in rows if "epoch" in row]
    assert first == pytest.approx(sum(steps[:4]) / 4, abs=1e-6)


@pytest.mark.parametrize("killed_after", [1, 3, 4, 5, 8, 11])
def test_killed_and_started_again_it_ends_the_same(tmp_path: Path, killed_after: int) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    whole.mkdir()
    part.mkdir()
    values = {1: 0.5, 2: 0.9, 3: 0.7}

    def judge(learner: Toy, folder: Path) -> Callable[[], float]:
        return lambda: values[1 + len(checkpoint.read_log(folder))]

    uninterrupted = toy()
    finish(uninterrupted, RECIPE, run(whole, judge(uninterrupted, whole)))
    killed = toy()
    going = train(killed, RECIPE, run(part, judge(killed, part)))
    for row in going:
        if row["step"] == killed_after and "epoch" not in row:
            going.close()
    again = toy()
    finish(again, RECIPE, run(part, judge(again, part)))
    assert same(weights(again), weights(uninterrupted))
    assert (part / checkpoint.LOG).read_bytes() == (whole / checkpoint.LOG).read_bytes()


def test_another_training_s_checkpoint_is_refused(tmp_path: Path) -> None:
    finish(toy(), RECIPE, run(tmp_path))
    with pytest.raises(UsageError, match=r"checkpoint\.pt' is of a training with other settings"):
        finish(toy(), RECIPE, replace(run(tmp_path), identity="other"))


def test_what_another_training_has_else_is_named(tmp_path: Path) -> None:
    mine, other = '{"images": "a", "epochs": "1", "rate": "2"}', '{"images": "b", "epochs": "1"}'
    finish(toy(), RECIPE, replace(run(tmp_path), identity=mine))
    with pytest.raises(UsageError, match=r"other settings or other data \(images\); delete"):
        finish(toy(), RECIPE, replace(run(tmp_path), identity=other))


def test_the_best_epoch_on_what_was_held_out_is_kept(tmp_path: Path) -> None:
    learner, seen = toy(), []

    def judge() -> float:
        seen.append(weights(learner))
        return [0.5, 0.9, 0.7][len(seen) - 1]

    finish(learner, RECIPE, run(tmp_path, judge))
    assert same(weights(learner), seen[1])
    assert not same(seen[1], seen[2])
    assert not learner.module.training


def test_of_equally_good_epochs_the_first_is_kept(tmp_path: Path) -> None:
    learner, seen = toy(), []

    def judge() -> float:
        seen.append(weights(learner))
        return 0.5

    finish(learner, RECIPE, run(tmp_path, judge))
    assert same(weights(learner), seen[0])


def test_without_anything_held_out_the_last_epoch_is_kept(tmp_path: Path) -> None:
    learner = toy()
    for row in train(learner, RECIPE, run(tmp_path)):
        if row["step"] == 12:
            last = weights(learner)
    assert same(weights(learner), last)


def test_it_ends_early_when_epochs_bring_nothing(tmp_path: Path) -> None:
    values = iter([0.5, 0.4, 0.3, 0.9])
    recipe = replace(RECIPE, epochs=10, patience=2)
    rows = finish(toy(), recipe, run(tmp_path, lambda: next(values)))
    assert [row["epoch"] for row in rows if "epoch" in row] == [1, 2, 3]


def test_a_loss_that_is_no_number_ends_the_training_with_advice(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nan in step 6 \(epoch 2\).*lower rate than 0\.001"):
        finish(toy(broken_at=5), RECIPE, run(tmp_path))


def test_long_gradients_are_cut_to_the_given_length(tmp_path: Path) -> None:
    lengths = []

    def measured(clip: float) -> float:
        learner = toy()
        folder = tmp_path / str(clip)
        folder.mkdir()
        steps = train(learner, replace(RECIPE, clip=clip, epochs=1, steps=1), run(folder))
        next(steps)
        grads = [p.grad for p in learner.module.parameters() if p.grad is not None]
        return float(torch.cat([g.flatten() for g in grads]).norm())

    lengths = [measured(0.0), measured(0.5)]
    assert lengths[0] > 1
    assert lengths[1] == pytest.approx(0.5, abs=1e-4)


def test_a_damaged_checkpoint_or_log_is_told_in_a_line(tmp_path: Path) -> None:
    for damaged in (b"", b"random bytes", b"[1, 2]"):
        (tmp_path / checkpoint.CHECKPOINT).write_bytes(damaged)
        with pytest.raises(InvalidFile, match=r"checkpoint\.pt' is damaged; delete"):
            checkpoint.load(tmp_path, "one")
    torch.save([1, 2], tmp_path / checkpoint.CHECKPOINT)
    with pytest.raises(InvalidFile, match="is damaged"):
        checkpoint.load(tmp_path, "one")
    (tmp_path / checkpoint.LOG).write_text("no row}\n")
    with pytest.raises(InvalidFile, match=r"log\.jsonl' is damaged"):
        checkpoint.read_log(tmp_path)


def test_a_full_disk_is_told_and_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path, "one", 1, {"a": torch.ones(2)})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("inctrl.training.checkpoint.os.fsync", full)
    with pytest.raises(OutputError, match="the disk is full"):
        checkpoint.save(tmp_path, "one", 2, {"a": torch.zeros(2)})
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.CHECKPOINT]
    found = checkpoint.load(tmp_path, "one")
    assert found is not None
    assert found[0] == 1


def test_a_folder_with_anything_of_others_is_neither_used_nor_removed(tmp_path: Path) -> None:
    work = tmp_path / "work"
    checkpoint.open_folder(work)
    checkpoint.log(work, {"step": 1})
    (work / "features-0").mkdir()
    checkpoint.open_folder(work)
    (work / "mine.txt").write_text("precious")
    with pytest.raises(OutputError, match=r"holds 'mine\.txt', which no training has written"):
        checkpoint.open_folder(work)
    checkpoint.remove_folder(work)
    assert [path.name for path in work.iterdir()] == ["mine.txt"]
    (work / "mine.txt").unlink()
    checkpoint.remove_folder(work)
    assert not work.exists()


def test_two_trainings_in_one_folder_are_a_conflict(tmp_path: Path) -> None:
    with (
        checkpoint.locked(tmp_path),
        pytest.raises(Conflict, match="another training is at work"),
        checkpoint.locked(tmp_path),
    ):
        pass
    with checkpoint.locked(tmp_path):
        pass


def test_a_line_that_a_kill_has_cut_is_dropped_from_the_log(tmp_path: Path) -> None:
    checkpoint.log(tmp_path, {"step": 1})
    checkpoint.log(tmp_path, {"step": 2})
    with (tmp_path / checkpoint.LOG).open("a") as file:
        file.write('{"step": 3, "lo')
    checkpoint.keep_until(tmp_path, 1)
    assert checkpoint.read_log(tmp_path) == [{"step": 1}]
