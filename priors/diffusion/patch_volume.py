"""The latent prior of 3D MedDiffusion: Patch-Volume autoencoder, BiFlowNet and a cosine schedule (section III-B).

Latents are brought from the codebook's range to [-1, 1] for the diffusion and back for decoding, where each becomes its
nearest code and all are decoded together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from priors.diffusion.anatomy import ANATOMIES, CLASSES, Anatomy, Size, find_class, own_anatomies
from priors.diffusion.average import START, AverageLatent
from priors.diffusion.distilled import Distilled, distilled_of
from priors.diffusion.learned import check_learned, learned_of, learned_patients
from priors.diffusion.prior import NoisedStart, VoxelSize
from priors.diffusion.samplers import NoiseEstimator
from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.autoencoder import PatchVolumeAutoencoder
from priors.networks.biflownet import BiFlowNet
from priors.networks.controlnet import AttachedHead, ControlNet, attach
from priors.networks.implicit_decoder import ImplicitDecoder
from priors.networks.implicit_streaming import decode_on_grid
from priors.networks.inference import Acceleration
from priors.networks.patient import NOBODY, UNKNOWN, LearnedPatients, Patient
from priors.networks.patient_embedding import Patients
from priors.networks.resampling import Axis
from priors.networks.sizes import check_size
from priors.weights.card import Card, read_card
from priors.weights.networks import load_autoencoder, load_biflownet
from priors.weights.store import AUTOENCODER, BIFLOWNET

RESOLUTION_UNIT = 64
"""Latent size that the noise estimator's resolution input calls 1."""

_DEFAULT_CLASSES = {"CT": 1, "MR": 3}
"""Class where nothing is said: chest and abdomen, brain."""


