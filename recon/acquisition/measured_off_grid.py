"""From measured k-space along a trajectory to a measurement: its noise, its coils, and its operator."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import torch
from torch import Tensor

from physics.mr.coils import compressed
from physics.mr.non_cartesian import NonCartesian
from physics.mr.stack_of_stars import StackOfStars
from physics.noise import ComplexGaussianNoise, UnknownNoise, noise_from_dict
from recon.acquisition.mr_measured import COMPRESSED_COILS, MANY_COILS, ScanRequest, check_compressed
from recon.acquisition.mr_protocol import simulation_notice
from recon.acquisition.noise_mr import TakenNoise, is_noise, noise_of_samples, prewhitening
from recon.acquisition.non_cartesian_mr import gridded_maps
from recon.errors import InputError, input_errors
from recon.scan.measurement import Measurement, Protocol, Scan
from recon.scan.non_cartesian_kspace import NonCartesianKSpace
from recon.scan.volume import Volume

Encoding = NonCartesian | StackOfStars


def measured_off_grid(
    kspace: NonCartesianKSpace, wanted: ScanRequest | None = None, device: torch.device | str = "cpu"
) -> Scan:
    """A measurement from k-space along a trajectory.

    Coil sensitivity maps come from the centre of the k-space of the gridded coil images (ESPIRiT). The ground truth is
    the reference of the file, where it has one.

    Args:
        kspace: k-space as it was read.
        wanted: what the user says of the scan; None for nothing.
        device: device of the operator and the data.

    Raises:
        InputError: noise was to be added, more virtual coils than there are, or an image too small for coil maps.
    """
    wanted = wanted or ScanRequest()
    if wanted.added:
        raise InputError("`noise`: is added to fully sampled data on a grid only; leave it out")
    kspace, words = _with_coils(kspace, wanted)
    encoding = _encoding(kspace, None)
    noise = _noise(kspace, encoding, wanted.level)
    if kspace.data.shape[1] > 1:
        with input_errors(volume_name_of(kspace)):
            encoding = _encoding(kspace, gridded_maps(kspace.data, encoding).to(device))
    sigma = None if noise.model is None else noise.model.standard_deviation(kspace.data)
    grid = Volume(torch.zeros(encoding.domain), kspace.affine, "MR", kspace.source, kspace.notices)
    protocol = _protocol(kspace, noise, words)
    measurement = Measurement(kspace.data.to(device), encoding, sigma, grid.spacing, protocol)
    return Scan(measurement, grid, None if kspace.reference is None else grid.like(kspace.reference))


def off_grid_of(case: Scan, kind: str, trajectory: Tensor) -> NonCartesianKSpace:
    """A simulated scan along a trajectory as k-space that can be written."""
    measurement, grid = case.measurement, case.grid
    y, x = grid.data.shape[1:]
    meta: dict[str, object] = {"simulated": True, "simulation": measurement.protocol.simulation}
    if grid.source is not None:
        known = {"spacing_known": grid.source.spacing_known, "orientation_known": grid.source.orientation_known}
        meta |= {name: value for name, value in known.items() if not value}
    if measurement.sigma is not None:
        meta["noise_std"] = measurement.sigma
    return NonCartesianKSpace(
        data=measurement.y,
        trajectory=trajectory,
        image_shape=(y, x),
        affine=grid.affine,
        kind=kind,
        reference=None if case.truth is None else case.truth.data,
        meta=meta,
    )


def volume_name_of(kspace: NonCartesianKSpace) -> str:
    """The file's name, for messages."""
    return kspace.source.path.name if kspace.source else "k-space"


def _with_coils(kspace: NonCartesianKSpace, wanted: ScanRequest) -> tuple[NonCartesianKSpace, tuple[str, ...]]:
    """k-space with white noise and as many virtual coils as are wanted, and what was done in words."""
    coils, words = kspace.data.shape[1], []
    if wanted.compression == "geometric":
        raise InputError(f"`compression` {wanted.compression}: needs a readout on a grid; leave it out")
    if wanted.coils is not None and not 1 <= wanted.coils <= coils:
        raise InputError(f"`coils_compressed` {wanted.coils}: must be 1 to {coils}, the number of coils of the file")
    if kspace.noise_readouts is not None and not is_noise(kspace.noise_readouts):
        kspace = replace(kspace, noise_readouts=None)
    found = prewhitening(kspace.noise_readouts)
    if found is not None:
        readouts = found.apply(kspace.noise_readouts[None, :, None])[0, :, 0]  # type: ignore[index]
        kspace = replace(kspace, data=found.apply(kspace.data), noise_readouts=readouts)
        words.append(found.sentence)
    count = wanted.coils or (COMPRESSED_COILS if coils > MANY_COILS else coils)
    if count < coils:
        further = None if kspace.noise_readouts is None else kspace.noise_readouts[None, :, None]
        data, noise = compressed(kspace.data, count, further)
        kspace = replace(kspace, data=data, noise_readouts=None if noise is None else noise[0, :, 0])
        words.append(f"The {coils} coils were compressed to {count} virtual ones by a singular value decomposition.")
    else:
        check_compressed(wanted.compression, coils)
    return kspace, tuple(words)


