"""CT scans for training with a drawn remainder of the model error, where a scan of a continuous object is too dear.

Networks see data whose model error was estimated on a finer grid and taken off (:mod:`recon.acquisition.model_error`).
To make such data in earnest takes a minute or more a scan, too long for networks whose scans are simulated at every
step. What is left of the error after the correction can be drawn instead: it is less than half as large as the error
itself, hardly resembles it, is nearly white along the detector, and lies where the error lies. The error itself is the
difference of thin line integrals on the finer grid and on the grid of the result, two projections.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from physics.averaging import refined
from physics.ct.geometry import Geometry
from physics.noise import NoiseModel
from priors.training.batches import derived_seed
from recon.acquisition.ct import MakeProjector, projector_for, simulate_ct
from recon.acquisition.model_error import LEFT_OVER
from recon.scan.measurement import Measurement
from recon.scan.units import attenuation_to_hu, hu_to_attenuation
from recon.scan.volume import Volume
from recon.solvers.finer_grid import REFINEMENT
from recon.solvers.left_over import SEEN_SHARE, left_over

LEFT_SHARES = (0.3, 0.6)
"""Least and largest norm of what is left of the model error over that of the error, between which it is drawn: on
slices of three validation volumes the correction leaves 0.32, 0.35 and 0.46."""

LIKENESS = 0.33
"""Correlation of what is left with the error, on the same slices 0.26 to 0.42."""

_SPREAD = 0.5
"""Largest share of a cell's draw that its neighbour has too: neighbours correlate by -0.1 to 0.4 on those slices."""

_SLAB_SLICES = 16


def simulate_with_drawn_error(
    volume: Volume,
    geometry: Geometry,
    noise: NoiseModel | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    projectors: MakeProjector | None = None,
) -> Measurement:
    """One scan by the operator itself, with a drawn remainder of the model error and with noise.

    Args:
        volume: CT in HU.
        geometry: the geometry of the scan.
        noise: noise of the line integrals; None for noise-free data.
        seed: the seed of the remainder and of the noise.
        device: the device of the operator and the data.
        projectors: makes the operators of both grids; None is :func:`recon.acquisition.ct.projector_for`.
    """
    make = projectors or projector_for
    clean = simulate_ct(volume, geometry, None, None, seed, device, make)
    error = _fine_line_integrals(volume, clean.operator.geometry, device, make) - clean.y  # type: ignore[attr-defined]
    drawn, deviation = drawn_remainder(error, torch.Generator().manual_seed(derived_seed("model error", seed)))
    y, variance = clean.y + drawn, (LEFT_OVER * deviation).square()
    protocol = replace(
        clean.protocol,
        sentences=(*clean.protocol.sentences, "A drawn remainder of the pixels' model error was added."),
        model_error=float(error.norm() / clean.y.norm()) if clean.y.any() else 0.0,
        simulation="drawn",
        noise=None if noise is None else noise.to_dict(),
    )
    if noise is not None:
        y, sigma = noise.apply(y, torch.Generator().manual_seed(seed))
        variance = variance + torch.as_tensor(0.0 if sigma is None else sigma).square()
    return replace(clean, y=y, sigma=variance.sqrt(), model_error=LEFT_OVER * deviation, protocol=protocol)


def drawn_remainder(error: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """What a correction might leave of a model error.

    Args:
        error: (z, views, cells) the error.
        random: the generator of the remainder, on the CPU.

    Returns:
        The remainder, and its standard deviation, both of the error's shape.
    """
    low, high = LEFT_SHARES
    share = low + (high - low) * float(torch.rand((), generator=random))
    size = float(error.double().square().mean().sqrt())
    deviation = left_over(error, share * size / SEEN_SHARE)
    shared = _SPREAD * float(torch.rand((), generator=random))
    white = torch.randn(error.shape, generator=random).to(error)
    own = (white + shared * white.roll(1, -1)) / (1 + shared**2) ** 0.5
    return LIKENESS * share * error + (1 - LIKENESS**2) ** 0.5 * deviation * own, deviation


def _fine_line_integrals(volume: Volume, geometry: Geometry, device: torch.device | str, make: MakeProjector) -> Tensor:
    """(z, views, cells) thin line integrals of the volume, interpolated on the finer grid."""
    _, rows, columns = volume.data.shape
    shape = (REFINEMENT * rows, REFINEMENT * columns)
    affine = volume.affine @ np.diag([1 / REFINEMENT, 1 / REFINEMENT, 1.0, 1.0])
    found = []
    for slab in volume.data.cpu().split(_SLAB_SLICES):
        body = refined(hu_to_attenuation(slab.clone()), shape)
        projector = make(Volume(attenuation_to_hu(body), affine, "CT"), geometry, device)
        found.append(projector(body.to(projector.device)))
    return torch.cat(found)
