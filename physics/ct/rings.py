"""Rings: what detector cells add to every view alike, found in the sinogram and taken off.

A cell whose gain is wrong adds the same to all of its line integrals, which the image shows as a ring. Objects do not
do that: their edges wander over the cells from view to view. So what a cell differs by from its neighbours in all views
is the cell's own (after Boin & Haibel 2006, Opt Express 14:12071). It is a mean over the views in which a view counts
little where it is rough around the cell, as at edges. Nothing but a number for each cell is taken off. What is truly
ring-shaped, such as a bore hole in the isocentre, is weakened as well.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import savgol_filter

WIDTH = 15
"""Cells among which one is compared, an odd number."""

_ORDER = 2
"""Degree of the polynomial over these cells that a view would follow without rings."""

_LEAST_VIEWS = 8
"""Below so many views, an object's edges stay where they are for too many of them."""


def ring_profile(sinogram: np.ndarray, width: int = WIDTH) -> np.ndarray:
    """What each cell adds to all of its views, (z, cells).

    Args:
        sinogram: (z, views, cells) line integrals without NaN.
        width: number of neighbouring cells among which one is compared.

    Raises:
        ValueError: fewer than 8 views or than ``width`` cells, or a width that is even or below 5.
    """
    _, views, cells = sinogram.shape
    if width < 5 or width % 2 == 0:
        raise ValueError(f"the width must be an odd number of cells from 5, not {width}")
    if views < _LEAST_VIEWS or cells < width:
        raise ValueError(f"rings are told from at least {_LEAST_VIEWS} views of {width} cells, not {views} of {cells}")
    return np.stack([_profile(each.astype(np.float64), width) for each in sinogram]).astype(sinogram.dtype)


def without_rings(sinogram: np.ndarray, width: int = WIDTH) -> np.ndarray:
    """The sinogram without what its cells add; arguments and errors as for :func:`ring_profile`."""
    return sinogram - ring_profile(sinogram, width)[:, None]


def _profile(views: np.ndarray, width: int) -> np.ndarray:
    own = views - savgol_filter(views, width, _ORDER, axis=1)
    power = uniform_filter1d(own**2, width, axis=1)
    weight = 1 / (power + 1e-6 * power.mean() + np.finfo(float).tiny) ** 2
    return (weight * own).sum(0) / weight.sum(0)
