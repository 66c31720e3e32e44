"""Between a scan's images and what networks see of them: units and axes, in one place.

Images of methods are (z, y, x) in the operator's unit: attenuation in 1/mm, or a complex image. Networks take
(Z, X, Y) in the network range [-1, 1]. The scale of a measurement follows from the measurement alone and is computed
once.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from physics.mr.grain import grain_of_outer_samples
from recon.scan.measurement import Measurement
from recon.scan.once import once_per_measurement
from recon.scan.units import (
    attenuation_to_hu,
    hu_to_attenuation,
    hu_to_network,
    magnitude_scale,
    magnitude_to_network,
    network_spread_to_attenuation,
    network_to_hu,
    network_to_magnitude,
)
from recon.scan.volume import Volume
from recon.solvers.slabs import zero_filled

NOISE_KEPT = 0.25
"""Of the noise of filtered backprojection. With it the spread of one validation case means what it means for another,
at 1e4 to 1e6 photons."""


def network_axes(image: Tensor) -> Tensor:
    """(..., y, x) as (..., X, Y), the order in which networks see a slice; a view."""
    return image.transpose(-2, -1)


def patient_axes(image: Tensor) -> Tensor:
    """(..., X, Y) of a network as (..., y, x); a view."""
    return image.transpose(-2, -1)


@dataclass(frozen=True)
class NetworkScale(ABC):
    """What one measurement's images are to networks.

    Attributes:
        unit: one of the network range, in the operator's unit.
        grain: standard deviation of the noise that the scan foretells in an image, the same everywhere, in the
            operator's unit; 0 where it foretells none.
    """

    unit: float
    grain: float

    @abstractmethod
    def to_network(self, image: Tensor) -> Tensor:
        """An image (z, y, x) in the operator's unit as (Z, X, Y) in the network range."""

    @abstractmethod
    def truth(self, volume: Volume) -> Tensor:
        """The ground truth of the scan, HU or magnitude, as (Z, X, Y) in the network range."""

    @abstractmethod
    def to_physical(self, image: Tensor) -> Tensor:
        """(Z, X, Y) in the network range as (z, y, x): attenuation in 1/mm, or magnitude in the operator's unit."""

    @abstractmethod
    def changed(self, image: Tensor, change: Tensor) -> Tensor:
        """An image with a change that a network advises.

        Args:
            image: (z, y, x) in the operator's unit.
            change: (Z, X, Y), in units of the network range, on any device.
        """

    def spread_to_physical(self, spread: Tensor) -> Tensor:
        """A standard deviation (Z, X, Y) in the network range as (z, y, x) in the operator's unit."""
        return patient_axes(spread) * self.unit


@dataclass(frozen=True)
class CTScale(NetworkScale):
    """CT: the network range is the window of HU, the same for every scan."""

    def to_network(self, image: Tensor) -> Tensor:
        return network_axes(hu_to_network(attenuation_to_hu(image)))

    def truth(self, volume: Volume) -> Tensor:
        return network_axes(hu_to_network(volume.data))

    def to_physical(self, image: Tensor) -> Tensor:
        return hu_to_attenuation(network_to_hu(patient_axes(image)))

    def changed(self, image: Tensor, change: Tensor) -> Tensor:
        difference = patient_axes(change).to(image.device)
        return (image + network_spread_to_attenuation(difference)).clamp_min(0)


@dataclass(frozen=True)
class MRScale(NetworkScale):
    """MR: the network range is magnitude, from 0 to what is bright in the zero-filled image of the scan.

    Attributes:
        magnitude: the magnitude that networks call 1.
    """

    magnitude: float

    def to_network(self, image: Tensor) -> Tensor:
        return network_axes(magnitude_to_network(image.abs(), self.magnitude))

    def truth(self, volume: Volume) -> Tensor:
        return network_axes(magnitude_to_network(volume.data, self.magnitude))

    def to_physical(self, image: Tensor) -> Tensor:
        return network_to_magnitude(patient_axes(image)) * self.magnitude

    def changed(self, image: Tensor, change: Tensor) -> Tensor:
        """The magnitude is changed; the phase stays."""
        difference = patient_axes(change).to(image.device)
        magnitude = (image.abs() + difference / 2 * self.magnitude).clamp_min(0)
        return torch.polar(magnitude.float(), image.angle().float())


def network_scale(measurement: Measurement) -> NetworkScale:
    """The scale of a measurement, computed when it is first asked for.

    Raises:
        ValueError: MR whose zero-filled image is zero almost everywhere.
    """
    return mr_scale(measurement) if measurement.y.is_complex() else _ct_scale(measurement)


@once_per_measurement
def mr_scale(measurement: Measurement) -> MRScale:
    """The scale of k-space, as :func:`network_scale`.

    What was not sampled has the noise of the outermost samples too, so that those foretell the grain. Samples on no
    grid do not tell of theirs, and the grain is 0.
    """
    magnitude = magnitude_scale(zero_filled(measurement).abs())
    mask = measurement.operator.mask
    grain = 0.0 if mask is None else grain_of_outer_samples(measurement.y, mask)
    return MRScale(magnitude / 2, grain, magnitude)


@once_per_measurement
def _ct_scale(measurement: Measurement) -> CTScale:
    """The grain is a share of what backprojection would make of the sinogram's noise.

    The noise of filtered backprojection goes as that of the line integrals over pixel size and √views (Kak & Slaney
    1988, section 5.2).
    """
    unit = float(network_spread_to_attenuation(torch.ones(())))
    if measurement.sigma is None:
        return CTScale(unit, 0.0)
    sigma = float(torch.as_tensor(measurement.sigma).square().mean().sqrt())
    return CTScale(unit, NOISE_KEPT * sigma / (min(measurement.spacing[1:]) * math.sqrt(measurement.y.shape[1])))
