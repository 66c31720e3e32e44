"""Make the volumes of a method, seed by seed; those that are there already are kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from benchmarks.generation.competitors import Competitor
from benchmarks.generation.memory import peak_memory
from benchmarks.generation.result import Sampled
from benchmarks.generation.volumes import Made, VolumeFolder, settings_key, slug
from benchmarks.table.dependencies import code_of
from priors.diffusion.anatomy import Anatomy, Size
from priors.diffusion.prior import VoxelSize
from recon.errors import RunError
from recon.run.devices import describe_device
from recon.run.memory import memory_errors

Announce = Callable[[str], None]


def volume_folder(
    competitor: Competitor, anatomy: Anatomy, size: Size, spacing: VoxelSize, folder: Path
) -> VolumeFolder:
    """The folder of a method's volumes, whose name ends with the hash of weights, code and settings."""
    plan = competitor.plan
    facts = {
        "weights": dict(competitor.generator.sha256),
        "code": code_of(competitor.generator),
        "class": anatomy.name,
        "size": list(size),
        "spacing": list(spacing),
        "sampler": plan.sampler,
        "times": list(plan.times),
        "start": plan.start,
    }
    name = f"{slug(competitor.generator.method)}-{settings_key(facts)}"
    return VolumeFolder(folder / name, anatomy.modality, spacing)


def make_volumes(
    competitor: Competitor,
    anatomy: Anatomy,
    size: Size,
    volumes: VolumeFolder,
    seeds: range,
    device: torch.device,
    announce: Announce,
) -> list[Made]:
    """Generate what is missing, one volume at a time: each is a file before the next one begins.

    Raises:
        RunError: NaN or infinity, or not enough memory; the message names the method.
    """
    known = {seed: volumes.get(seed) for seed in seeds}
    missing = [seed for seed, made in known.items() if made is None]
    if missing:
        announce(f"{competitor.label}: {len(seeds) - len(missing)} of {len(seeds)} volumes are there")
        with memory_errors():
            competitor.generator.to(device)
            for seed in missing:
                known[seed] = _make(competitor, anatomy, size, volumes, seed, device)
                announce(f"{competitor.label}, seed {seed}: {known[seed].seconds:.1f} s")  # type: ignore[union-attr]
            competitor.generator.to("cpu")
    return [made for made in known.values() if made is not None]


def _make(
    competitor: Competitor, anatomy: Anatomy, size: Size, volumes: VolumeFolder, seed: int, device: torch.device
) -> Made:
    with peak_memory(device) as peak:
        started = time.perf_counter()
        image = generated(competitor, anatomy, size, volumes.spacing, seed)
        seconds = time.perf_counter() - started
        most = peak()
    try:
        return volumes.put(image, seed, seconds, most, describe_device(device))
    except ValueError as error:
        raise RunError(f"{competitor.label}: {error}") from error


def sampled(competitor: Competitor, folder: VolumeFolder, made: Sequence[Made]) -> Sampled:
    """How the volumes of a method were made, and what that took."""
    plan = competitor.plan
    return Sampled(
        len(made),
        plan.sampler,
        plan.steps,
        plan.start,
        round(median(each.seconds for each in made), 4),
        max(each.peak_mb for each in made),
        " and ".join(dict.fromkeys(each.device for each in made)),
        dict(competitor.generator.sha256),
        f"generation/volumes/{folder.folder.name}",
    )


def generated(competitor: Competitor, anatomy: Anatomy, size: Size, spacing: VoxelSize, seed: int) -> Tensor:
    """One volume (Z, X, Y) of a competitor, on the CPU.

    Raises:
        RunError: a volume of another size than was asked for.
    """
    with torch.no_grad():
        (image,) = competitor.generator.generate(anatomy, size, (seed,), competitor.sampling, voxel_size=spacing)
    if tuple(image.shape) != tuple(size):
        raise RunError(f"{competitor.label}: seed {seed} has {tuple(image.shape)} voxels, not {tuple(size)}")
    return image
