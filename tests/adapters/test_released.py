from pathlib import Path

import pytest
import torch
from torch import Tensor

from inctrl.adapters import released
from inctrl.errors import InvalidFile
from inctrl.files.tensors import read_state


def checkpoint(embed: int = 8, positions: int = 9) -> dict[str, Tensor]:
    """The trained part of an official checkpoint, with its names and its unused norm."""
    torch.manual_seed(0)
    state = {
        "adapter.fc.0.weight": torch.randn(embed // 4, embed),
        "adapter.fc.2.weight": torch.randn(embed, embed // 4),
        "visual.conv1.weight": torch.randn(2, 3, 4, 4),
    }
    for head, inputs in (("diff_head", positions), ("diff_head_ref", embed)):
        for name, width, size in (("1", inputs, 128), ("2", 128, 64), ("3", 64, 1)):
            state[f"{head}.projection{name}.weight"] = torch.randn(size, width)
            state[f"{head}.projection{name}.bias"] = torch.randn(size)
        for name, size in (("bn1", inputs), ("bn2", 128), ("bn3", 64)):
            for leaf in ("weight", "bias", "running_mean", "running_var"):
                state[f"{head}.{name}.{leaf}"] = torch.rand(size)
            state[f"{head}.{name}.num_batches_tracked"] = torch.tensor(7)
    return state


def test_each_tensor_goes_where_its_role_is() -> None:
    state = checkpoint()
    fusion = released.fusion_from(state, "file")
    assert (fusion.embed, fusion.positions) == (8, 9)
    assert torch.equal(fusion.bottleneck.up.weight, state["adapter.fc.2.weight"])
    assert torch.equal(fusion.map_head.linear1.weight, state["diff_head.projection1.weight"])
    assert torch.equal(fusion.image_head.linear1.weight, state["diff_head_ref.projection1.weight"])
    assert torch.equal(fusion.map_head.norm1.running_mean, state["diff_head.bn2.running_mean"])
    assert torch.equal(fusion.image_head.norm2.weight, state["diff_head_ref.bn3.weight"])


def test_wrapped_and_prefixed_checkpoints_are_read(tmp_path: Path) -> None:
    state = {f"module.{name}": tensor for name, tensor in checkpoint().items()}
    torch.save({"model_state": state, "epoch": 6}, tmp_path / "checkpoint.pyth")
    assert released.fusion_from(read_state(tmp_path / "checkpoint.pyth"), "x").embed == 8


def test_a_checkpoint_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (print, ("this must not run",))

    torch.save({"model_state": Payload()}, tmp_path / "bad.pyth")
    with pytest.raises(InvalidFile, match="only plain tensors"):
        read_state(tmp_path / "bad.pyth")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda s: s.pop("diff_head_ref.projection2.bias"),
            r"1 missing \(image_head.linear2.bias\)",
        ),
        (lambda s: s.pop("adapter.fc.0.weight"), "not an InCTRL checkpoint"),
        (lambda s: s.update({"diff_head.extra.weight": torch.zeros(1)}), "unknown key"),
        (
            lambda s: s.update({"diff_head.bn2.bias": torch.zeros(3)}),
            r"1 mis-shaped \(map_head.norm1.bias",
        ),
    ],
)
def test_what_is_missing_or_misshapen_is_listed(change: object, says: str) -> None:
    state = checkpoint()
    change(state)  # type: ignore[operator]
    with pytest.raises(InvalidFile, match=says):
        released.fusion_from(state, "file")
