"""What a network learns to undo: how measurements are simulated for it, and what it is shown of them.

A task is a value: it goes into a weights file as plain values, so that the network can later tell whether a scan is of
the kind that it was trained for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from physics.ct.geometry import Geometry, circular_angles, geometry_from_dict
from physics.mr.masks import MASK_KINDS, Mask, make_mask
from physics.mr.phase import smooth_phase
from physics.noise import TransmissionNoise
from priors.training.batches import derived_seed
from recon.acquisition.ct import MakeProjector, simulate_ct
from recon.acquisition.mr import noise_in_image, simulate_mr
from recon.errors import InputError
from recon.methods import get_method, parse_options
from recon.scan.measurement import Measurement, RunContext
from recon.scan.units import (
    attenuation_to_hu,
    hu_to_network,
    magnitude_scale,
    magnitude_to_network,
    network_spread_to_attenuation,
)
from recon.scan.volume import Modality, Volume
from recon.solvers.data_consistency import agreeing

NOISE_KEPT = 0.25
"""Of the noise of filtered backprojection. With it the spread of one validation case means what it means for another,
at 1e4 to 1e6 photons."""

_SMALLER_CALIBRATIONS = (20, 16, 12, 8, 4)

_ANGLE_TOLERANCE = math.radians(0.5)


@dataclass(frozen=True)
class Pair:
    """What a network sees of a measurement, and what it should say; network range, (z, y, x) each."""

    conditions: tuple[Tensor, ...]
    target: Tensor


@dataclass(frozen=True)
class CTTask:
    """Sparse or limited views.

    Attributes:
        geometry: of the scanner.
        views: fewest and most views over the geometry's arc; None keeps its own angles.
        photons: dose range, log-uniform, photons per cell; None is noise-free. Half of the simulated scans of a range
            stay noise-free.
        conditions: methods whose images the network is shown.
        reference: methods the mean of whose images samples change; none: the last condition's.
    """

    geometry: Geometry
    views: tuple[int, int] | None = None
    photons: tuple[float, float] | None = None
    conditions: tuple[str, ...] = ("fbp",)
    reference: tuple[str, ...] = ()
    modality: Modality = "CT"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the reverse of :func:`task_from_dict`."""
        return {"task": "svct"} | _plain(self) | {"geometry": self.geometry.to_dict()}

    def measure(
        self,
        volume: Volume,
        seed: int,
        device: torch.device | str = "cpu",
        projectors: MakeProjector | None = None,
    ) -> Measurement:
        """Simulate one scan of a volume in HU; ``projectors`` as :func:`recon.acquisition.ct.simulate_ct`."""
        random = torch.Generator().manual_seed(seed)
        noise = None
        if self.photons and torch.rand((), generator=random) < 0.5:
            low, high = (math.log(value) for value in self.photons)
            noise = TransmissionNoise(math.exp(low + (high - low) * float(torch.rand((), generator=random))))
        return simulate_ct(volume, self._geometry(random), None, noise, seed, device, projectors)

    def _geometry(self, random: torch.Generator) -> Geometry:
        if self.views is None:
            return self.geometry
        count = int(torch.randint(self.views[0], self.views[1] + 1, (), generator=random))
        first, arc = _arc(self.geometry)
        return replace(self.geometry, angles=circular_angles(count, first, arc))

    def pair(self, measurement: Measurement, truth: Volume) -> Pair:
        """The conditions and the target of one scan."""
        return Pair(self.images(measurement), hu_to_network(truth.data))

    def images(self, measurement: Measurement) -> tuple[Tensor, ...]:
        """What the network is shown: each condition's image."""
        return tuple(self.network(image, measurement) for image in self.shown(measurement))

    def shown(self, measurement: Measurement) -> tuple[Tensor, ...]:
        """Each condition's image as its method gives it, attenuation in 1/mm."""
        return tuple(condition_image("CT", name, measurement) for name in self.conditions)

    def network(self, image: Tensor, measurement: Measurement) -> Tensor:
        """Attenuation in 1/mm in the network range."""
        return hu_to_network(attenuation_to_hu(image))

    def changed(self, image: Tensor, change: Tensor, measurement: Measurement) -> Tensor:
        """Attenuation in 1/mm, changed by what is in units of the network range."""
        return (image + network_spread_to_attenuation(change)).clamp_min(0)

    def unit(self, measurement: Measurement) -> float:
        """One of the network range in 1/mm."""
        return float(network_spread_to_attenuation(torch.ones(())))

    def grain(self, measurement: Measurement) -> float:
        """What the sinogram's noise may leave in an image, in 1/mm: a share of what backprojection would make of it.

        The noise of filtered backprojection goes as that of the line integrals over pixel size and √views (Kak & Slaney
        1988, section 5.2).
        """
        if measurement.sigma is None:
            return 0.0
        sigma = float(torch.as_tensor(measurement.sigma).square().mean().sqrt())
        return NOISE_KEPT * sigma / (min(measurement.spacing[1:]) * math.sqrt(measurement.y.shape[1]))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The sorts of scans that are drawn, see ``kind``."""
        return ("noise-free", "noisy") if self.photons else ("noise-free",)

    def kind(self, measurement: Measurement) -> str:
        """What sort of scan it is, of those whose errors differ: with noise or without."""
        return "noise-free" if measurement.sigma is None else "noisy"

    def refusal(self, geometry: Mapping[str, Any]) -> str | None:
        """Why a scan is not of this kind, in one line; None if it is.

        Args:
            geometry: plain values of the scan's geometry, as in ``Measurement.protocol``.
        """
        scan = geometry_from_dict({key: value for key, value in geometry.items() if key != "description"})
        if type(scan) is not type(self.geometry):
            return f"it was trained for {type(self.geometry).__name__}, the scan is {type(scan).__name__}"
        fewest, most = self.views or (self.geometry.views, self.geometry.views)
        if not fewest <= scan.views <= most:
            return f"it was trained for {_range(fewest, most)} views, the scan has {scan.views}"
        trained, found = _arc(self.geometry)[1], _arc(scan)[1]
        if abs(trained - found) > _ANGLE_TOLERANCE:
            degrees = [f"{math.degrees(arc):.0f}" for arc in (trained, found)]
            return f"it was trained for an arc of {degrees[0]} degrees, the scan has {degrees[1]}"
        for name in ("source_isocentre", "source_detector"):
            if not math.isclose(getattr(scan, name, 0), getattr(self.geometry, name, 0), rel_tol=0.01):
                words = name.replace("_", " to ")
                return (
                    f"it was trained for {words} {getattr(self.geometry, name)} mm, the scan has {getattr(scan, name)}"
                )
        return None


@dataclass(frozen=True)
class MRTask:
    """Undersampled Cartesian k-space of one coil.

    Attributes:
        masks: kinds, one of which is drawn for each scan.
        accel: least and largest nominal acceleration.
        noise: largest standard deviation per complex sample, over the volume's maximum.
        phase: largest phase of an image, radians; every scan has a smooth one of its own.
        conditions: methods whose images the network is shown.
        reference: methods the mean of whose images samples change; none: the last condition's.
    """

    masks: tuple[str, ...] = ("poisson",)
    accel: tuple[float, float] = (8.0, 8.0)
    noise: float = 0.0
    phase: float = 0.0
    conditions: tuple[str, ...] = ("zero-filled",)
    reference: tuple[str, ...] = ()
    modality: Modality = "MR"

    def __post_init__(self) -> None:
        unknown = set(self.masks) - set(MASK_KINDS)
        if unknown or not self.masks:
            raise ValueError(f"masks {', '.join(unknown) or 'none'}; there are {', '.join(MASK_KINDS)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the reverse of :func:`task_from_dict`."""
        return {"task": "mri"} | _plain(self)

    def measure(self, volume: Volume, seed: int, device: torch.device | str = "cpu") -> Measurement:
        """Simulate one scan of a magnitude volume."""
        random = torch.Generator().manual_seed(seed)
        kind = self.masks[int(torch.randint(len(self.masks), (), generator=random))]
        low, high = self.accel
        accel = low + (high - low) * float(torch.rand((), generator=random))
        noise = self.noise * float(torch.rand((), generator=random))
        shape = (volume.data.shape[1], volume.data.shape[2])
        mask = _possible_mask(kind, shape, accel, int(torch.randint(2**31, (), generator=random)))
        return simulate_mr(
            volume, mask, noise=noise, seed=seed, device=device, phase=self.image_phase(volume.data.shape, seed)
        )

    def image_phase(self, shape: Sequence[int], seed: int) -> Tensor | None:
        """(z, y, x) phase of the image that a scan with this seed measures; None where it is real."""
        if not self.phase:
            return None
        random = torch.Generator().manual_seed(derived_seed("phase", seed))
        z, y, x = shape
        return smooth_phase((z, y, x), self.phase * float(torch.rand((), generator=random)), random)

    def pair(self, measurement: Measurement, truth: Volume) -> Pair:
        """The conditions and the target of one scan, both in units of what is seen of the measurement."""
        scale = self.scale(measurement)
        return Pair(self._images(measurement, scale), magnitude_to_network(truth.data, scale))

    def images(self, measurement: Measurement) -> tuple[Tensor, ...]:
        """What the network is shown: each condition's image."""
        return self._images(measurement, self.scale(measurement))

    def shown(self, measurement: Measurement) -> tuple[Tensor, ...]:
        """Each condition's image as its method gives it, complex."""
        return tuple(condition_image("MR", name, measurement) for name in self.conditions)

    def network(self, image: Tensor, measurement: Measurement) -> Tensor:
        """The magnitude of an image in the network range."""
        return magnitude_to_network(image.abs(), self.scale(measurement))

    def changed(self, image: Tensor, change: Tensor, measurement: Measurement) -> Tensor:
        """A complex image whose magnitude is changed by what is in units of the network range; its phase stays."""
        magnitude = (image.abs() + change / 2 * self.scale(measurement)).clamp_min(0)
        return torch.polar(magnitude.float(), image.angle().float())

    def unit(self, measurement: Measurement) -> float:
        """One of the network range in the measurement's unit of magnitude."""
        return self.scale(measurement) / 2

    def grain(self, measurement: Measurement) -> float:
        """Noise of the truth that a scan tells of, in the measurement's unit: what was not sampled has it too."""
        return noise_in_image(measurement)

    def _images(self, measurement: Measurement, scale: float) -> tuple[Tensor, ...]:
        return tuple(
            magnitude_to_network(condition_image("MR", name, measurement).abs(), scale) for name in self.conditions
        )

    @staticmethod
    def scale(measurement: Measurement) -> float:
        """The magnitude that the network calls 1; it follows from the measurement alone."""
        return magnitude_scale(condition_image("MR", "zero-filled", measurement).abs())

    @property
    def kinds(self) -> tuple[str, ...]:
        """The sorts of scans that are drawn, see ``kind``."""
        return self.masks

    def kind(self, measurement: Measurement) -> str:
        """What sort of scan it is, of those whose errors differ: by its mask."""
        return str((measurement.protocol.mask or {}).get("kind", "file"))

    def refusal(self, mask: Mapping[str, Any]) -> str | None:
        """Why a scan is not of this kind, in one line; None if it is.

        Args:
            mask: plain values of the scan's mask, as in ``Measurement.protocol``.
        """
        if mask.get("kind") not in self.masks:
            return f"it was trained for the masks {', '.join(self.masks)}, the scan has {mask.get('kind')}"
        low, high = self.accel
        accel = float(mask.get("accel") or 0.0)
        if not low * 0.99 <= accel <= high * 1.01:
            return f"it was trained for acceleration {_range(low, high)}, the scan has {accel:g}"
        return None


