"""The deviation of what is left of a model error once its estimate is taken off the data."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import avg_pool1d

SEEN_SHARE = 0.75
"""Deviation of what is left at rays that the estimate saw, over that at rays that it did not see."""

LOCAL_POWER = 0.55
"""What is left grows with this power of the local model error: large errors are told better than small ones."""

LEAST_LEFT = 0.2
"""What is left is never taken for less than this share of the model error."""

LEAST_LOCAL = 0.05
"""A local model error is never taken for less than this share of the whole one, as of rays through air."""

_WINDOW = 9
"""Cells over which a local deviation is a mean."""


def local_deviation(error: Tensor) -> Tensor:
    """Root mean square of an error (z, views, cells) over the cells around each one."""
    power = avg_pool1d(error.square(), _WINDOW, 1, _WINDOW // 2, count_include_pad=False)
    return power.sqrt()


def left_over(error: Tensor, unseen: float) -> Tensor:
    """Deviation of what is left of a model error once its estimate is taken off.

    Args:
        error: (z, views, cells) the estimate.
        unseen: deviation, without the noise's, of rays that the estimate did not see from its prediction.
    """
    size = rms(error)
    shape = local_deviation(error).clamp_min(LEAST_LOCAL * size).pow(LOCAL_POWER)
    level = min(max(SEEN_SHARE * unseen, LEAST_LEFT * size), size)
    return shape * (level / (rms(shape) or 1.0))


def rms(values: Tensor) -> float:
    """Root mean square of all values; 0 of none."""
    return float(values.double().square().mean().sqrt()) if values.numel() else 0.0
