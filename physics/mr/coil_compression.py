"""Geometric coil compression: virtual coils of their own for every place along the fully sampled readout.

Few coils see a plane of the object perpendicular to the readout, so that fewer virtual coils hold it than hold the
whole (Zhang et al. 2013, Magn Reson Med 69:571). Those of neighbouring planes are turned to agree, so that the virtual
coils' sensitivities are smooth along the readout as well.
"""

from __future__ import annotations

import torch
from torch import Tensor

from physics.mr.stack_of_stars import fft1c, ifft1c

_ROWS = -2


def geometric(
    kspace: Tensor, count: int, along_slices: bool, further: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """k-space in fewer virtual coils, chosen anew for every place along the readout.

    The combinations are orthonormal, so that white noise stays white and of the same level.

    Args:
        kspace: (z, coils, y, x) complex, zero where not sampled.
        count: number of virtual coils, 1 to the number of coils.
        along_slices: whether the slices are the places along the readout; else it runs along the rows, y, which every
            column must have in full, and all slices have the same virtual coils.
        further: (z, coils, y, x) complex data to combine in the same way, such as calibration lines; None for none.

    Returns:
        (z, count, y, x) of both; None in place of no further data.

    Raises:
        ValueError: no coil, or more virtual coils than there are.
    """
    coils = kspace.shape[1]
    if not 1 <= count <= coils:
        raise ValueError(f"{count} virtual coils of {coils}; 1 to {coils} are possible")

    def to_places(values: Tensor) -> Tensor:
        return values if along_slices else ifft1c(values, _ROWS).transpose(0, 2)

    combine = aligned(_combinations(to_places(kspace), count)).to(kspace.dtype)

    def combined(values: Tensor) -> Tensor:
        found = torch.einsum("pvc,pcab->pvab", combine, to_places(values))
        return found if along_slices else fft1c(found.transpose(0, 2), _ROWS).contiguous()

    return combined(kspace), None if further is None else combined(further)


def _combinations(places: Tensor, count: int) -> Tensor:
    """(places, count, coils) orthonormal combinations that hold most of the energy of (places, coils, ·, ·) data."""
    samples = places.flatten(2).to(torch.complex128)
    _, vectors = torch.linalg.eigh(samples @ samples.mH)
    return vectors[..., -count:].flip(-1).mH


def aligned(combinations: Tensor) -> Tensor:
    """(places, virtual coils, coils) combinations, each turned within the space that it spans to be as near to the one
    before as can be (orthogonal Procrustes problem)."""
    turned = [combinations[0]]
    for following in combinations[1:]:
        left, _, right = torch.linalg.svd(following @ turned[-1].mH)
        turned.append((left @ right).mH @ following)
    return torch.stack(turned)