Task = CTTask | MRTask


def task_from_dict(values: Mapping[str, Any]) -> Task:
    """A task from a weights file.

    Raises:
        InputError: not the values of a task.
    """
    try:
        content: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        if content.pop("task") == "svct":
            geometry = geometry_from_dict(dict(values["geometry"]))
            return CTTask(**(content | {"geometry": geometry}))
        return MRTask(**content)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the weights do not say what they were trained for: {error}") from error


def _plain(task: Task) -> dict[str, Any]:
    """The fields; no reference where there is none, so that scans in a cache from before there were any are found."""
    values = asdict(task)
    return values if task.reference else {name: value for name, value in values.items() if name != "reference"}


def reference_images(task: Task, measurement: Measurement, shown: Sequence[Tensor]) -> Tensor:
    """(n, z, y, x) images, in the operator's unit, of which a head's samples change the mean.

    Args:
        task: of the head.
        measurement: a scan.
        shown: the images of the task's conditions.
    """
    known = dict(zip(task.conditions, shown, strict=True))
    names = task.reference or task.conditions[-1:]
    return torch.stack(
        [known[name] if name in known else condition_image(task.modality, name, measurement) for name in names]
    )


def reference_image(measurement: Measurement, images: Tensor) -> Tensor:
    """The image that a head's samples change, (z, y, x): the only one, or the mean that agrees with the data.

    Methods err differently, so their mean is often better than each.
    """
    return images[0] if len(images) == 1 else agreeing(measurement, images.mean(0))


def condition_image(modality: Modality, name: str, measurement: Measurement) -> Tensor:
    """(z, y, x) by a method with its defaults: attenuation in 1/mm, or a complex image."""
    method = get_method(modality, name)
    return method.run(measurement, parse_options(method, {}), RunContext(device=measurement.y.device)).mean


def _possible_mask(kind: str, shape: tuple[int, int], accel: float, seed: int) -> Mask:
    """A mask with the usual calibration region, or a smaller one where the image is too small for it.

    Raises:
        InputError: no calibration region allows the acceleration.
    """
    for calib in (None, *_SMALLER_CALIBRATIONS):
        try:
            return make_mask(kind, shape, accel, calib, seed)
        except ValueError as error:
            reason = error
    raise InputError(f"`accel`: {reason}")


def _arc(geometry: Geometry) -> tuple[float, float]:
    """First angle and arc of evenly spread views, radians."""
    angles: Sequence[float] = geometry.angles
    step = (angles[-1] - angles[0]) / max(1, len(angles) - 1)
    return angles[0], min(step * len(angles), 2 * math.pi)


def _range(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
