"""A small network that is trained on real volumes to read age and sex, so that it can read those of generated ones.

It is a judge and no product: it never sees a generated volume, and its error on real volumes that it has not seen is
the least that can be expected of generated ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.diffusion.anatomy import Size
from priors.diffusion.prior import VoxelSize
from priors.networks.classifier import ClassifierConfig, VolumeClassifier
from priors.networks.patient import Patient
from recon.training.cubes import sampled_means
from recon.training.prepared import Prepared

AIR = -1.0
"""Beyond the sides of a volume, in the network range."""

_NOISE = 0.05
"""The largest standard deviation of the noise that is added in training, in the network range (50 HU)."""


@dataclass(frozen=True)
class Example:
    """A volume with what is known of its person.

    Attributes:
        image: (Z, X, Y) in the network range.
        patient: age and sex, as far as they are known.
    """

    image: Tensor
    patient: Patient


@dataclass(frozen=True)
class ReaderTraining:
    """How the judge is trained.

    Attributes:
        steps: the number of steps.
        batch: the samples of a step.
        width: the channels of the first stage.
        rate: the learning rate at its peak.
        seed: the seed of weights and samples.
    """

    steps: int = 400
    batch: int = 8
    width: int = 8
    rate: float = 3e-3
    seed: int = 0


@dataclass(frozen=True)
class Reading:
    """What the judge reads in one volume.

    Attributes:
        age: the age in years.
        male: the probability of the male sex.
    """

    age: float
    male: float


@dataclass(frozen=True)
class Reader:
    """A trained judge.

    Attributes:
        network: the network; its two outputs are the standardised age, and the logit of the male sex.
        mean, deviation: mean and standard deviation of the ages of the training, in years.
    """

    network: VolumeClassifier
    mean: float
    deviation: float

    @torch.no_grad()
    def read(self, image: Tensor) -> Reading:
        """Age and sex of a (Z, X, Y) image in the network range, as means over it and its mirror image."""
        both = torch.stack([image, image.flip(1)])[:, None].to(next(self.network.parameters()).device)
        age, sex = self.network(both).float().cpu().T
        return Reading(self.mean + self.deviation * float(age.mean()), float(sex.sigmoid().mean()))


def on_grid(volume: Prepared, size: Size, spacing: VoxelSize, place: float = 0.5) -> Tensor:
    """A volume on the grid of generated ones: (Z, X, Y) in the network range, each voxel the mean over its place.

    Args:
        volume: the real volume; what it lacks of the grid is air.
        size: the size (z, x, y) in voxels.
        spacing: the voxel size (z, x, y) in mm.
        place: the share of the heights where the grid fits at which it begins.
    """
    image = volume.network()
    for axis, (length, own, count, step) in enumerate(
        zip(volume.data.shape, volume.spacing, size, spacing, strict=True)
    ):
        spare = length * own - count * step
        first = spare * (place if axis == 0 and spare > 0 else 0.5)
        weights = sampled_means(length, own, first, count, step).float()
        image = torch.movedim(torch.tensordot(weights, image - AIR, dims=([1], [axis])), 0, axis) + AIR
    return image


def examples(
    volumes: Sequence[tuple[Prepared, Patient]], size: Size, spacing: VoxelSize, per_volume: int, seed: int
) -> list[Example]:
    """Real volumes on the grid of generated ones, high ones at several heights that a seed draws.

    Args:
        volumes: the volumes with what is known of their people.
        size, spacing: the grid, as of :func:`on_grid`.
        per_volume: the number of heights of a volume that is higher than the grid.
        seed: the seed of the heights.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    found = []
    for volume, patient in volumes:
        higher = volume.data.shape[0] * volume.spacing[0] > 1.01 * size[0] * spacing[0]
        for place in random.uniform(size=per_volume if higher else 1):
            found.append(Example(on_grid(volume, size, spacing, float(place)), patient))
    return found


def train_reader(
    given: Sequence[Example],
    training: ReaderTraining,
    *,
    device: torch.device | str = "cpu",
    on_step: Callable[[int, int], None] | None = None,
) -> Reader:
    """A judge that is trained on real volumes, mirrored, blurred and with noise at random.

    Args:
        given: real volumes of people of whom something is known.
        training: how it is trained.
        device: the device that computes.
        on_step: called with the steps that are done and all steps.

    Raises:
        ValueError: fewer than two volumes, or none of a known age or sex.
    """
    known = [each for each in given if each.patient.known]
    if len(known) < 2:
        raise ValueError(f"{len(known)} real volumes of known age or sex to train the reader on; 2 are the least")
    ages = [each.patient.age for each in known if each.patient.age is not None]
    mean, deviation = (float(np.mean(ages)), float(np.std(ages)) or 1.0) if ages else (0.0, 1.0)
    with torch.random.fork_rng():
        torch.manual_seed(training.seed)
        config = ClassifierConfig(2, stem_kernel=(5, 5, 5), blocks=(1, 1, 1), width=training.width)
        reader = Reader(VolumeClassifier(config).to(device).train(), mean, deviation)
    random = torch.Generator().manual_seed(training.seed)
    optimizer = torch.optim.AdamW(reader.network.parameters(), lr=training.rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, training.rate, total_steps=training.steps + 1)
    for step in range(training.steps):
        picked = [known[int(torch.randint(len(known), (), generator=random))] for _ in range(training.batch)]
        images = torch.stack([_changed(each.image, random) for each in picked])[:, None].to(device)
        loss = _loss(reader, reader.network(images).float().cpu(), [each.patient for each in picked])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(reader.network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if on_step:
            on_step(step + 1, training.steps)
    reader.network.eval()
    return reader


def _changed(image: Tensor, random: torch.Generator) -> Tensor:
    """A sample of a training: decoders blur, and the judge must not take that, or a lack of noise, for age."""
    side, blur, noise = torch.rand(3, generator=random).tolist()
    if side < 0.5:
        image = image.flip(1)
    smooth = functional.avg_pool3d(image[None, None], 3, stride=1, padding=1, count_include_pad=False)[0, 0]
    return image + blur * (smooth - image) + noise * _NOISE * torch.randn(image.shape, generator=random)


def _loss(reader: Reader, outputs: Tensor, patients: Sequence[Patient]) -> Tensor:
    """Smooth L1 of known ages plus cross-entropy of known sexes, of outputs (B, 2)."""
    losses = [outputs.sum() * 0]  # a batch of which nothing is known
    of_age = [number for number, each in enumerate(patients) if each.age is not None]
    if of_age:
        wanted = torch.tensor([patients[number].age or 0.0 for number in of_age])
        losses.append(functional.smooth_l1_loss(outputs[of_age, 0], (wanted - reader.mean) / reader.deviation))
    of_sex = [number for number, each in enumerate(patients) if each.sex is not None]
    if of_sex:
        male = torch.tensor([float(patients[number].sex == "male") for number in of_sex])
        losses.append(functional.binary_cross_entropy_with_logits(outputs[of_sex, 1], male))
    return torch.stack(losses).sum()
