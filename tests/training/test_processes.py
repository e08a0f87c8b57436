"""Several processes train as one: two on this machine's CPU."""

import os
from pathlib import Path

import torch
import torch.multiprocessing as mp
from torch import nn

from inctrl.training import checkpoint
from inctrl.training.episodes import Draw, balanced
from inctrl.training.fusion import StepLoss
from inctrl.training.loop import Recipe, Run, train
from inctrl.training.processes import Processes, joined

RECIPE = Recipe(epochs=2, steps=3, save=2, rate=0.01)


class Line:
    """Learns y = 2 x + 1 from the numbers drawn; has no batch norm, which sees parts apart."""

    def __init__(self) -> None:
        self.module = nn.Linear(1, 1)
        nn.init.zeros_(self.module.weight)
        nn.init.zeros_(self.module.bias)

    def loss(self, draw: Draw) -> StepLoss:
        given = draw.queries.float()
        wrong = (self.module(given[:, None])[:, 0] - 2 * given - 1).square().mean()
        return StepLoss(wrong, wrong, wrong, wrong)


def draw(step: int) -> Draw:
    numbers = torch.arange(8) + step
    labels = torch.tensor([0.0] * 4 + [1.0] * 4)
    return Draw(numbers, labels, numbers[:, None], torch.zeros(8, dtype=torch.long))


def learn(processes: Processes, folder: Path, epochs: int = 2) -> nn.Module:
    learner = Line()
    recipe = Recipe(epochs=epochs, steps=3, save=2, rate=0.01)
    run = Run(
        folder,
        "line",
        lambda step: balanced(draw(step), processes.rank, processes.size),
        processes=processes,
    )
    for _ in train(learner, recipe, run):
        pass
    return learner.module


def _one_of_two(rank: int, folder: str, port: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}
    with joined() as processes:
        module = learn(processes, Path(folder, "two"))
        assert processes.from_first(lambda: processes.rank) == 0
    torch.save(module.state_dict(), Path(folder, f"{rank}.pt"))
    os._exit(0)  # as the command does: taking torch apart in several processes may abort one


def test_started_alone_a_process_is_alone() -> None:
    with joined() as processes:
        assert (processes.rank, processes.size, processes.first) == (0, 1, True)


def test_two_processes_learn_what_one_learns_from_the_whole_batches(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    expected = learn(Processes(), tmp_path / "one").state_dict()
    port = str(20_000 + os.getpid() % 20_000)
    mp.spawn(_one_of_two, args=(str(tmp_path), port), nprocs=2)
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found, dict(expected))
    rows = [checkpoint.read_log(tmp_path / name) for name in ("one", "two")]
    assert [row["epoch"] for row in rows[1]] == [1, 2]
    torch.testing.assert_close(rows[1][1]["loss"], rows[0][1]["loss"], atol=1e-6, rtol=1e-6)
