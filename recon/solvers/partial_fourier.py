"""What methods for partial Fourier have in common: which samples have a mirror image, and the phase that these tell."""

from __future__ import annotations

from torch import Tensor

from physics.mr.phase import smoothed_phase
from recon.errors import InputError
from recon.scan.measurement import Measurement


def symmetric_samples(measurement: Measurement, method: str) -> Tensor:
    """(y, x) bool, the samples whose mirror images were taken too.

    Raises:
        InputError: samples on no grid, or none with a mirror image.
    """
    mask = measurement.operator.mask
    if mask is None or mask.ndim != 2:
        raise InputError(f"`method` {method}: takes samples on a Cartesian grid; these lie along a trajectory")
    symmetric = mask & mirrored(mask)
    if not symmetric.any():
        raise InputError(f"`method` {method}: no sample has its mirror image, so that the phase is not known")
    return symmetric


def phase_of(measurement: Measurement, symmetric: Tensor) -> Tensor:
    """(z, y, x) complex numbers of magnitude 1: the phase of the image of the symmetric samples."""
    return smoothed_phase(measurement.operator.keeping(symmetric).adjoint(measurement.y * symmetric))


def mirrored(mask: Tensor) -> Tensor:
    """A (y, x) mask at the opposite frequencies; zero frequency is at n // 2."""
    centres = [n // 2 for n in mask.shape]
    # Index i goes to 2c − i: a flip takes it to n − 1 − i, and a roll by 2c − n + 1 from there.
    shifts = [2 * c - n + 1 for c, n in zip(centres, mask.shape, strict=True)]
    return mask.flip(-2, -1).roll(shifts, (-2, -1))
