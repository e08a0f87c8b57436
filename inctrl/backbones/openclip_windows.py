"""Windows through a vision transformer of open_clip (WinCLIP, CVPR 2023, section 4.1).

A window is the class token and the window's own patch tokens, with their positions in the whole
image, run through all blocks. Its vector is what the image token would be if only it were seen.
"""

from collections.abc import Sequence
from typing import Any

import torch
from open_clip.transformer import VisionTransformer
from torch import Tensor

from inctrl.errors import UsageError
from inctrl.maths.windows import window_index, window_starts

TOKENS = 8192
"""Tokens in one pass through the blocks: bounds the memory whatever grid and batch are."""


def refuse_windowless(visual: Any, name: str) -> None:
    """UsageError for towers that make no vector of a class token and some of the patches."""
    if not isinstance(visual, VisionTransformer) or visual.pool_type == "none":
        raise UsageError(
            f"{name!r} has no class token to look through windows with; use a CLIP model with "
            "open_clip's own vision transformer (such as ViT-B-16-plus-240), or 'tiny'"
        )


def encode_windows(
    visual: VisionTransformer, pixels: Tensor, sizes: Sequence[int]
) -> tuple[Tensor, ...]:
    """pixels b 3 H W, normalised -> one b y x e a size that the grid is large enough for."""
    side = visual.patch_size
    grid = (pixels.shape[-2] // side[0], pixels.shape[-1] // side[1])
    # Past `ln_pre` already, which acts on each token alone: the same before the cut and after it.
    tokens = visual._embeds(pixels)
    return tuple(_of_size(visual, tokens, grid, size) for size in sizes if size <= min(grid))


def _of_size(visual: VisionTransformer, tokens: Tensor, grid: tuple[int, int], size: int) -> Tensor:
    """tokens b 1+n d, class token first -> b y x e; the windows of all images together."""
    patches = 1 + window_index(grid, size).to(tokens.device)
    window = torch.cat([torch.zeros_like(patches[:, :1]), patches], dim=1)
    first = tokens.shape[1] * torch.arange(len(tokens), device=tokens.device)
    wanted = (first[:, None, None] + window).flatten(0, 1)
    flat = tokens.flatten(0, 1)
    parts = wanted.split(max(1, TOKENS // window.shape[1]))
    found = torch.cat([_image_token(visual, flat[part]) for part in parts])
    rows, columns = (len(window_starts(length, size)) for length in grid)
    return found.reshape(len(tokens), rows, columns, -1)


def _image_token(visual: VisionTransformer, tokens: Tensor) -> Tensor:
    """n t d -> n e, from the blocks on as the tower does it for whole images."""
    pooled: Tensor = visual._pool(visual.transformer(tokens))[0]
    return pooled if visual.proj is None else pooled @ visual.proj
