"""The outline of the body in a CT image."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from torch import Tensor

THRESHOLD_HU = -500.0
"""HU above which a voxel is no air."""


def body_mask(hu: Tensor) -> np.ndarray:
    """Where the body is in a CT image in HU, its slices along the first axis: boolean, of the image's shape.

    The largest connected part of what is no air, with everything that it surrounds in its slices: lungs and bowel gas
    belong to the body, the table does not.
    """
    parts, count = ndimage.label(hu.numpy() > THRESHOLD_HU)
    if not count:
        return np.zeros(tuple(hu.shape), bool)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    largest = parts == sizes.argmax()
    return np.stack([ndimage.binary_fill_holes(plane) for plane in largest])
