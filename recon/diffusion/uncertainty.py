"""How unsure a reconstruction by several samples is."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

_NEIGHBOURHOOD = 7
"""Pixels both ways over which changes of an image are averaged."""


def uncertainty(samples: Tensor, advised: Tensor, shown: Tensor, base_images: Tensor, grain: float = 0.0) -> Tensor:
    """How unsure an image is: the samples' variance, what was doubtful around each voxel, and noise.

    Samples of a head agree on what all of them miss. Where the best image shown was changed much, as at edges that few
    views see, much is still wrong; a scan with fewer views or more noise shows it everywhere. A change that was advised
    and that the data took back counts as well: it is no reason to be sure. Nor is it one that methods disagree. Noise
    is what no change foretells: that of an MR image itself, that which a sinogram's leaves.

    Args:
        samples: (n, z, y, x) magnitudes or attenuations, n at least 2.
        advised: (n, z, y, x) images that were advised at first.
        shown: (z, y, x) image that they are changes of.
        base_images: (m, z, y, x) images whose mean that is.
        grain: standard deviation of noise that the scan foretells, the same everywhere.

    Returns:
        (z, y, x) in their unit.
    """
    change = torch.maximum(*((images.mean(0) - shown).square() for images in (samples, advised)))
    doubt = change + base_images.var(0, correction=0)
    around = avg_pool2d(doubt[:, None], _NEIGHBOURHOOD, 1, _NEIGHBOURHOOD // 2, count_include_pad=False)[:, 0]
    return (samples.var(0) + around + grain**2).sqrt()
