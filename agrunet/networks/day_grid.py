"""Series on a fixed grid of days: the line in time between the dates that are there, its ends held."""

from __future__ import annotations

import torch
from torch import Tensor


def at_days(values: Tensor, valid: Tensor, days: Tensor, grid: Tensor) -> Tensor:
    """Interpolate ``values`` (B, T, C, H, W) at the days ``grid`` (G,) since the season's start: (B, G, C, H, W).

    ``valid``: (B, T), False for padded dates, whatever they hold; ``days``: (B, T), rising over the valid ones. Values that were filled
    in along the same lines where they aren't clear give the same as their clear dates alone. Zero for a series without any date.
    """
    B, T = days.shape
    beyond = torch.finfo(torch.float32).max
    moments = days.to(torch.float32).masked_fill(~valid, beyond)
    wanted = grid.to(torch.float32).expand(B, -1).contiguous()
    last = (valid.sum(1, keepdim=True) - 1).clamp(min=0)
    right = torch.minimum(torch.searchsorted(moments, wanted), last)
    left = (right - 1).clamp(min=0)
    start, end = moments.gather(1, left), moments.gather(1, right)
    share = ((wanted - start) / (end - start).clamp(min=1)).clamp(0, 1)
    weights = values.new_zeros((B, wanted.shape[1], T))
    weights.scatter_add_(2, left.unsqueeze(2), (1 - share).unsqueeze(2).to(weights.dtype))
    weights.scatter_add_(2, right.unsqueeze(2), share.unsqueeze(2).to(weights.dtype))
    known = values.masked_fill(~valid[:, :, None, None, None], 0)
    return (weights @ known.flatten(2)).view(B, -1, *values.shape[2:])
