"""Image quality, with the data range always stated. A prediction is never rescaled to fit.

PSNR is over the whole volume; SSIM is the mean over axial slices with skimage's default 7×7 window.
CT is scored in the window [−1000, 1000] HU with its width as the range; MR with the maximum of the
reference volume as the range (the convention of fastMRI).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from recon.scan.units import CT_WINDOW, SOFT_TISSUE_WINDOW
from recon.scan.volume import Modality

SSIM_WINDOW = 7
Window = tuple[float, float]

_BODY_HU = -500.0
_SSIM_SLAB = 16
_FOURTH_POWERS_FIT = (1e-7, 1e8)
"""Data ranges of which SSIM in float32 neither underflows nor overflows."""


def psnr(truth: np.ndarray, prediction: np.ndarray, data_range: float, window: Window | None = None) -> float:
    """Peak signal-to-noise ratio in dB over all voxels; infinite for equal arrays, NaN for an empty range.

    Here and below, ``window`` clips both arrays first. All metrics work slice by slice or slab by slab: a
    large volume is not copied.
    """
    return _decibels(_error_power(truth, prediction, window), truth.size, data_range)


def nmse(truth: np.ndarray, prediction: np.ndarray, window: Window | None = None) -> float:
    """‖truth − prediction‖² / ‖truth‖²; in a window, values count from its lower end."""
    floor = np.float32(window[0] if window else 0)
    power = _error_power(truth, np.broadcast_to(floor, truth.shape), window)
    return _error_power(truth, prediction, window) / power if power > 0 else math.nan


def ssim_slices(truth: np.ndarray, prediction: np.ndarray, data_range: float, window: Window | None = None) -> float:
    """Mean over axial slices of skimage's SSIM (7×7 uniform window); NaN for slices below 7 pixels."""
    if min(truth.shape[1:]) < SSIM_WINDOW or data_range <= 0:
        return math.nan
    pairs = _clipped_pairs(truth, prediction, window)
    return float(np.mean([_similarity(t, p, data_range) for t, p in pairs]))


def ssim_volume(truth: np.ndarray, prediction: np.ndarray, data_range: float, window: Window | None = None) -> float:
    """skimage's SSIM with a 7×7×7 window; NaN for volumes thinner than 7 voxels.

    skimage averages over the voxels whose window fits, so slabs that overlap by the window give the mean
    of the whole.
    """
    if min(truth.shape) < SSIM_WINDOW or data_range <= 0:
        return math.nan
    overlap, total = SSIM_WINDOW - 1, 0.0
    valid = len(truth) - overlap
    for first in range(0, valid, _SSIM_SLAB):
        count = min(_SSIM_SLAB, valid - first)
        slab = slice(first, first + count + overlap)
        pair = _clip(truth[slab], window), _clip(prediction[slab], window)
        total += count * _similarity(*pair, data_range)
    return total / valid


def _similarity(truth: np.ndarray, prediction: np.ndarray, data_range: float) -> float:
    """skimage's SSIM, whose fourth powers of values must fit float32: k-space may be of any scale."""
    from skimage.metrics import structural_similarity

    if not _FOURTH_POWERS_FIT[0] <= data_range <= _FOURTH_POWERS_FIT[1]:
        unit = np.float64(data_range)
        truth, prediction, data_range = truth / unit, prediction / unit, 1.0
    return float(structural_similarity(truth, prediction, data_range=data_range))


def psnr_body(
    truth: np.ndarray, prediction: np.ndarray, data_range: float, modality: Modality, window: Window | None = None
) -> float:
    """PSNR over the voxels of the patient only; NaN where there are none."""
    power, count = 0.0, 0
    for body, (t, p) in zip(body_masks(truth, modality), _clipped_pairs(truth, prediction, window), strict=True):
        power += float(np.sum(np.square(t[body] - p[body], dtype=np.float64)))
        count += int(body.sum())
    return _decibels(power, count, data_range)


def body_masks(truth: np.ndarray, modality: Modality) -> Iterator[np.ndarray]:
    """The patient in each axial slice: above −500 HU, or a tenth of MR's 99th percentile, and holes within."""
    threshold = _BODY_HU if modality == "CT" else 0.1 * float(np.percentile(truth, 99))
    for plane in truth:
        yield ndimage.binary_fill_holes(plane > threshold)


@dataclass(frozen=True)
class Scored:
    """A ground truth and a prediction as metrics see them.

    Attributes:
        truth: (z, y, x) float32, HU or magnitude.
        prediction: the same shape and unit.
        modality: CT or MR.
        data_range: the range of the modality's convention, in the volumes' unit.
        window: the values that both are clipped to; None for MR.
    """

    truth: np.ndarray
    prediction: np.ndarray
    modality: Modality
    data_range: float
    window: Window | None


