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


def psnr(truth: np.ndarray, prediction: np.ndarray, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB over all voxels; infinite for equal arrays."""
    mse = float(np.mean(np.square(truth.astype(np.float64) - prediction)))
    return 10 * math.log10(data_range**2 / mse) if mse > 0 else math.inf


def nmse(truth: np.ndarray, prediction: np.ndarray) -> float:
    """‖truth − prediction‖² / ‖truth‖²."""
    reference = truth.astype(np.float64)
    return float(np.sum(np.square(reference - prediction)) / np.sum(np.square(reference)))


def ssim_slices(truth: np.ndarray, prediction: np.ndarray, data_range: float) -> float:
    """Mean over axial slices of skimage's SSIM (7×7 uniform window); NaN for slices below 7 pixels."""
    from skimage.metrics import structural_similarity

    if min(truth.shape[1:]) < SSIM_WINDOW:
        return math.nan
    pairs = zip(truth, prediction, strict=True)
    return float(np.mean([structural_similarity(t, p, data_range=data_range) for t, p in pairs]))


def ssim_volume(truth: np.ndarray, prediction: np.ndarray, data_range: float) -> float:
    """skimage's SSIM with a 7×7×7 window; NaN for volumes thinner than 7 voxels."""
    from skimage.metrics import structural_similarity

    if min(truth.shape) < SSIM_WINDOW:
        return math.nan
    return float(structural_similarity(truth, prediction, data_range=data_range))


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
    truth, prediction = truth.astype(np.float32), prediction.astype(np.float32)
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
    values["psnr_body"] = psnr(truth[body], prediction[body], data_range) if body.any() else math.nan
    order = ("psnr", "ssim", "ssim_3d", "psnr_body", "psnr_soft_tissue", "ssim_soft_tissue", "nmse")
    return {key: _finite(values[key]) for key in order if key in values}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
