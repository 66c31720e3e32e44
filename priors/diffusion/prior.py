"""What a latent diffusion prior offers: the one interface that sampling, generation, heads and benchmarks use.

A prior is an autoencoder of volumes and a noise estimator of its latents. Which networks these are, how their latents
are scaled and what else they are told stays inside the prior; another latent model is another class with these members
and an entry in :mod:`priors.networks.registry`. Images are (B, 1, Z, X, Y) in the network range, about [-1, 1]; sizes
and voxel sizes are in the order (z, x, y).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from priors.diffusion.anatomy import Anatomy, Size
from priors.diffusion.distilled import Distilled
from priors.diffusion.samplers import NoiseEstimator
from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.inference import Acceleration
from priors.networks.patient import UNKNOWN, LearnedPatients, Patient

VoxelSize = tuple[float, float, float]
"""Voxel size (z, x, y) in mm."""


@dataclass(frozen=True)
class NoisedStart:
    """Sampling that begins from a latent and not from noise.

    Attributes:
        latent: the clean latent, (C, z, x, y).
        step: the step of the diffusion to which the latent is noised first.
    """

    latent: Tensor
    step: int


class LatentPrior(Protocol):
    """A latent diffusion prior of CT or MR volumes.

    Attributes:
        name: the name of the prior's folder; empty if it came from no folder.
        sha256: the hash of each network's tensors, by file name; empty if the prior came from no folder.
        diffusion: the noise schedule that the noise estimator was trained with.
        channels: the number of channels of a latent.
        latent_limit: the bound of the values of clean latents, within which samplers hold their estimates; None where
            latents have no bound.
        anatomies: the classes that the noise estimator can be asked for.
        classes: the classes that the weights say they learned, each with the usual voxel size of its volumes; empty
            where the weights do not say.
        distilled: how the noise estimator was distilled to a few steps, which are then its only ones; None where it
            was not.
        size_multiple: the number of voxels that every edge of a generated volume is a multiple of.
        encoding_multiple: the number of voxels that every edge of an encoded image is a multiple of.
        patch: the edge in voxels of the cubes that are encoded one by one; None where images are encoded whole.
        device: the device of the networks.
        patients: the ages and sexes that the networks learned.
    """

    @property
    def name(self) -> str: ...
    @property
    def sha256(self) -> Mapping[str, str]: ...
    @property
    def diffusion(self) -> GaussianDiffusion: ...
    @property
    def channels(self) -> int: ...
    @property
    def latent_limit(self) -> float | None: ...
    @property
    def anatomies(self) -> Sequence[Anatomy]: ...
    @property
    def classes(self) -> Mapping[str, VoxelSize]: ...
    @property
    def patients(self) -> LearnedPatients: ...
    @property
    def distilled(self) -> Distilled | None: ...
    @property
    def size_multiple(self) -> int: ...
    @property
    def encoding_multiple(self) -> int: ...
    @property
    def patch(self) -> int | None: ...
    @property
    def device(self) -> torch.device: ...

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> LatentPrior:
        """Move the networks and return the prior itself.

        Args:
            device: the device to move to.
            dtype: the precision of the autoencoder's parameters from now on; None leaves it.
        """
        ...

    def latent_size(self, size: Size) -> Size:
        """The size (z, x, y) of the latent of a volume of ``size`` voxels.

        Raises:
            ValueError: a size that the networks cannot have; the message names the nearest that would do.
        """
        ...

    def image_size(self, latent: Size) -> Size:
        """The size (z, x, y) in voxels of the volume that a latent of size ``latent`` decodes to."""
        ...

    def encode(self, images: Tensor) -> Tensor:
        """Images (B, 1, Z, X, Y), every edge a multiple of ``encoding_multiple``, to latents (B, C, z, x, y).

        Latents have the scale that the noise estimator was trained with; they lie on the prior's device.
        """
        ...

    def decode(
        self,
        latents: Tensor,
        on_progress: Callable[[float], None] | None = None,
        most_keys: int | None = None,
    ) -> Tensor:
        """Latents (B, C, z, x, y) to images (B, 1, Z, X, Y) float32, about [-1, 1], decoded one by one.

        Args:
            latents: latents in the scale of :meth:`encode`.
            on_progress: called with the share, 0 to 1, that is done.
            most_keys: the most voxels of a latent that each of them attends to; None is all. A decoder without
                attention over the whole latent has nothing to limit.
        """
        ...

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
        """The noise estimator of latents of one class and size, for a sampler.

        Args:
            class_index: the index of the class among ``anatomies``.
            size: the size (z, x, y) in voxels of the volumes (not of the latents).
            batch: the number of latents that are sampled together.
            voxel_size: the voxel size (z, x, y) in mm, for networks that are told it; None where it is not known.
            heads: what :meth:`attach` gave, for heads that steer the estimate.
            patient: age and sex of the person that the volumes show, as far as they are asked for.
            guidance: the scale of the classifier-free guidance by age and sex (Ho and Salimans, 2022): the estimate
                without them, plus the scale times what they change; 1 is the estimate with them, 0 that without.
            acceleration: the precision and layout of the noise estimator; None is exact.

        Raises:
            ValueError: a class, a size or a head that the networks do not have, or a patient that they cannot be told.
        """
        ...

    def attach(
        self, head: nn.Module, hint: Tensor, controlnet_scale: float = 1.0, *, allow_other_base: bool = False
    ) -> Any:
        """A head with its hint, for :meth:`estimator`, after a check that it belongs to this prior.

        Args:
            head: a head that was trained on this prior.
            hint: the encoded images that steer, (1, n · C, z, x, y).
            controlnet_scale: the factor on everything that the head adds.
            allow_other_base: also accept a head that was trained on other weights of the same sizes.

        Raises:
            ValueError: a head of another prior, or a hint that it cannot take.
        """
        ...

    def check_class(self, anatomy: Anatomy) -> None:
        """Refuse a class that the networks did not learn.

        Raises:
            ValueError: such a class; the message says which there are.
        """
        ...

    def default_class(self, modality: Literal["CT", "MR"]) -> int:
        """The index of the class that a volume of a modality is taken to be where nothing is said."""
        ...

    def usual_sizes(self, anatomy: Anatomy) -> list[Size]:
        """The sizes (z, x, y) in voxels of volumes that a class was learned at; the first is the default."""
        ...

    def usual_spacing(self, anatomy: Anatomy, size: Size) -> VoxelSize:
        """The voxel size of volumes of a class and a size."""
        ...

    def average_start(self, anatomy: Anatomy, size: Size) -> NoisedStart | None:
        """The start of samples of a class and size; None where the prior knows no average of the class."""
        ...
