"""A latent diffusion prior: autoencoder, noise estimator and schedule together, and sampling from it.

3D MedDiffusion, section III-B: noise becomes latents by the reverse diffusion, latents are brought from [-1, 1] to the
codebook's range, each becomes its nearest code, and all are decoded together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from priors.diffusion.anatomy import Anatomy, Size, find_class
from priors.diffusion.average import START, AverageLatent
from priors.diffusion.samplers import Correct, OnStep, Spacing, corrected, sample, seeded_noise, spaced_timesteps
from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.autoencoder import PatchVolumeAutoencoder
from priors.networks.biflownet import BiFlowNet
from priors.networks.controlnet import AttachedHead
from priors.networks.inference import Acceleration
from priors.networks.sizes import check_size
from priors.weights.card import read_card
from priors.weights.networks import load_autoencoder, load_biflownet
from priors.weights.store import AUTOENCODER, BIFLOWNET

N = TypeVar("N", int, float)

RESOLUTION_UNIT = 64
"""Latent size that the noise estimator's resolution input calls 1."""


@dataclass(frozen=True)
class Prior:
    """Networks that belong together.

    Attributes:
        autoencoder: between volumes and latents.
        biflownet: estimates the noise of latents.
        diffusion: the schedule it was trained with.
        name: what it is called, empty if it came from no folder.
        sha256: hash of each network's tensors by file name, likewise.
        classes: those that were learned, each with the usual (z, x, y) mm of its volumes; empty where the weights do
            not say.
        size: (z, x, y) voxels of what the noise estimator learned from, likewise.
        averages: latents of classes, from which samples of them may start, likewise.

    Raises:
        ValueError: the autoencoder's latents do not have the channels that the noise estimator takes.
    """

    autoencoder: PatchVolumeAutoencoder
    biflownet: BiFlowNet
    diffusion: GaussianDiffusion
    name: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    size: Size | None = None
    averages: Mapping[str, AverageLatent] = field(default_factory=dict)

    def __post_init__(self) -> None:
        latents, taken = self.autoencoder.config.latent_channels, self.biflownet.config.channels
        if latents != taken:
            raise ValueError(
                f"the autoencoder's latents have {latents} channels and the noise estimator takes {taken}: "
                "the two were not trained together"
            )

    @property
    def device(self) -> torch.device:
        """Where the networks lie."""
        return next(self.biflownet.parameters()).device

    @property
    def size_multiple(self) -> int:
        """Every axis of a generated volume is a multiple of this many voxels: what both networks can have."""
        return self.autoencoder.compression * math.lcm(self.biflownet.size_multiple, self.autoencoder.size_multiple)

    def to(self, device: torch.device | str) -> Prior:
        """Move the networks; returns itself."""
        for network in (self.autoencoder, self.biflownet, self.diffusion):
            network.to(device)
        return self

    def usual_sizes(self, anatomy: Anatomy) -> list[Size]:
        """(z, x, y) voxels of volumes that a class was learned at; the first is the default."""
        average = self.averages.get(anatomy.name)
        learned = [*([average.size] if average else []), *([self.size] if self.size else [])]
        return learned or [grid.size for grid in anatomy.grids]

    def average_start(self, anatomy: Anatomy, size: Size) -> WarmStart | None:
        """Where samples of a class and size (z, x, y) start, or None where these networks know no average of it."""
        average = self.averages.get(anatomy.name)
        if average is None:
            return None
        return WarmStart(average.latent(self.latent_size(size)), round(START * self.diffusion.timesteps))

    def latent_size(self, size: Size) -> Size:
        """(z, x, y) of the latents of a volume of ``size`` (z, x, y) voxels.

        Raises:
            ValueError: a size that the networks cannot have; the message names the nearest that would do.
        """
        check_size(size, self.size_multiple)
        z, x, y = size
        factor = self.autoencoder.compression
        return z // factor, x // factor, y // factor


def load_prior(folder: Path | str) -> Prior:
    """The prior in a folder with ``autoencoder.safetensors`` and ``biflownet.safetensors``, on the CPU, for inference.

    Raises:
        ValueError: a file is missing or damaged, or the two do not belong together.
    """
    folder = Path(folder)
    for name in (AUTOENCODER, BIFLOWNET):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: no prior: there is no {name} in it")
    card = read_card(folder / BIFLOWNET)
    hashes = {AUTOENCODER: read_card(folder / AUTOENCODER).sha256, BIFLOWNET: card.sha256}
    autoencoder = load_autoencoder(folder / AUTOENCODER).eval()
    biflownet = load_biflownet(folder / BIFLOWNET).eval()
    timesteps = card.extra.get("timesteps", 1000)
    if not isinstance(timesteps, int):
        raise ValueError(f"{folder / BIFLOWNET}: its header is damaged: timesteps is {timesteps!r}")
    classes, size = _learned(folder / BIFLOWNET, card.extra)
    averages = _averages(folder / BIFLOWNET, card.extra, biflownet.config.channels)
    name = folder.resolve().name
    try:
        diffusion = GaussianDiffusion(timesteps)
        return Prior(autoencoder, biflownet, diffusion, name, hashes, classes, size, averages)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error


def _learned(path: Path, extra: Mapping[str, Any]) -> tuple[dict[str, tuple[float, float, float]], Size | None]:
    """Classes and size that weights say they learned; the released ones say nothing."""
    try:
        classes = {str(name): _three(spacing, float) for name, spacing in extra.get("classes", {}).items()}
        size = _three(extra["size"], int) if "size" in extra else None
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: its header is damaged: classes or size") from error
    return classes, size


