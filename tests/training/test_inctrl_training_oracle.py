"""One training step of InCTRL against numbers of the released code (`inctrl_small.npz`).

In double precision, as they were made: batch norm over six samples makes float32 gradients noisy.
The oracle is rounded to float32; parameters that have no gradient there have none here.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from detectors.inctrl_oracle import Oracle
from torch import Tensor

from inctrl.adapters import released
from inctrl.training.fusion import Objective, score, step_loss
from inctrl.training.loop import Recipe, optimiser_of

GROUPINGS = {"train": "released", "train_fixed": "per_query"}
TOLERANCE = 2e-7


class Step:
    """The oracle's step, done by our parts."""

    def __init__(self, oracle: Oracle, prefix: str) -> None:
        self.oracle, self.prefix = oracle, prefix
        fusion = oracle.fusion.train()
        objective = Objective("released", GROUPINGS[prefix])
        optimiser = optimiser_of(fusion.parameters(), Recipe())
        met = oracle.episode(int(oracle["train_in/k"]))
        self.scores = score(fusion, met, objective)
        labels = oracle["train_in/labels"].double()
        self.loss = step_loss(self.scores, labels, torch.zeros(6, 6, 6), objective)
        self.buffers = {name: buffer.clone() for name, buffer in fusion.named_buffers()}
        self.loss.total.backward()
        self.gradients = {name: p.grad for name, p in fusion.named_parameters()}
        optimiser.step()
        self.after = {name: p.detach() for name, p in fusion.named_parameters()}

    def expected(self, kind: str) -> dict[str, Tensor]:
        """Arrays of a kind by our names; a normalisation that nothing uses is left out."""
        start, found = f"{self.prefix}/{kind}/", {}
        for name in self.oracle.arrays:
            module, _, leaf = name.removeprefix(start).rpartition(".")
            if name.startswith(start) and module not in released.UNUSED:
                found[f"{released.NAMES[module]}.{leaf}"] = self.oracle[name]
        return found


@pytest.fixture(scope="module", params=GROUPINGS)
def step(request: pytest.FixtureRequest, oracles: Path, tmp_path_factory: Any) -> Step:
    oracle = Oracle(oracles / "inctrl_small.npz", tmp_path_factory.mktemp("clip"), torch.float64)
    return Step(oracle, request.param)


def close(seen: Tensor, expected: Tensor, name: str, tolerance: float = TOLERANCE) -> None:
    torch.testing.assert_close(seen, expected, atol=tolerance, rtol=0, msg=lambda m: f"{name}: {m}")


def test_the_scores_in_training_mode(step: Step) -> None:
    fused = step.scores.fused
    seen = {
        "final_score": fused.final,
        "image_score": fused.image,
        "holistic_score": fused.holistic,
        "patch_map": step.scores.patch_map.flatten(1),
        "image_residual": fused.image_residual,
    }
    for name, value in seen.items():
        expected = step.oracle[f"{step.prefix}/{name}"]
        close(value.detach(), expected, name, TOLERANCE * max(1.0, float(expected.abs().max())))


def test_the_loss_and_its_parts(step: Step) -> None:
    parts = {"": step.loss.total, "_final": step.loss.final, "_image": step.loss.image}
    for name, value in parts.items():
        close(value.detach(), step.oracle[f"{step.prefix}/loss{name}"], name)


def test_every_gradient(step: Step) -> None:
    expected = step.expected("grad")
    assert set(expected) == {name for name, grad in step.gradients.items() if grad is not None}
    for name, gradient in expected.items():
        seen = step.gradients[name]
        assert seen is not None
        scale = float(gradient.abs().max())
        close(seen / scale, gradient / scale, name)


def test_the_statistics_of_the_batch_norms(step: Step) -> None:
    expected = step.expected("bn")
    assert set(expected) == set(step.buffers)
    for name, buffer in expected.items():
        scale = max(1.0, float(buffer.abs().max()))
        close(step.buffers[name].double() / scale, buffer.double() / scale, name)


def test_the_weights_after_a_step_of_adamw(step: Step) -> None:
    expected = step.expected("after")
    assert set(expected) == set(step.after)
    for name, weight in expected.items():
        close(step.after[name], weight, name)
