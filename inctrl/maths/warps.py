"""Affine warps: what a spatial transformer does to maps, and the versions of a shot.

A theta is b 2 3 and says where each place of the output comes from, y(u) = x(theta u), in
normalised coordinates: -1 and 1 are the outer edges of the first and last cell.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

PARTS = {"rotation": 1, "translation": 2, "scale": 2, "shear": 2}
"""Parameters of each part of a mode, which come in this order: angle; x and y; x and y; x and y."""
MODES = {
    "affine": 6,
    "translation": 2,
    "rotation": 1,
    "scale": 2,
    "shear": 2,
    "rotation_scale": 3,
    "translation_scale": 4,
    "rotation_translation": 3,
    "rotation_translation_scale": 5,
}
"""RegAD's modes of the spatial transformer, and how many parameters each has."""
LEAST_DETERMINANT = 1e-3
"""Below it a warp has no inverse worth having: restoring would magnify a map 30 times a side."""
TURNS = (-4, -3, -2, -1, 1, 2, 3, 4)
"""Rotations of the versions of a shot, in sixteenths of pi."""
SHIFTS = tuple(
    (by * x, by * y) for by in (0.2, 0.1) for x, y in ((1, 1), (-1, 1), (-1, -1), (1, -1))
)
"""Translations of them, x and y; 0.2 is a tenth of the side."""
GREY = (0.299, 0.587, 0.114)


def identity_params(mode: str) -> Tensor:
    """The q parameters of a mode that change nothing; ValueError for an unknown mode."""
    if mode not in MODES:
        raise ValueError(f"mode {mode!r} is none of {', '.join(MODES)}")
    if mode == "affine":
        return torch.eye(2, 3).flatten()
    parts = mode.split("_")
    return torch.cat([torch.full((PARTS[part],), float(part == "scale")) for part in parts])


def theta_of(params: Tensor, mode: str) -> Tensor:
    """Parameters b q of a mode -> theta b 2 3.

    As released: in joint modes the scale multiplies the diagonal alone, which is not the product
    of a rotation and a scaling.
    """
    if mode == "affine":
        return params.reshape(-1, 2, 3)
    parts = mode.split("_")
    given = dict(zip(parts, params.split([PARTS[part] for part in parts], dim=1), strict=True))
    zero = params.new_zeros(len(params))
    angle = given["rotation"][:, 0] if "rotation" in given else zero
    x, y = given["translation"].T if "translation" in given else (zero, zero)
    across, down = given["scale"].T if "scale" in given else (zero + 1, zero + 1)
    right, left = given["shear"].T if "shear" in given else (-angle.sin(), angle.sin())
    rows = (angle.cos() * across, right, x, left, angle.cos() * down, y)
    return torch.stack(rows, dim=1).reshape(-1, 2, 3)


def warp(maps: Tensor, theta: Tensor) -> Tensor:
    """b d h w -> b d h w: bilinear, reflected about the outer edges of the border cells."""
    grid = F.affine_grid(theta, list(maps.shape), align_corners=False)
    return F.grid_sample(maps, grid, padding_mode="reflection", align_corners=False)


def inverse(theta: Tensor) -> Tensor:
    """The warp that undoes another, b 2 3; finite for a singular one.

    A determinant nearer to zero than LEAST_DETERMINANT is moved there, its sign kept.
    """
    (a, b, x), (c, d, y) = theta.permute(1, 2, 0)
    determinant = a * d - b * c
    clamped = torch.copysign(determinant.abs().clamp_min(LEAST_DETERMINANT), determinant)
    rows = (d, -b, b * y - d * x, -c, a, c * x - a * y)
    return (torch.stack(rows, dim=1) / clamped[:, None]).reshape(-1, 2, 3)


def restore(maps: Tensor, thetas: list[Tensor]) -> Tensor:
    """Maps b d h w of a stage that warps 1..l have gone through, warped back: by l first."""
    for theta in reversed(thetas):
        maps = warp(maps, inverse(theta))
    return maps


def altered(images: Tensor) -> list[Tensor]:
    """RegAD's 22 versions of images b 3 H W, each b 3 H W.

    The image; TURNS; SHIFTS; flipped left to right; grey; turned by 90, 180 and 270 degrees,
    counter-clockwise.
    """
    made = [images]
    for sixteenths in TURNS:
        angle = sixteenths * math.pi / 16
        c, s = math.cos(angle), math.sin(angle)
        made.append(_warp_all(images, ((c, -s, 0), (s, c, 0))))
    made += [_warp_all(images, ((1, 0, x), (0, 1, y))) for x, y in SHIFTS]
    grey = (images * images.new_tensor(GREY)[:, None, None]).sum(dim=1, keepdim=True)
    made += [images.flip(-1), grey.expand_as(images)]
    return made + [_quarter_turns(images, turns) for turns in (1, 2, 3)]


def _warp_all(images: Tensor, theta: tuple[tuple[float, ...], ...]) -> Tensor:
    return warp(images, images.new_tensor(theta).expand(len(images), 2, 3))


def _quarter_turns(images: Tensor, turns: int) -> Tensor:
    """Turned about the centre in pixels, on the same canvas, reflected about border pixel centres.

    An exact rearrangement on squares. On other shapes what leaves the canvas is lost, and where
    the sides differ by an odd number of pixels the centres fall between pixels.
    """
    height, width = images.shape[-2:]
    c, s = ((1, 0), (0, 1), (-1, 0), (0, -1))[turns]
    y = torch.arange(height).double() - (height - 1) / 2
    x = torch.arange(width).double() - (width - 1) / 2
    down, across = torch.meshgrid(y, x, indexing="ij")
    source = torch.stack([c * across - s * down, s * across + c * down], dim=-1)
    half = torch.tensor([max(width - 1, 1), max(height - 1, 1)]).double() / 2
    grid = (source / half).to(images).expand(len(images), height, width, 2)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=True)
