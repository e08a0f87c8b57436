"""The second tower of `duo`: a small vision transformer, as far as its blocks are tapped.

A plain pre-norm transformer (Dosovitskiy et al., ICLR 2021) of DINOv2's shape, 384 wide with 6
heads, on patches of 14 pixels. What made it special is folded into its weights (duo/__main__.py).
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inctrl.files.tensors import load_exactly, read_state

PATCH, WIDTH, HEADS, HIDDEN, BLOCKS = 14, 384, 6, 1536, 8
GRID = 37
"""Side of the stored grid of positions: it was trained at 518 px."""
EPSILON = 1e-6


class VisionTransformer(nn.Module):
    """Pixels in [-1, 1] to the patches after some of its first blocks.

    depth   blocks that there are
    grid    side of the grid of patches that it sees
    """

    token: Tensor
    positions: Tensor

    def __init__(self, depth: int = BLOCKS, grid: int = GRID) -> None:
        super().__init__()
        self.patch = nn.Linear(3 * PATCH**2, WIDTH)
        self.register_buffer("token", torch.zeros(WIDTH))
        self.register_buffer("positions", torch.zeros(grid, grid, WIDTH))
        self.blocks = nn.ModuleList(Block() for _ in range(depth))

    def forward(self, pixels: Tensor, taps: Sequence[int]) -> list[Tensor]:
        """pixels b 3 S S -> b g g d after each of the blocks `taps`, counted from 1 and rising."""
        seen = self.patch(patches_of(pixels)) + self.positions.flatten(0, 1)
        stream = torch.cat([self.token.expand(len(seen), 1, -1), seen], dim=1)
        found = []
        for number, block in enumerate(self.blocks, start=1):
            stream = block(stream)
            if number in taps:
                patches = stream[:, 1:].unflatten(1, self.positions.shape[:2])
                found.append(patches.contiguous())
        return found


class Block(nn.Module):
    """Attention and an MLP, each added to the stream; the stream itself is in single precision."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH, EPSILON)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH, EPSILON)
        self.up = nn.Linear(WIDTH, HIDDEN)
        self.down = nn.Linear(HIDDEN, WIDTH)

    def forward(self, stream: Tensor) -> Tensor:
        """b n d -> b n d"""
        precision = self.qkv.weight.dtype
        mixed = self.qkv(self.norm1(stream).to(precision)).unflatten(2, (3, HEADS, -1))
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value)
        stream = stream + self.out(seen.transpose(1, 2).flatten(2))
        hidden = F.gelu(self.up(self.norm2(stream).to(precision)))
        added: Tensor = stream + self.down(hidden)
        return added


def patches_of(pixels: Tensor) -> Tensor:
    """b 3 S S -> b n 3pp: squares of PATCH pixels, row by row, each channel by channel."""
    return F.pixel_unshuffle(pixels, PATCH).flatten(2).transpose(1, 2)


def positions_for(stored: Tensor, grid: int) -> Tensor:
    """The stored grid of positions g g d at another side, bicubic as in training."""
    if grid == len(stored):
        return stored
    maps = stored.permute(2, 0, 1)[None]
    resized = F.interpolate(maps, size=(grid, grid), mode="bicubic", align_corners=False)
    return resized[0].permute(1, 2, 0).contiguous()


def load_vit(file: Path, depth: int, grid: int, precision: torch.dtype) -> VisionTransformer:
    """The first blocks of the transformer, frozen, for images of grid x grid patches."""
    stored = {name: tensor.float() for name, tensor in read_state(file).items()}
    state = {name: t for name, t in stored.items() if not _is_above(name, depth)}
    state["positions"] = positions_for(state["positions"], grid)
    with torch.device("meta"):  # without numbers: they are on their way
        vit = VisionTransformer(depth, grid)
    load_exactly(vit, state, str(file), assign=True)
    for block in vit.blocks:
        for linear in (part for part in block.children() if isinstance(part, nn.Linear)):
            linear.to(precision)
    return vit.eval().requires_grad_(False)


def _is_above(name: str, depth: int) -> bool:
    """Whether a tensor belongs to a block that is not run."""
    kind, _, rest = name.partition(".")
    return kind == "blocks" and int(rest.partition(".")[0]) >= depth
