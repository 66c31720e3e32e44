"""Coil sensitivities from a fully sampled centre of k-space, and coil combination without them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_KERNEL = 6  # side of the ESPIRiT kernel in samples, sigpy's default

LEAST_CALIBRATION = _KERNEL + 1
"""Least side, in samples, of the fully sampled centre that coil sensitivity maps need."""


def rss(coils: Tensor) -> Tensor:
    """Root sum of squares over coils: (..., coils, y, x) complex to (..., y, x) real."""
    return coils.abs().square().sum(-3).sqrt()


def estimate_maps(kspace: Tensor, calib: int) -> Tensor:
    """ESPIRiT maps, slice by slice (Uecker et al. 2014, Magn Reson Med 71:990), by ``sigpy``.

    Args:
        kspace: (z, coils, y, x) complex, fully sampled in its centre.
        calib: side of that centre, in samples; 24 is usual.

    Returns:
        (z, coils, y, x) complex64 with Σ|S|² = 1 where there is signal and 0 elsewhere; a single coil gets ones.

    Raises:
        ValueError: k-space of another shape, or a centre too small or larger than k-space.
    """
    if kspace.ndim != 4 or not kspace.is_complex():
        raise ValueError(f"k-space must be (z, coils, y, x) complex, not {kspace.dtype} {tuple(kspace.shape)}")
    if kspace.shape[1] == 1:
        return torch.ones_like(kspace, dtype=torch.complex64)
    if not LEAST_CALIBRATION <= calib <= min(kspace.shape[-2:]):
        raise ValueError(
            f"coil sensitivity maps need a fully sampled centre of {LEAST_CALIBRATION} to "
            f"{min(kspace.shape[-2:])} samples a side, not {calib}; give the mask a larger calibration region"
        )
    return torch.stack([_espirit(slice_.cpu().numpy(), calib) for slice_ in kspace]).to(kspace.device)


def _espirit(kspace: np.ndarray, calib: int) -> Tensor:
    """(coils, y, x) maps of one slice; a slice without signal has none."""
    if not kspace.any():
        return torch.zeros(kspace.shape, dtype=torch.complex64)
    from sigpy.mri.app import EspiritCalib

    maps = EspiritCalib(kspace, calib_width=calib, kernel_width=_KERNEL, show_pbar=False).run()
    return normalise(torch.from_numpy(np.asarray(maps, dtype=np.complex64)))


def normalise(maps: Tensor) -> Tensor:
    """Divide by the root sum of squares over coils where it is not 0: (..., coils, y, x) to the same."""
    magnitude = rss(maps).unsqueeze(-3)
    return torch.where(magnitude > 0, maps / magnitude.clamp_min(torch.finfo(magnitude.dtype).tiny), 0)
