"""From a map to one number."""

from torch import Tensor


def top_mean(values: Tensor, share: float) -> Tensor:
    """Mean of the highest `share` of the last axis, of one value at least.

    values   ... n
    share    in (0, 1]
    returns  ...
    """
    n = values.shape[-1]
    count = min(n, max(1, round(share * n)))
    return values.topk(count, dim=-1).values.mean(dim=-1)