@dataclass(frozen=True)
class Metric:
    """All that the suite says of a figure of merit; ``result.json``, reports, tables and the terminal follow from it.

    Attributes:
        title: the name that people read.
        unit: the unit, such as ``dB``; "" for a ratio.
        better: the direction of the better figure; None for a figure without one.
        digits: decimals; None prints three significant digits.
        compute: computes it; None for what is measured elsewhere, such as the data residual.
        modalities: the modalities that it is defined for.
        in_tables: whether the tables of the benchmarks have a column of it.
        on_screen: whether a run prints it.
    """

    title: str
    unit: str
    better: Literal["higher", "lower"] | None
    digits: int | None
    compute: Callable[[Scored], float] | None
    modalities: tuple[Modality, ...] = ("CT", "MR")
    in_tables: bool = False
    on_screen: bool = False

    @property
    def heading(self) -> str:
        """The title with the unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def decimals(self) -> int:
        """Decimals of means, deviations and differences, which are printed one below the other."""
        return 4 if self.digits is None else self.digits

    def text(self, value: float, sign: str = "") -> str:
        """A figure as people read it; ``sign`` "+" marks positive ones."""
        return f"{value:{sign}.3g}" if self.digits is None else f"{value:{sign}.{self.digits}f}"


_SOFT_RANGE = SOFT_TISSUE_WINDOW[1] - SOFT_TISSUE_WINDOW[0]

METRICS: dict[str, Metric] = {
    "psnr": Metric(
        "PSNR",
        "dB",
        "higher",
        2,
        lambda s: psnr(s.truth, s.prediction, s.data_range, s.window),
        in_tables=True,
        on_screen=True,
    ),
    "ssim": Metric(
        "SSIM",
        "",
        "higher",
        4,
        lambda s: ssim_slices(s.truth, s.prediction, s.data_range, s.window),
        in_tables=True,
        on_screen=True,
    ),
    "ssim_3d": Metric("SSIM 3D", "", "higher", 4, lambda s: ssim_volume(s.truth, s.prediction, s.data_range, s.window)),
    "psnr_body": Metric(
        "PSNR body", "dB", "higher", 2, lambda s: psnr_body(s.truth, s.prediction, s.data_range, s.modality, s.window)
    ),
    "psnr_soft_tissue": Metric(
        "PSNR soft tissue",
        "dB",
        "higher",
        2,
        lambda s: psnr(s.truth, s.prediction, _SOFT_RANGE, SOFT_TISSUE_WINDOW),
        ("CT",),
        in_tables=True,
        on_screen=True,
    ),
    "ssim_soft_tissue": Metric(
        "SSIM soft tissue",
        "",
        "higher",
        4,
        lambda s: ssim_slices(s.truth, s.prediction, _SOFT_RANGE, SOFT_TISSUE_WINDOW),
        ("CT",),
    ),
    "nmse": Metric("NMSE", "", "lower", None, lambda s: nmse(s.truth, s.prediction, s.window)),
    # The data residual has no better direction: below the noise level it means that noise was fitted.
    "residual": Metric("data residual", "", None, None, None, on_screen=True),
}
"""Every figure of merit by its key, in the order in which it is reported."""


def evaluate(truth: np.ndarray, prediction: np.ndarray, modality: Modality) -> dict[str, float | None]:
    """All metrics of one volume.

    Args:
        truth: (z, y, x), HU or magnitude.
        prediction: the same shape and unit.
        modality: decides window and range.

    Returns:
        Every metric of ``METRICS`` that is computed for the modality; None where it is undefined.

    Raises:
        ValueError: the shapes differ.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"the ground truth is {truth.shape}, the prediction {prediction.shape}")
    window = CT_WINDOW if modality == "CT" else None
    data_range = window[1] - window[0] if window else float(truth.max())
    scored = Scored(np.asarray(truth, np.float32), np.asarray(prediction, np.float32), modality, data_range, window)
    values = {
        key: metric.compute(scored)
        for key, metric in METRICS.items()
        if metric.compute is not None and modality in metric.modalities
    }
    return {key: value if math.isfinite(value) else None for key, value in values.items()}


def _decibels(power: float, count: int, data_range: float) -> float:
    if not (count and data_range > 0) or math.isnan(power):
        return math.nan
    return 10 * math.log10(data_range**2 * count / power) if power > 0 else math.inf


def _error_power(truth: np.ndarray, prediction: np.ndarray, window: Window | None) -> float:
    """Σ(truth − prediction)² in float64."""
    pairs = _clipped_pairs(truth, prediction, window)
    return float(sum(np.sum(np.square(t - p, dtype=np.float64)) for t, p in pairs))


def _clipped_pairs(
    truth: np.ndarray, prediction: np.ndarray, window: Window | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for t, p in zip(truth, prediction, strict=True):
        yield _clip(t, window), _clip(p, window)


def _clip(values: np.ndarray, window: Window | None) -> np.ndarray:
    return values if window is None else values.clip(*window)