def _encoding(kspace: NonCartesianKSpace, maps: Tensor | None) -> Encoding:
    with input_errors(volume_name_of(kspace)):
        if kspace.measured is None:
            return NonCartesian(kspace.trajectory, kspace.image_shape, maps, len(kspace.data))
        return StackOfStars(kspace.trajectory, kspace.image_shape, kspace.measured, maps)


def _noise(kspace: NonCartesianKSpace, encoding: Encoding, level: float | None) -> TakenNoise:
    """The noise as the user states it, as the file does, of its noise readouts, or of the outermost samples."""
    if level is not None:
        images = encoding.coil_images(kspace.data)
        stated = ComplexGaussianNoise.of_maximum(level, float(images.abs().square().sum(1).max().sqrt()))
        return TakenNoise(stated if level else None, f"Its noise was taken as {stated.describe()}, as stated.")
    known = kspace.meta.get("noise_std")
    if known is not None:
        with input_errors(volume_name_of(kspace)):
            model = noise_from_dict({"sigma": known})
        return TakenNoise(model, f"Its noise was taken as {model.describe()}, as the file states.")
    if kspace.meta.get("simulated"):
        return TakenNoise(None, "No noise was added.")
    if kspace.noise_readouts is not None:
        model = ComplexGaussianNoise(float(kspace.noise_readouts.abs().square().double().mean().sqrt()))
        count = kspace.noise_readouts.shape[-1]
        return TakenNoise(model, f"Its noise was taken as {model.describe()}, from {count} noise-only samples a coil.")
    found = _outer_noise(kspace)
    if found is None:
        return TakenNoise(UnknownNoise(), "Nothing is known of its noise: there is signal in all of k-space.")
    model = ComplexGaussianNoise(found)
    return TakenNoise(model, f"Its noise was taken as {model.describe()}, estimated from outer k-space.")


def _outer_noise(kspace: NonCartesianKSpace) -> float | None:
    """The noise as the samples farthest from the centre tell; None where they show signal."""
    planes = kspace.data if kspace.measured is None else kspace.data[kspace.measured]
    shared = kspace.trajectory.ndim == 3
    trajectory = kspace.trajectory if shared or kspace.measured is None else kspace.trajectory[kspace.measured]
    if shared:
        return noise_of_samples(planes.flatten(2), trajectory.norm(dim=-1).flatten())
    found = [
        noise_of_samples(plane[None].flatten(2), each.norm(dim=-1).flatten())
        for plane, each in itertools.islice(zip(planes, trajectory, strict=True), 8)
    ]
    told = [each for each in found if each is not None]
    return float(torch.tensor(told).square().mean().sqrt()) if len(told) == len(found) else None


def _protocol(kspace: NonCartesianKSpace, noise: TakenNoise, words: tuple[str, ...]) -> Protocol:
    coils, (readouts, samples) = kspace.data.shape[1], kspace.trajectory.shape[-3:-1]
    acceleration = math.pi / 2 * max(kspace.image_shape) / readouts
    coil_words = "one coil" if coils == 1 else f"{coils} coils with ESPIRiT maps from the gridded centre"
    fully = f"; {acceleration:.3g} times fewer spokes than resolve the field of view" if kspace.kind == "radial" else ""
    planes = "slice"
    if kspace.measured is not None:
        planes = f"partition, {int(kspace.measured.sum())} of {len(kspace.measured)} of which were measured"
    own = "the same for every" if kspace.trajectory.ndim == 3 else "one for each"
    simulation = str(kspace.meta["simulation"]) if kspace.meta.get("simulated") else None
    encoding = "2D" if kspace.measured is None else "3D (stack)"
    return Protocol(
        sentences=(
            f"Non-Cartesian {encoding} Fourier encoding, {coil_words}; k-space was read from a file.",
            f"Trajectory {kspace.kind}: {readouts} readouts of {samples} samples, {own} {planes}{fully}.",
            *words,
            noise.sentence,
        ),
        notices=simulation_notice(simulation),
        true_acceleration=acceleration if kspace.kind == "radial" else None,
        noise=None if noise.model is None else noise.model.to_dict(),
        simulation=simulation,
        coils=coils,
    )
