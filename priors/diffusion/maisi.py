"""MAISI as a latent prior: its autoencoder, and the U-Net of either generation (Guo et al., 2024).

A latent is a multiple of the encoder's mean, with which all have about the deviation 1. The first generation estimates
the noise of a diffusion. The second estimates the velocity v = z_0 - noise of a rectified flow
z_s = (1 - s) z_0 + s noise; with abar = (1 - s)^2 / ((1 - s)^2 + s^2), z_s / sqrt((1 - s)^2 + s^2) is the z_t of a
diffusion and z_s - (1 - s) v its noise, so that every sampler, head and reconstruction stands on it as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from priors.diffusion.anatomy import CLASSES, Anatomy, Size
from priors.diffusion.learned import check_learned, learned_of
from priors.diffusion.prior import NoisedStart, VoxelSize
from priors.diffusion.samplers import NoiseEstimator
from priors.diffusion.schedule import GaussianDiffusion, flow_time
from priors.networks.inference import Acceleration
from priors.networks.maisi.axes import from_maisi, to_maisi, to_network_range, to_unit_range
from priors.networks.maisi.conditions import check_told_apart, told
from priors.networks.maisi.config import TIMESTEPS, MaisiUNetConfig
from priors.networks.patient import NOBODY, UNKNOWN, Patient
from priors.networks.sizes import check_size
from priors.weights.card import Card, read_card
from priors.weights.networks import load_network
from priors.weights.store import SUFFIX

if TYPE_CHECKING:
    from priors.networks.maisi.autoencoder import MaisiAutoencoder
    from priors.networks.maisi.unet import MaisiUNet

AUTOENCODER_KIND, UNET_KIND = "maisi-autoencoder", "maisi"
AUTOENCODER_FILE, UNET_FILE = f"{AUTOENCODER_KIND}{SUFFIX}", f"{UNET_KIND}{SUFFIX}"

SCHEDULES = {"ddpm": "scaled-linear", "rflow": "rectified-flow"}
"""The noise schedule of each generation, see :mod:`priors.diffusion.schedule`."""

_DEFAULT_CLASSES = {"CT": 1, "MR": 3}
"""Class where nothing is said: chest and abdomen, brain."""


def maisi_diffusion(config: MaisiUNetConfig) -> GaussianDiffusion:
    """The noise schedule of a U-Net."""
    return GaussianDiffusion(TIMESTEPS, SCHEDULES[config.process])


@dataclass(frozen=True)
class MaisiPrior:
    """MAISI's autoencoder and the U-Net that was trained on its latents.

    Implements :class:`priors.diffusion.prior.LatentPrior`, where the members without a text of their own are described.

    Attributes:
        autoencoder: the autoencoder between volumes and latents.
        unet: the estimator of the noise, or of the velocity, of latents.
        scale: the factor from the encoder's mean to the latents that the U-Net was trained on.
        name: the name of the prior's folder; empty if it came from no folder.
        sha256: the hash of each network's tensors, by file name; empty if the prior came from no folder.
        classes: the classes that were learned, each with the usual (z, x, y) mm of its volumes; empty where the weights
            do not say.
        size: the size (z, x, y) in voxels of what the U-Net learned from; None where the weights do not say.

    Raises:
        ValueError: the autoencoder's latents do not have the channels that the U-Net takes, or the scale is not
            positive.
    """

    autoencoder: MaisiAutoencoder
    unet: MaisiUNet
    scale: float
    name: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, VoxelSize] = field(default_factory=dict)
    size: Size | None = None
    diffusion: GaussianDiffusion = field(init=False)

    latent_limit = None
    anatomies = CLASSES
    patch = None
    patients = NOBODY
    distilled = None

    def __post_init__(self) -> None:
        latents, taken = self.channels, self.unet.config.channels
        if latents != taken:
            raise ValueError(
                f"the autoencoder's latents have {latents} channels and the U-Net takes {taken}: the two were not "
                "trained together"
            )
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"the scale of the latents is {self.scale}; it must be above 0")
        object.__setattr__(self, "diffusion", maisi_diffusion(self.unet.config))

    @property
    def channels(self) -> int:
        """The number of channels of a latent."""
        channels: int = self.autoencoder.config.latent_channels
        return channels

    @property
    def device(self) -> torch.device:
        """The device of the networks."""
        device: torch.device = next(self.unet.parameters()).device
        return device

    @property
    def compression(self) -> int:
        """The factor by which each edge of a latent is shorter than that of its volume."""
        factor: int = self.autoencoder.config.compression
        return factor

    @property
    def size_multiple(self) -> int:
        """The number of voxels that edges of volumes are a multiple of, such that both networks can have them."""
        return self.compression * int(self.unet.config.size_multiple)

    @property
    def encoding_multiple(self) -> int:
        """The number of voxels that edges of encoded images are a multiple of; they are encoded whole."""
        return self.compression

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> MaisiPrior:
        """Move the networks and return the prior itself."""
        for network in (self.autoencoder, self.unet, self.diffusion):
            network.to(device)
        if dtype is not None:
            self.autoencoder.to(dtype)
        return self

    def latent_size(self, size: Size) -> Size:
        """The size (z, x, y) of the latent of a volume of ``size`` voxels; ``ValueError`` names the nearest that do."""
        check_size(size, self.size_multiple)
        z, x, y = size
        return z // self.compression, x // self.compression, y // self.compression

    def image_size(self, latent: Size) -> Size:
        """The size (z, x, y) in voxels of the volume that a latent of size ``latent`` decodes to."""
        z, x, y = latent
        return z * self.compression, x * self.compression, y * self.compression

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Images (B, 1, Z, X, Y) to scaled means of their latents (B, C, z, x, y), of about the deviation 1."""
        parameter = next(self.autoencoder.parameters())
        mean, _ = self.autoencoder.encode(to_maisi(to_unit_range(images.to(parameter))).contiguous())
        return from_maisi(mean).float() * self.scale

    @torch.no_grad()
    def decode(
        self,
        latents: Tensor,
        on_progress: Callable[[float], None] | None = None,
        most_keys: int | None = None,
    ) -> Tensor:
        """Latents (B, C, z, x, y) to images (B, 1, Z, X, Y) float32 in [-1, 1], decoded one by one."""
        parameter, volumes = next(self.autoencoder.parameters()), []
        for done, z in enumerate(latents.split(1), 1):
            image = self.autoencoder.decode(to_maisi(z.to(parameter) / self.scale).contiguous())
            volumes.append(to_network_range(from_maisi(image).float()))
            if on_progress is not None:
                on_progress(done / len(latents))
        return torch.cat(volumes)

    def inputs(self, anatomy: Anatomy, size: Size, batch: int, voxel_size: VoxelSize | None) -> dict[str, Tensor]:
        """What the U-Net is told beside latent and time; see :func:`priors.networks.maisi.conditions.told`."""
        spacing = torch.tensor(voxel_size or self.usual_spacing(anatomy, size), device=self.device)
        return told(self.unet.config, [anatomy.name] * batch, spacing.float().expand(batch, 3))

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
        """The U-Net for one class and size; it is told regions, voxel size or modality, as its configuration says."""
        if not 0 <= class_index < len(CLASSES):
            raise ValueError(f"class {class_index}: this prior has the classes 0 to {len(CLASSES) - 1}")
        self.latent_size(size)
        self.patients.check(patient)
        inputs = self.inputs(CLASSES[class_index], size, batch, voxel_size)
        output = self.output(inputs, heads, acceleration)
        return output if self.unet.config.process == "ddpm" else self._noise_of_flow(output)

    def output(
        self, inputs: Mapping[str, Tensor], heads: Sequence[Any] = (), acceleration: Acceleration | None = None
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """The U-Net's own output, noise or velocity, of (z, time), in the axes of this suite.

        Args:
            inputs: what it is told, of :meth:`inputs`.
            heads: what :meth:`attach` gave.
            acceleration: the precision and layout of the U-Net; None is exact.

        Raises:
            ValueError: a head of another kind of prior.
        """
        from priors.networks.maisi.controlnet import AttachedMaisiHead
        from priors.networks.maisi.estimate import estimate

        if not all(isinstance(head, AttachedMaisiHead) for head in heads):
            raise ValueError("a head of another kind of prior; MAISI's U-Net takes MAISI's ControlNets")
        options = acceleration or Acceleration()
        options.prepare(self.unet)

        def bound(z: Tensor, time: Tensor) -> Tensor:
            return estimate(self.unet, z, time, inputs, heads)

        return options.wrap(bound, self.device)

    def _noise_of_flow(self, velocity: Callable[[Tensor, Tensor], Tensor]) -> NoiseEstimator:
        """The noise in the z_t of a diffusion, from the velocity of the flow that it is at another scale."""

        def noise(z: Tensor, t: Tensor) -> Tensor:
            alpha_bar = self.diffusion.alpha_bar(int(t[0]))
            s = flow_time(alpha_bar)
            on_flow = z * ((1 - s) / math.sqrt(alpha_bar))
            time = torch.full((len(z),), TIMESTEPS * s, device=z.device)
            return on_flow - (1 - s) * velocity(on_flow, time)

        return noise

    def attach(
        self, head: nn.Module, hint: Tensor, controlnet_scale: float = 1.0, *, allow_other_base: bool = False
    ) -> Any:
        """A MAISI ControlNet with its hint, after a check that it was trained on this U-Net."""
        from priors.networks.maisi.controlnet import attach_maisi

        return attach_maisi(self.unet, head, hint, controlnet_scale, allow_other_base=allow_other_base)

    def check_class(self, anatomy: Anatomy) -> None:
        """Refuse a class that the networks did not learn; ``ValueError`` says which there are."""
        check_learned(anatomy, self.classes)
        check_told_apart(self.unet.config, [anatomy.name])

    def default_class(self, modality: Literal["CT", "MR"]) -> int:
        """The first class of the modality that was learned; chest and abdomen, or the brain, where that is not said."""
        learned = [each.index for each in CLASSES if each.name in self.classes and each.modality == modality]
        return learned[0] if learned else _DEFAULT_CLASSES[modality]

    def usual_sizes(self, anatomy: Anatomy) -> list[Size]:
        """The sizes (z, x, y) in voxels of volumes that a class was learned at; the first is the default."""
        return [self.size] if self.size else [grid.size for grid in anatomy.grids]

    def usual_spacing(self, anatomy: Anatomy, size: Size) -> VoxelSize:
        """The voxel size that the weights name, or that of 3D MedDiffusion's training volumes of such a size."""
        return self.classes.get(anatomy.name) or anatomy.grid_near(size).spacing

    def average_start(self, anatomy: Anatomy, size: Size) -> NoisedStart | None:
        """None: MAISI starts from noise alone."""
        return None


def load_maisi(folder: Path) -> MaisiPrior:
    """The prior in a folder with ``maisi-autoencoder.safetensors`` and ``maisi.safetensors``, on the CPU.

    Raises:
        ValueError: a file is missing or damaged, or the two do not belong together; or MONAI is not installed.
    """
    for name in (AUTOENCODER_FILE, UNET_FILE):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: no MAISI prior: there is no {name} in it")
    card = read_card(folder / UNET_FILE)
    hashes = {AUTOENCODER_FILE: read_card(folder / AUTOENCODER_FILE).sha256, UNET_FILE: card.sha256}
    autoencoder = load_network(folder / AUTOENCODER_FILE, AUTOENCODER_KIND).eval()
    unet = load_network(folder / UNET_FILE, UNET_KIND).eval()
    classes, size = learned_of(folder / UNET_FILE, card.extra)
    scale = _scale(folder / UNET_FILE, card)
    try:
        return MaisiPrior(autoencoder, unet, scale, folder.resolve().name, hashes, classes, size)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error


def _scale(path: Path, card: Card) -> float:
    """The scale of the latents that a U-Net's card names."""
    try:
        return float(card.extra["scale_factor"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: its header is damaged: scale_factor") from error
