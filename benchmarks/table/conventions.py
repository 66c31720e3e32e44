"""The paper's own way of scoring, as far as it can be read, beside the suite's (see :mod:`recon.metrics`).

The ground truth of CT is the full-view filtered backprojection. The ground truth is brought to [-1, 1] by its smallest
and largest value, and the prediction by the same two values, so that no prediction is scaled to fit. Data range 2.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from datasets.cache import Cache
from physics.ct.fbp import fbp
from physics.ct.geometry import ImageGrid, circular_angles
from physics.ct.projector import CTProjector
from recon.acquisition.ct import choose_geometry
from recon.metrics import psnr, ssim_slices, ssim_volume
from recon.scan.units import attenuation_to_hu, hu_to_attenuation
from recon.scan.volume import Volume

FULL_VIEWS = 720

_MATRIX_BYTES = 512 * 2**20
"""Held at once; the views' blocks are each used once."""


def paper_truth(truth: Volume, key: str, cache: Cache) -> Volume:
    """What the paper compares with: for CT the full-view reconstruction, for MR the volume itself.

    Args:
        truth: the ground truth in HU, or its magnitude.
        key: names the volume in the cache.
        cache: the full-view reconstruction of a case is computed once.
    """
    if truth.modality == "MR":
        return truth
    array = cache.array(f"{key[:24]}{FULL_VIEWS}", lambda: _full_view(truth).numpy())
    return truth.like(torch.from_numpy(np.array(array)))


def _full_view(truth: Volume) -> Tensor:
    geometry = replace(choose_geometry("paper40"), angles=circular_angles(FULL_VIEWS))
    grid = ImageGrid((truth.data.shape[1], truth.data.shape[2]), truth.spacing[1:])
    projector = CTProjector(geometry, grid, max_bytes=_MATRIX_BYTES, slices=len(truth.data))
    sinogram = projector(hu_to_attenuation(truth.data.clone()))
    return attenuation_to_hu(fbp(sinogram, projector.geometry, grid, "ram-lak"))


def paper_metrics(truth: Volume, prediction: Volume) -> dict[str, float | None]:
    """``psnr``, ``ssim`` (mean over axial slices) and ``ssim_3d`` at range 2."""
    low, high = float(truth.data.min()), float(truth.data.max())
    if high <= low:
        return {"psnr": None, "ssim": None, "ssim_3d": None}
    pair = [((volume.data.numpy() - low) * (2 / (high - low)) - 1).astype(np.float32) for volume in (truth, prediction)]
    values = {
        "psnr": psnr(pair[0], pair[1], 2.0),
        "ssim": ssim_slices(pair[0], pair[1], 2.0),
        "ssim_3d": ssim_volume(pair[0], pair[1], 2.0),
    }
    return {name: value if np.isfinite(value) else None for name, value in values.items()}
