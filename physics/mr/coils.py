"""Coil sensitivities from a fully sampled centre of k-space, and coil combination without them."""

from __future__ import annotations

import torch
from torch import Tensor

from physics.mr.cartesian import ifft2c
from physics.mr.espirit import espirit

_KERNELS = (3, 6)
"""Least and largest side of the ESPIRiT kernel in samples; 6 is usual."""

_CALIBRATION_FOR_KERNEL = 3
"""Side of the calibration region over that of the kernel. A larger kernel leaves so few patches that they do not span
what the coils measure: a kernel of 6 in a region of 10 has eigenvalues of 0.8 where there is signal, one of 4 has 1.00,
and errors of the maps 30 times smaller (drawn phantoms, 4 to 16 coils)."""

_CROP = 0.95
"""Eigenvalue below which a voxel is taken to have no signal and gets no map, sigpy's default."""

_LEAST_COVERED = 0.98
"""Share of the energy of the central k-space's image below which such voxels do have signal: the calibration region
is too small or too noisy for eigenvalues to tell. Every voxel gets a map then."""

LEAST_CALIBRATION = 7
"""Least side, in samples, of the fully sampled centre that coil sensitivity maps need."""

SURE_CALIBRATION = 12
"""Side, in samples, of the fully sampled centre below which maps are less exact, and the reader must know."""


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
    """ESPIRiT maps, slice by slice (Uecker et al. 2014, Magn Reson Med 71:990).

    Args:
        kspace: (z, coils, y, x) complex, fully sampled in its centre.
        calib: side of that centre, in samples; 24 is usual.

    Returns:
        (z, coils, y, x) complex64 with Σ|S|² = 1 where there is signal and 0 elsewhere, or 1 everywhere where the
        centre does not tell where there is signal; a single coil gets ones.

    Raises:
        ValueError: k-space of another shape, or a centre too small or larger than k-space.
    """
    if kspace.ndim != 4 or not kspace.is_complex():
        raise ValueError(f"k-space must be (z, coils, y, x) complex, not {kspace.dtype} {tuple(kspace.shape)}")
    if kspace.shape[1] == 1:
        return torch.ones_like(kspace, dtype=torch.complex64)
    side = min(kspace.shape[-2:])
    if side < LEAST_CALIBRATION:
        raise ValueError(
            f"coil sensitivity maps need {LEAST_CALIBRATION} or more samples a side, but k-space is "
            f"{kspace.shape[-2]} × {kspace.shape[-1]} (y, x); is one of these the axis of the coils?"
        )
    if not LEAST_CALIBRATION <= calib <= side:
        raise ValueError(
            f"coil sensitivity maps need a fully sampled centre of {LEAST_CALIBRATION} to {side} samples a side, "
            f"not {calib}; give the mask a larger one (`calib`)"
        )
    return torch.stack([_maps_of_slice(slice_.cpu(), calib) for slice_ in kspace]).to(kspace.device)


def kernel_side(calib: int) -> int:
    """Side of the ESPIRiT kernel for a calibration region of ``calib`` samples a side."""
    least, largest = _KERNELS
    return min(largest, max(least, -(-calib // _CALIBRATION_FOR_KERNEL)))


def _maps_of_slice(kspace: Tensor, calib: int) -> Tensor:
    """(coils, y, x) maps of one slice; a slice without signal has none."""
    shape = (kspace.shape[-2], kspace.shape[-1])
    rows, columns = (slice(n // 2 - calib // 2, n // 2 - calib // 2 + calib) for n in shape)
    centre = kspace[:, rows, columns]
    if not centre.any():
        return torch.zeros(kspace.shape, dtype=torch.complex64)
    maps, eigenvalues = espirit(centre, shape, kernel_side(calib))
    padded = torch.zeros(kspace.shape, dtype=torch.complex64)
    padded[:, rows, columns] = centre.to(torch.complex64)
    energy, signal = ifft2c(padded).abs().square().sum(0), eigenvalues > _CROP
    return maps * signal if float(energy[signal].sum()) >= _LEAST_COVERED * float(energy.sum()) else maps


def normalise(maps: Tensor) -> Tensor:
    """Divide by the root sum of squares over coils where it is not 0: (..., coils, y, x) to the same."""
    magnitude = rss(maps).unsqueeze(-3)
    return torch.where(magnitude > 0, maps / magnitude.clamp_min(torch.finfo(magnitude.dtype).tiny), 0)
