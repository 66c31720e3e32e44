"""Medical Diffusion (Khader et al. 2022) as a generator: latents by ancestral sampling, decoded by the VQ-GAN."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from priors.diffusion.anatomy import Anatomy, Size
from priors.diffusion.prior import VoxelSize
from priors.diffusion.samplers import SAMPLERS, sample, seeded_noise, spaced_timesteps
from priors.diffusion.schedule import GaussianDiffusion
from priors.generators.generator import OnProgress, Plan, Sampling, chosen_sampler, no_progress, steps_reporter
from priors.generators.trained import Origin, TrainedGenerator
from priors.networks.inference import Acceleration
from priors.networks.medicaldiffusion.unet import FactorisedUNet
from priors.networks.medicaldiffusion.vqgan import VQGAN
from priors.networks.patient import refuse_patient
from priors.networks.sizes import check_size
from priors.weights.card import read_card
from priors.weights.networks import load_network
from priors.weights.store import SUFFIX

VQGAN_KIND, UNET_KIND = "medicaldiffusion-vqgan", "medicaldiffusion"
VQGAN_FILE, UNET_FILE = f"{VQGAN_KIND}{SUFFIX}", f"{UNET_KIND}{SUFFIX}"

TIMESTEPS = 300
"""Steps of the published diffusion."""

OTHER_STEPS = 50
"""Steps of a sampler that was not published, where nothing is said."""

LIMIT = 1.0
"""Bound of clean latents, within which samplers hold their estimates."""


@dataclass(frozen=True)
class MedicalDiffusion(TrainedGenerator):
    """The VQ-GAN and the noise estimator that was trained on its latents.

    Implements :class:`priors.generators.generator.Generator`, where the members without a text of their own are
    described.

    Attributes:
        vqgan: the autoencoder between volumes and latents.
        unet: the estimator of the noise of latents.
        diffusion: the noise schedule that the estimator was trained with.

    Raises:
        ValueError: the VQ-GAN's latents do not have the channels that the estimator takes.
    """

    vqgan: VQGAN
    unet: FactorisedUNet
    diffusion: GaussianDiffusion

    method = "MedicalDiffusion"
    samplers = ("ddpm", *(name for name in SAMPLERS if name != "ddpm"))

    def __post_init__(self) -> None:
        latents, taken = self.vqgan.config.latent_channels, self.unet.config.channels
        if latents != taken:
            raise ValueError(
                f"the VQ-GAN's latents have {latents} channels and the noise estimator takes {taken}: the two were not "
                "trained together"
            )

    @property
    def device(self) -> torch.device:
        return next(self.unet.parameters()).device

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> MedicalDiffusion:
        for network in (self.vqgan, self.unet, self.diffusion):
            network.to(device)
        if dtype is not None:
            self.vqgan.to(dtype)
        return self

    def check_size(self, size: Size) -> None:
        factor = self.vqgan.config.downsample
        check_size(size[:1], factor, ("Z",))
        check_size(size[1:], factor * self.unet.size_multiple, ("X", "Y"))

    def plan(self, anatomy: Anatomy, size: Size, sampling: Sampling) -> Plan:
        refuse_patient(sampling.patient, self.method)
        sampler, total = chosen_sampler(sampling, self.samplers), self.diffusion.timesteps
        steps = sampling.steps or (total if sampler == self.samplers[0] else min(OTHER_STEPS, total))
        spacing = sampling.timesteps or ("logsnr" if sampler == "dpm++" else "linspace")
        times = spaced_timesteps(total, steps, spacing, None, self.diffusion)
        return Plan(sampler, steps, tuple(times.tolist()))

    @torch.no_grad()
    def generate(
        self,
        anatomy: Anatomy,
        size: Size,
        seeds: Sequence[int],
        sampling: Sampling,
        *,
        voxel_size: VoxelSize | None = None,
        acceleration: Acceleration | None = None,
        on_progress: OnProgress = no_progress,
    ) -> Iterator[Tensor]:
        self.check_class(anatomy)
        self.check_size(size)
        plan, options = self.plan(anatomy, size, sampling), acceleration or Acceleration()
        options.prepare(self.unet)
        noise = seeded_noise(seeds)
        latent = self.vqgan.latent_size(size)
        z = noise(torch.empty(len(seeds), self.vqgan.config.latent_channels, *latent, device=self.device))
        on_step = steps_reporter(seeds, on_progress)
        estimate = options.wrap(self.unet, self.device)
        times = torch.tensor([int(time) for time in plan.times])
        latents = sample(plan.sampler, estimate, z, self.diffusion, times, noise=noise, clip=LIMIT, on_step=on_step)
        for seed, each in zip(seeds, latents, strict=True):
            yield self.vqgan.decode(self.vqgan.denormalise(each[None]))[0, 0].float().cpu()
            on_progress(f"seed {seed}: decoding, %", 100, 100)


def load_medicaldiffusion(folder: Path) -> MedicalDiffusion:
    """The generator in a folder with both files, on the CPU, for inference.

    Raises:
        ValueError: a file is missing or damaged, or the two do not belong together.
    """
    if not (folder / VQGAN_FILE).is_file():
        raise ValueError(f"{folder}: no generator: there is no {VQGAN_FILE} in it")
    origin = Origin.of(folder, (VQGAN_FILE, UNET_FILE))
    extra = read_card(folder / UNET_FILE).extra
    if extra.get(VQGAN_KIND, origin.sha256[VQGAN_FILE]) != origin.sha256[VQGAN_FILE]:
        raise ValueError(f"{folder}: {UNET_FILE} was trained on the latents of another {VQGAN_FILE}")
    timesteps = extra.get("timesteps", TIMESTEPS)
    if type(timesteps) is not int:
        raise ValueError(f"{folder / UNET_FILE}: its header is damaged: timesteps is {timesteps!r}")
    vqgan = load_network(folder / VQGAN_FILE, VQGAN_KIND).eval()
    unet = load_network(folder / UNET_FILE, UNET_KIND).eval()
    try:
        return MedicalDiffusion(origin, vqgan, unet, GaussianDiffusion(timesteps))
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
