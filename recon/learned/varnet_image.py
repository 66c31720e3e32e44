"""The variational network on measurements: the scale, and the centre of k-space.

Training and reconstruction share this: in training the gradient flows through it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from physics.mr.masks import calibration_width
from priors.networks.varnet import VarNet
from recon.errors import InputError
from recon.scan.measurement import Measurement


def varnet_image(net: VarNet, measurement: Measurement, scale: float) -> Tensor:
    """Complex image (z, y, x): the completed k-space, its coils combined by the sensitivities of the measurement.

    Args:
        net: network in eval mode, or in training.
        measurement: Cartesian MR measurement, see :func:`cartesian_mask`.
        scale: magnitude that the network calls 1.
    """
    mask = cartesian_mask(measurement)
    kspace = net(measurement.y / scale, mask, fully_sampled_centre(mask))
    return measurement.operator.unmasked().adjoint(kspace) * scale


def cartesian_mask(measurement: Measurement) -> Tensor:
    """The mask (y, x) of a Cartesian measurement, the same for all slices and coils.

    Raises:
        InputError: k-space along a trajectory, or masks that differ between slices.
    """
    mask = measurement.operator.mask
    if mask is None or mask.shape != measurement.y.shape[-2:] or measurement.y.ndim != 4:
        raise InputError("`method` varnet: it takes Cartesian k-space with one mask for all slices; take tv")
    return mask


def fully_sampled_centre(mask: Tensor) -> Tensor:
    """(y, x) bool: the fully sampled centre of a mask, a square or, where whole columns are sampled, its columns.

    At least one sample, that of frequency zero, whatever the mask.
    """
    rows, columns = mask.shape
    centre = torch.zeros_like(mask)
    if torch.equal(mask, mask[:1].expand_as(mask)):
        width = _run_around_the_middle(mask[0])
        centre[:, columns // 2 - width // 2 : columns // 2 - width // 2 + width] = True
        return centre
    width = max(1, calibration_width(mask))
    first_row, first_column = rows // 2 - width // 2, columns // 2 - width // 2
    centre[first_row : first_row + width, first_column : first_column + width] = True
    return centre


def _run_around_the_middle(sampled: Tensor) -> int:
    """The width of the largest run of samples that is centred like the centre of a mask; at least 1."""
    middle, width = len(sampled) // 2, 1
    while width < len(sampled):
        first = middle - (width + 1) // 2
        if first < 0 or not bool(sampled[first : first + width + 1].all()):
            break
        width += 1
    return width
