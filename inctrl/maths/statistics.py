"""What an image's maps say of it beyond their mean: small defects show in the extremes."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from inctrl.maths.neighbours import unit
from inctrl.maths.residuals import elsewhere_residuals

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 1.0)


def channel_statistics(maps: Tensor) -> Tensor:
    """b h w d -> b 5d: mean, standard deviation, maximum, minimum and local contrast.

    Local contrast is the mean distance of a position to the mean of its 3 x 3 neighbourhood.
    """
    flat = maps.flatten(1, 2)
    channels_first = maps.permute(0, 3, 1, 2)
    smooth = F.avg_pool2d(channels_first, 3, stride=1, padding=1, count_include_pad=False)
    contrast = (channels_first - smooth).abs().mean(dim=(2, 3))
    mean = flat.mean(dim=1)
    # What `std` gives, at a fifth of its time over so strided a dimension.
    squares = (flat - mean[:, None]).square().sum(dim=1)
    deviation = (squares / max(1, flat.shape[1] - 1)).sqrt()
    return torch.cat([mean, deviation, flat.amax(1), flat.amin(1), contrast], dim=1)


def self_residuals(maps: Tensor) -> Tensor:
    """How alike an image's places are: b h w d -> b 16.

    Quantiles of each position's residual to the nearest place elsewhere in the same image, and
    of its residual to the image's mean direction.
    """
    elsewhere = elsewhere_residuals(maps).flatten(1)
    patches = unit(maps.flatten(1, 2))
    typical = (patches @ unit(patches.mean(dim=1))[:, :, None])[..., 0]
    return torch.cat([_quantiles(elsewhere), _quantiles((1 - typical) / 2)], dim=1)


def image_statistics(maps: Sequence[Tensor]) -> Tensor:
    """Channel statistics of every layer, self-residuals of all but the finest (for its cost)."""
    parts = [channel_statistics(m) for m in maps] + [self_residuals(m) for m in maps[1:]]
    return torch.cat(parts, dim=1)


def _quantiles(values: Tensor) -> Tensor:
    """b n -> b q, by the nearest rank."""
    ranks = [round(level * (values.shape[1] - 1)) for level in QUANTILES]
    ordered = values.sort(dim=1).values
    return torch.stack([ordered[:, rank] for rank in ranks], dim=1)