@dataclass(frozen=True)
class PatchVolumePrior:
    """A Patch-Volume autoencoder and the BiFlowNet that was trained on its latents.

    Implements :class:`priors.diffusion.prior.LatentPrior`, where the members without a text of their own are described.

    Attributes:
        autoencoder: the autoencoder between volumes and latents.
        biflownet: the estimator of the noise of latents.
        diffusion: the noise schedule that the BiFlowNet was trained with.
        name: the name of the prior's folder; empty if it came from no folder.
        sha256: the hash of each network's tensors, by file name; empty if the prior came from no folder.
        classes: the classes that were learned, each with the usual (z, x, y) mm of its volumes; empty where the weights
            do not say.
        size: the size (z, x, y) in voxels of what the BiFlowNet learned from; None where the weights do not say.
        averages: the latents of classes from which samples of them may start, by name.
        anatomies: the classes that the BiFlowNet can be asked for: those of the release, or the weights' own.
        patients: the ages and sexes that the BiFlowNet learned.
        distilled: how the BiFlowNet was distilled to a few steps; None where it was not.

    Raises:
        ValueError: the autoencoder's latents do not have the channels that the BiFlowNet takes, or ``patients`` of a
            BiFlowNet that is told no age and sex.
    """

    autoencoder: PatchVolumeAutoencoder
    biflownet: BiFlowNet
    diffusion: GaussianDiffusion
    name: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, VoxelSize] = field(default_factory=dict)
    size: Size | None = None
    averages: Mapping[str, AverageLatent] = field(default_factory=dict)
    anatomies: Sequence[Anatomy] = CLASSES
    patients: LearnedPatients = NOBODY
    distilled: Distilled | None = None

    latent_limit = 1.0

    def __post_init__(self) -> None:
        latents, taken = self.autoencoder.config.latent_channels, self.biflownet.config.channels
        if self.patients != NOBODY and not self.biflownet.config.patient:
            raise ValueError("the noise estimator's card says which ages and sexes it learned, but it is told neither")
        if latents != taken:
            raise ValueError(
                f"the autoencoder's latents have {latents} channels and the noise estimator takes {taken}: "
                "the two were not trained together"
            )

    @property
    def channels(self) -> int:
        """The number of channels of a latent."""
        return self.autoencoder.config.latent_channels

    @property
    def device(self) -> torch.device:
        """The device of the networks."""
        return next(self.biflownet.parameters()).device

    @property
    def size_multiple(self) -> int:
        """The number of voxels that edges of volumes are a multiple of, such that both networks can have them."""
        return self.autoencoder.compression * math.lcm(self.biflownet.size_multiple, self.autoencoder.size_multiple)

    @property
    def encoding_multiple(self) -> int:
        """The edge of a patch: images are encoded patch by patch."""
        return self.patch

    @property
    def patch(self) -> int:
        """The edge of a patch in voxels."""
        return self.autoencoder.config.patch

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> PatchVolumePrior:
        """Move the networks and return the prior itself."""
        for network in (self.autoencoder, self.biflownet, self.diffusion):
            network.to(device)
        if dtype is not None:
            self.autoencoder.to(dtype)
        return self

    def latent_size(self, size: Size) -> Size:
        """The size (z, x, y) of the latent of a volume of ``size`` voxels.

        Raises:
            ValueError: a size that the networks cannot have; the message names the nearest that would do.
        """
        check_size(size, self.size_multiple)
        z, x, y = size
        factor = self.autoencoder.compression
        return z // factor, x // factor, y // factor

    def image_size(self, latent: Size) -> Size:
        """The size (z, x, y) in voxels of the volume that a latent of size ``latent`` decodes to."""
        z, x, y = latent
        factor = self.autoencoder.compression
        return z * factor, x * factor, y * factor

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Images (B, 1, Z, X, Y) of whole patches to latents (B, C, z, x, y) in about [-1, 1]."""
        return self.autoencoder.normalise(self.autoencoder.patch_encode(images.to(self.device)))

    @torch.no_grad()
    def decode(
        self,
        latents: Tensor,
        on_progress: Callable[[float], None] | None = None,
        most_keys: int | None = None,
    ) -> Tensor:
        """Latents (B, C, z, x, y) in [-1, 1] to images (B, 1, Z, X, Y) float32, decoded one by one."""
        volumes = []
        for done, z in enumerate(latents.split(1)):

            def report(share: float, done: int = done) -> None:
                if on_progress is not None:
                    on_progress((done + share) / len(latents))

            latent = self.autoencoder.denormalise(z)
            volumes.append(self.autoencoder.decode(latent, on_progress=report, most_keys=most_keys).float())
        return torch.cat(volumes)

    def decode_on_grid(
        self,
        latent: Tensor,
        decoder: ImplicitDecoder,
        axes: Sequence[Axis],
        on_progress: Callable[[float], None] | None = None,
    ) -> Tensor:
        """A latent (1, C, z, x, y) in [-1, 1] on a grid of any spacing, (Z', X', Y') float32 on the CPU.

        Args:
            latent: the latent.
            decoder: an implicit decoder of this prior's autoencoder; :meth:`ImplicitDecoder.check_autoencoder` tells.
            axes: the axes (z, x, y) of the grid, over the voxels of the usual image.
            on_progress: called with the share, 0 to 1, that is done.
        """
        return decode_on_grid(
            self.autoencoder, decoder, self.autoencoder.denormalise(latent), axes, on_progress=on_progress
        )

    def estimator(
        self,
        class_index: int,
        size: Size,
        *,
        batch: int = 1,
        voxel_size: VoxelSize | None = None,
        heads: Sequence[Any] = (),
        patient: Patient = UNKNOWN,
        guidance: float = 1.0,
        acceleration: Acceleration | None = None,
    ) -> NoiseEstimator:
        """BiFlowNet for one class and size; it is told the latent's size and not the size of voxels."""
        classes = self.biflownet.config.classes
        if not 0 <= class_index < classes:
            raise ValueError(f"class {class_index}: this prior has the classes 0 to {classes - 1}")
        if not all(isinstance(head, AttachedHead) for head in heads):
            raise ValueError("a head of another kind of prior; BiFlowNet takes ControlNets")
        self.patients.check(patient)
        options = acceleration or Acceleration()
        options.prepare(self.biflownet)
        y = torch.full((batch,), class_index, device=self.device)
        latent = torch.tensor(self.latent_size(size), device=self.device)
        res = latent.expand(batch, 3) / RESOLUTION_UNIT
        told = Patients.of([patient] * batch, self.device) if patient.known and guidance != 0 else None
        bound = self.biflownet.bind(y, res, heads=heads, patients=told)
        if told is not None and guidance != 1:
            bound = guided(bound, self.biflownet.bind(y, res, heads=heads), guidance)
        estimate = options.wrap(bound, self.device)
        return self.diffusion.noise_estimator(estimate, self.biflownet.config.prediction)

    def attach(
        self, head: nn.Module, hint: Tensor, controlnet_scale: float = 1.0, *, allow_other_base: bool = False
    ) -> AttachedHead:
        """A ControlNet with its hint, after a check that it was trained on this BiFlowNet."""
        if not isinstance(head, ControlNet):
            raise ValueError(f"a head of kind {type(head).__name__}; BiFlowNet takes ControlNets")
        return attach(self.biflownet, head, hint, controlnet_scale, allow_other_base=allow_other_base)

    def check_class(self, anatomy: Anatomy) -> None:
        """Refuse a class that the networks did not learn; ``ValueError`` says which there are."""
        classes = self.biflownet.config.classes
        if anatomy.index >= classes:
            raise ValueError(f"this prior knows only the first {classes} of the seven classes")
        check_learned(anatomy, self.classes)

    def default_class(self, modality: Literal["CT", "MR"]) -> int:
        """Chest and abdomen for CT, the brain for MR; the last class of a BiFlowNet with fewer; the first own class."""
        if self.anatomies != CLASSES:
            return next((each.index for each in self.anatomies if each.modality == modality), 0)
        return min(_DEFAULT_CLASSES[modality], self.biflownet.config.classes - 1)

    def usual_sizes(self, anatomy: Anatomy) -> list[Size]:
        """The sizes (z, x, y) in voxels of volumes that a class was learned at; the first is the default."""
        average = self.averages.get(anatomy.name)
        learned = [*([average.size] if average else []), *([self.size] if self.size else [])]
        return learned or [grid.size for grid in anatomy.grids]

    def usual_spacing(self, anatomy: Anatomy, size: Size) -> VoxelSize:
        """The voxel size that the weights name, or that of the released networks' training volumes of such a size."""
        return self.classes.get(anatomy.name) or anatomy.grid_near(size).spacing

    def average_start(self, anatomy: Anatomy, size: Size) -> NoisedStart | None:
        """The noised average of a class's latents, or None where these networks know no average of it."""
        average = self.averages.get(anatomy.name)
        if average is None:
            return None
        return NoisedStart(average.latent(self.latent_size(size)), round(START * self.diffusion.timesteps))


def guided(told: NoiseEstimator, untold: NoiseEstimator, scale: float) -> NoiseEstimator:
    """Classifier-free guidance (Ho and Salimans, 2022): (1 - scale) · untold + scale · told, of two estimators."""

    def estimate(z_t: Tensor, t: Tensor) -> Tensor:
        without = untold(z_t, t)
        return without + scale * (told(z_t, t) - without)

    return estimate


def load_patch_volume(folder: Path) -> PatchVolumePrior:
    """The prior in a folder with ``autoencoder.safetensors`` and ``biflownet.safetensors``, on the CPU, for inference.

    Raises:
        ValueError: a file is missing or damaged, or the two do not belong together.
    """
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
    classes, size = learned_of(folder / BIFLOWNET, card.extra)
    anatomies = _anatomies(folder / BIFLOWNET, card, classes, size)
    averages = _averages(folder / BIFLOWNET, card.extra, biflownet.config.channels, anatomies)
    patients = learned_patients(folder / BIFLOWNET, card.extra)
    distilled = distilled_of(folder / BIFLOWNET, card.extra)
    name = folder.resolve().name
    try:
        diffusion = GaussianDiffusion(timesteps)
        return PatchVolumePrior(
            autoencoder,
            biflownet,
            diffusion,
            name,
            hashes,
            classes,
            size,
            averages,
            anatomies,
            patients,
            distilled,
        )
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error


def _anatomies(path: Path, card: Card, classes: Mapping[str, VoxelSize], size: Size | None) -> tuple[Anatomy, ...]:
    """The classes of the release, or those that the weights name as their own."""
    if ANATOMIES not in card.extra:
        return CLASSES
    try:
        if size is None or len(card.extra[ANATOMIES]) != card.config["classes"]:
            raise ValueError("another number of classes")
        return own_anatomies(card.extra[ANATOMIES], classes, size)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: its header is damaged: anatomies") from error


def _averages(
    path: Path, extra: Mapping[str, Any], channels: int, anatomies: Sequence[Anatomy]
) -> dict[str, AverageLatent]:
    try:
        found = extra.get("averages", {})
        return {
            find_class(name, anatomies).name: AverageLatent.from_dict(each, channels) for name, each in found.items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: its header is damaged: averages") from error
