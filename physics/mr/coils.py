"""Coil sensitivities from a fully sampled centre of k-space, and coil combination without them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from physics.mr.cartesian import ifft2c

_KERNEL = 6  # side of the ESPIRiT kernel in samples, sigpy's default

_CROP = 0.95
"""Eigenvalue below which a voxel is taken to have no signal and gets no map, sigpy's default."""

_LEAST_COVERED = 0.98
"""Share of the energy of the central k-space's image below which such voxels do have signal: of a small calibration
region all eigenvalues are low. Every voxel gets a map then."""

LEAST_CALIBRATION = _KERNEL + 1
"""Least side, in samples, of the fully sampled centre that coil sensitivity maps need."""


def rss(coils: Tensor) -> Tensor:
    """Root sum of squares over coils: (..., coils, y, x) complex to (..., y, x) real."""
    return coils.abs().square().sum(-3).sqrt()


def compressed(kspace: Tensor, count: int, further: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """k-space in fewer virtual coils: the combinations of coils that hold most of its energy.

    The combinations are orthonormal, so that white noise stays white and of the same level (Buehrer et al. 2007, Magn
    Reson Med 57:1131). They are the same for every slice.

    Args:
        kspace: (z, coils, y, x) complex, zero where not sampled.
        count: number of virtual coils, 1 to the number of coils.
        further: (z, coils, y, x) complex data to combine in the same way, such as calibration lines; None for none.

    Returns:
        (z, count, y, x) of both; None in place of no further data.

    Raises:
        ValueError: no coil, or more virtual coils than there are.
    """
    coils = kspace.shape[1]
    if not 1 <= count <= coils:
        raise ValueError(f"{count} virtual coils of {coils}; 1 to {coils} are possible")
    samples = kspace.movedim(1, 0).reshape(coils, -1).to(torch.complex128)
    _, vectors = torch.linalg.eigh(samples @ samples.mH)
    combine = vectors[:, -count:].flip(1).mH.to(kspace.dtype)

    def combined(data: Tensor) -> Tensor:
        return torch.einsum("vc,zcyx->zvyx", combine, data)

    return combined(kspace), None if further is None else combined(further)


def estimate_maps(kspace: Tensor, calib: int) -> Tensor:
    """ESPIRiT maps, slice by slice (Uecker et al. 2014, Magn Reson Med 71:990), by ``sigpy``.

    Args:
        kspace: (z, coils, y, x) complex, fully sampled in its centre.
        calib: side of that centre, in samples; 24 is usual.

    Returns:
        (z, coils, y, x) complex64 with Σ|S|² = 1 where there is signal and 0 elsewhere, or 1 everywhere where too small
        a centre does not tell where there is signal; a single coil gets ones.

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

    for crop in (_CROP, 0.0):
        app = EspiritCalib(kspace, calib_width=calib, kernel_width=_KERNEL, crop=crop, show_pbar=False)
        maps = torch.from_numpy(np.asarray(app.run(), dtype=np.complex64))
        if _covered_energy(kspace, maps, calib) >= _LEAST_COVERED:
            break
    return normalise(maps)


def _covered_energy(kspace: np.ndarray, maps: Tensor, calib: int) -> float:
    """Share of the energy of the image that the centre of k-space gives, where there are maps."""
    rows, columns = kspace.shape[-2:]
    top, left = rows // 2 - calib // 2, columns // 2 - calib // 2
    centre = torch.zeros(kspace.shape, dtype=torch.complex64)
    inside = (..., slice(top, top + calib), slice(left, left + calib))
    centre[inside] = torch.from_numpy(kspace)[inside].to(torch.complex64)
    energy = ifft2c(centre).abs().square().sum(0)
    return float(energy[rss(maps) > 0].sum() / energy.sum().clamp_min(torch.finfo(energy.dtype).tiny))


def normalise(maps: Tensor) -> Tensor:
    """Divide by the root sum of squares over coils where it is not 0: (..., coils, y, x) to the same."""
    magnitude = rss(maps).unsqueeze(-3)
    return torch.where(magnitude > 0, maps / magnitude.clamp_min(torch.finfo(magnitude.dtype).tiny), 0)
