"""k-space in memory: what every MR raw-data reader returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from recon.scan.volume import Source, shape_text


@dataclass(frozen=True, repr=False)
class KSpace:
    """Cartesian multi-slice k-space, centred (zero frequency at index n // 2).

    Attributes:
        data: (z, coils, y, x) complex64; single-coil data have one coil. Samples not acquired are 0.
        mask: (y, x) bool, the places that the file was undersampled to; None when fully sampled.
        acquired: (y, x) bool, the rectangle that the scanner sampled; None: all of the matrix. What lies outside is
            zero padding, or was left out (partial Fourier), and no sample of any mask.
        partial_fourier: whether that rectangle is not centred: the image without the missing side is no ground truth.
        calibration: (z, coils, y, x) complex64 of fully sampled calibration lines that are no part of ``data``, zero
            elsewhere; None where there are none.
        noise_readouts: (coils, samples) complex64 of readouts that hold noise alone, of the level of ``data``; None
            where there are none.
        image_shape: (y, x) of the image after the readout oversampling is cropped; None: no crop.
        reference: (z, y, x) magnitude image that came with the file (fastMRI's
            ``reconstruction_esc`` or ``reconstruction_rss``), or None.
        affine: (4, 4) affine of the image array (x, y, z) to mm; a file that does not say gets 1 mm
            voxels, and ``meta["spacing_known"]`` is then False.
        meta: what else the file says, as plain values (``acquisition``, ``patient_id``, …).
        source: the origin of the data.
        notices: what the reader of a result must know about how the file was read.
    """

    data: Tensor
    affine: np.ndarray
    mask: Tensor | None = None
    acquired: Tensor | None = None
    partial_fourier: bool = False
    calibration: Tensor | None = None
    noise_readouts: Tensor | None = None
    image_shape: tuple[int, int] | None = None
    reference: Tensor | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    source: Source | None = None
    notices: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Shape, sampling and origin in one line, without the data."""
        sampled = "complete" if self.mask is None else "undersampled"
        origin = f", {self.source.path.name}" if self.source else ""
        return f"<k-space, {shape_text(self.data.shape)} (z, coils, y, x), {sampled}{origin}>"
