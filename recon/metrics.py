"""Image quality, with the data range always stated. A prediction is never rescaled to fit.

PSNR is over the whole volume; SSIM is the mean over axial slices with skimage's default 7×7 window.
CT is scored in the window [−1000, 1000] HU with its width as the range; MR with the maximum of the
reference volume as the range (the convention of fastMRI).
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from recon.units import CT_WINDOW, SOFT_TISSUE_WINDOW
from recon.volume import Modality

SSIM_WINDOW = 7
_BODY_HU = -500.0
_SSIM_SLAB = 16


def psnr(truth: np.ndarray, prediction: np.ndarray, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB over all voxels; infinite for equal arrays."""
    mse = _error_power(truth, prediction) / truth.size
    return 10 * math.log10(data_range**2 / mse) if mse > 0 else math.inf


def nmse(truth: np.ndarray, prediction: np.ndarray) -> float:
    """‖truth − prediction‖² / ‖truth‖²."""
    power = _error_power(truth, np.broadcast_to(np.float32(0), truth.shape))
    return _error_power(truth, prediction) / power if power > 0 else math.nan


def _error_power(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Σ(truth − prediction)² in float64, slice by slice: a large volume is not copied."""
    pairs = zip(truth, prediction, strict=True)
    return float(sum(np.sum(np.square(t - p, dtype=np.float64)) for t, p in pairs))


def ssim_slices(truth: np.ndarray, prediction: np.ndarray, data_range: float) -> float:
    """Mean over axial slices of skimage's SSIM (7×7 uniform window); NaN for slices below 7 pixels."""
    from skimage.metrics import structural_similarity

    if min(truth.shape[1:]) < SSIM_WINDOW:
        return math.nan
    pairs = zip(truth, prediction, strict=True)
    return float(np.mean([structural_similarity(t, p, data_range=data_range) for t, p in pairs]))


def ssim_volume(truth: np.ndarray, prediction: np.ndarray, data_range: float) -> float:
    """skimage's SSIM with a 7×7×7 window; NaN for volumes thinner than 7 voxels.

    Computed slab by slab: skimage averages over the voxels whose window fits, so slabs that overlap by
    the window give the same mean without several copies of the volume.
    """
    from skimage.metrics import structural_similarity

    if min(truth.shape) < SSIM_WINDOW:
        return math.nan
    overlap, total = SSIM_WINDOW - 1, 0.0
    valid = len(truth) - overlap
    for first in range(0, valid, _SSIM_SLAB):
        count = min(_SSIM_SLAB, valid - first)
        slab = slice(first, first + count + overlap)
        total += count * float(structural_similarity(truth[slab], prediction[slab], data_range=data_range))
    return total / valid


def body_mask(truth: np.ndarray, modality: Modality) -> np.ndarray:
    """Voxels of the patient: above −500 HU (CT) or a tenth of the 99th percentile (MR), holes filled by slice."""
    threshold = _BODY_HU if modality == "CT" else 0.1 * float(np.percentile(truth, 99))
    return np.stack([ndimage.binary_fill_holes(plane) for plane in truth > threshold])


def evaluate(truth: np.ndarray, prediction: np.ndarray, modality: Modality) -> dict[str, float | None]:
    """All metrics of one volume.

    Args:
        truth: (z, y, x), HU or magnitude.
        prediction: the same shape and unit.
        modality: decides window and range.

    Returns:
        ``psnr`` and ``ssim`` (primary), ``ssim_3d``, ``psnr_body``, ``nmse``; for CT also
        ``psnr_soft_tissue`` and ``ssim_soft_tissue``. None where a metric is undefined.

    Raises:
        ValueError: the shapes differ.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"the truth is {truth.shape}, the prediction {prediction.shape}")
    truth, prediction = np.asarray(truth, np.float32), np.asarray(prediction, np.float32)
    body = body_mask(truth, modality)
    values: dict[str, float] = {}
    if modality == "CT":
        low, high = SOFT_TISSUE_WINDOW
        soft_truth, soft = truth.clip(low, high), prediction.clip(low, high)
        values["psnr_soft_tissue"] = psnr(soft_truth, soft, high - low)
        values["ssim_soft_tissue"] = ssim_slices(soft_truth, soft, high - low)
        low, high = CT_WINDOW
        truth, prediction, data_range = truth.clip(low, high), prediction.clip(low, high), high - low
        values["nmse"] = nmse(truth - low, prediction - low)
    else:
        data_range = float(truth.max())
        values["nmse"] = nmse(truth, prediction)
    values["psnr"] = psnr(truth, prediction, data_range)
    values["ssim"] = ssim_slices(truth, prediction, data_range)
    values["ssim_3d"] = ssim_volume(truth, prediction, data_range)
    values["psnr_body"] = psnr(truth[body][None], prediction[body][None], data_range) if body.any() else math.nan
    order = ("psnr", "ssim", "ssim_3d", "psnr_body", "psnr_soft_tissue", "ssim_soft_tissue", "nmse")
    return {key: _finite(values[key]) for key in order if key in values}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
