"""Reading the official InCTRL checkpoints (mala-lab/InCTRL, `checkpoint.pyth`)."""

from collections.abc import Mapping

from torch import Tensor

from inctrl.adapters.fusion import InCTRLFusion
from inctrl.errors import InvalidFile
from inctrl.files.tensors import load_exactly

PREFIXES = ("adapter.", "diff_head.", "diff_head_ref.")
"""Theirs; everything else in the file is the CLIP model."""
NAMES = {
    "adapter.fc.0": "bottleneck.down",
    "adapter.fc.2": "bottleneck.up",
    **{
        f"{theirs}.{part}": f"{ours}.{name}"
        for theirs, ours in (("diff_head", "map_head"), ("diff_head_ref", "image_head"))
        for part, name in (
            ("projection1", "linear1"),
            ("bn2", "norm1"),
            ("projection2", "linear2"),
            ("bn3", "norm2"),
            ("projection3", "linear3"),
        )
    },
}
UNUSED = ("diff_head.bn1", "diff_head_ref.bn1")
"""A normalisation of the heads' inputs that is stored but takes no part in the forward pass."""


def fusion_from(state: Mapping[str, Tensor], origin: str) -> InCTRLFusion:
    """The trained part of a checkpoint; InvalidFile lists what is missing or mis-shaped."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        module, _, leaf = name.rpartition(".")
        if name.startswith(PREFIXES) and module not in UNUSED:
            if module not in NAMES:
                raise InvalidFile(f"{origin!r} has the unknown key {name!r}; not InCTRL's format")
            renamed[f"{NAMES[module]}.{leaf}"] = tensor
    image, head = renamed.get("bottleneck.down.weight"), renamed.get("map_head.linear1.weight")
    if image is None or head is None:
        raise InvalidFile(
            f"{origin!r} lacks adapter.fc.0.weight or diff_head.projection1.weight; "
            "it is not an InCTRL checkpoint"
        )
    fusion = InCTRLFusion(embed=image.shape[1], positions=head.shape[1])
    load_exactly(fusion, renamed, origin)
    return fusion