def _averages(path: Path, extra: Mapping[str, Any], channels: int) -> dict[str, AverageLatent]:
    try:
        found = extra.get("averages", {})
        return {find_class(name).name: AverageLatent.from_dict(each, channels) for name, each in found.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: its header is damaged: averages") from error


def _three(values: Any, kind: Callable[[Any], N]) -> tuple[N, N, N]:
    z, x, y = (kind(value) for value in values)
    return z, x, y


@dataclass(frozen=True)
class WarmStart:
    """Sampling that begins from a latent and not from noise.

    Attributes:
        latent: (C, Z, X, Y) in about [-1, 1].
        step: of the diffusion, to which it is noised first.
    """

    latent: Tensor
    step: int


def sampling_steps(
    prior: Prior, sampler: str, steps: int, spacing: Spacing | None = None, start: int | None = None
) -> Tensor:
    """The steps of the diffusion that a sampler visits, descending, from ``start`` or the noisiest.

    Spacing None is the released networks' own for DDIM and DDPM (``linspace``), and for DPM-Solver++ ``logsnr``: its
    second order is lost where the last steps are large in log signal-to-noise ratio.

    Raises:
        ValueError: more steps than the diffusion has, or none.
    """
    chosen = spacing or ("logsnr" if sampler == "dpm++" else "linspace")
    return spaced_timesteps(prior.diffusion.timesteps, steps, chosen, start, prior.diffusion)


@torch.no_grad()
def sample_latents(
    prior: Prior,
    class_index: int,
    size: Size,
    *,
    steps: int = 50,
    sampler: str = "ddim",
    seeds: Sequence[int] = (0,),
    spacing: Spacing | None = None,
    heads: Sequence[AttachedHead] = (),
    start: WarmStart | None = None,
    correct: Correct | None = None,
    acceleration: Acceleration | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Latents of new volumes, one for each seed, on the networks' device.

    A seed gives the same latents on every device and in every batch, to rounding; alone it gives exactly the same.

    Args:
        prior: the networks.
        class_index: the class, see ``priors.diffusion.anatomy``.
        size: (z, x, y) voxels of the volumes (not of the latents).
        steps: how many.
        sampler: ``ddim``, ``ddpm`` or ``dpm++``.
        seeds: one for each volume.
        spacing: which steps, see :func:`sampling_steps`.
        heads: ControlNet heads that steer the estimate.
        start: where to begin; None is from noise.
        correct: takes and gives estimates of the latents, see :func:`priors.diffusion.samplers.corrected`.
        acceleration: precision and layout of the noise estimator; None is exact.
        on_step: called after each step.

    Returns:
        (B, C, Z, X, Y) float32, about [-1, 1].

    Raises:
        ValueError: a size, class, sampler or number of steps that these networks do not have.
    """
    classes = prior.biflownet.config.classes
    if not 0 <= class_index < classes:
        raise ValueError(f"class {class_index}: this prior has the classes 0 to {classes - 1}")
    latent = prior.latent_size(size)
    times = sampling_steps(prior, sampler, steps, spacing, start.step if start else None)
    options = acceleration or Acceleration()
    options.prepare(prior.biflownet)
    y = torch.full((len(seeds),), class_index, device=prior.device)
    resolution = torch.tensor(latent, device=prior.device).expand(len(seeds), 3) / RESOLUTION_UNIT
    estimate = options.wrap(prior.biflownet.bind(y, resolution, heads=heads), prior.device)
    if correct is not None:
        estimate = corrected(estimate, prior.diffusion, correct)
    noise = seeded_noise(seeds)
    z = noise(torch.empty(len(seeds), prior.biflownet.config.channels, *latent, device=prior.device))
    if start is not None:
        kept = prior.diffusion.alpha_bar(start.step)
        z = math.sqrt(kept) * start.latent.to(z) + math.sqrt(1 - kept) * z
    return sample(sampler, estimate, z, prior.diffusion, times, noise=noise, on_step=on_step)


@torch.no_grad()
def decode_latents(
    prior: Prior,
    latents: Tensor,
    on_progress: Callable[[float], None] | None = None,
    most_keys: int | None = None,
) -> Tensor:
    """(B, C, Z, X, Y) latents in [-1, 1] to (B, 1, Z, X, Y) float32 volumes in about [-1, 1], decoded one by one.

    ``on_progress`` is called with the share, 0 to 1, that is done; ``most_keys`` as for the autoencoder's ``decode``.
    """
    volumes = []
    for done, z in enumerate(latents.split(1)):

        def report(share: float, done: int = done) -> None:
            if on_progress is not None:
                on_progress((done + share) / len(latents))

        latent = prior.autoencoder.denormalise(z)
        volumes.append(prior.autoencoder.decode(latent, on_progress=report, most_keys=most_keys).float())
    return torch.cat(volumes)


def generate(
    prior: Prior,
    class_index: int,
    size: Size,
    *,
    steps: int = 50,
    sampler: str = "ddim",
    seeds: Sequence[int] = (0,),
    spacing: Spacing | None = None,
    heads: Sequence[AttachedHead] = (),
    acceleration: Acceleration | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """New volumes, (B, 1, Z, X, Y) float32 in about [-1, 1]: :func:`sample_latents`, then :func:`decode_latents`."""
    latents = sample_latents(
        prior,
        class_index,
        size,
        steps=steps,
        sampler=sampler,
        seeds=seeds,
        spacing=spacing,
        heads=heads,
        acceleration=acceleration,
        on_step=on_step,
    )
    return decode_latents(prior, latents)
