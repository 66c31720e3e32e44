"""What a network is worth on volumes that it was not trained on; always on the validation split."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from priors.autoencoder import PatchVolumeAutoencoder
from priors.training.batches import SampleSource, derived_seed
from priors.training.learner import Learner
from priors.training.loop import Validated
from recon.metrics import evaluate
from recon.training.patches import pad_with_air
from recon.training.prepared import Prepared
from recon.units import network_to_hu, network_to_magnitude

Validation = Callable[[nn.Module], Validated]

_DRAWS = 32
"""Noise estimates that a validation averages over."""


def round_trip_validation(volumes: Sequence[Prepared]) -> Validation | None:
    """PSNR and SSIM of whole volumes through the autoencoder, in the metrics of the benchmarks."""
    if not volumes:
        return None

    def validate(network: nn.Module) -> Validated:
        assert isinstance(network, PatchVolumeAutoencoder)
        figures, picture = [], np.zeros((1, 1))
        for volume in volumes:
            image = volume.network()
            output = round_trip(network, image)
            figures.append(evaluate(_physical(image, volume), _physical(output, volume), volume.modality))
            middle = len(image) // 2
            picture = side_by_side(image[middle], output[middle])
        return Validated(mean_figures(figures), {"round-trip": picture})

    return validate


@torch.no_grad()
def round_trip(network: PatchVolumeAutoencoder, image: Tensor) -> Tensor:
    """A (Z, X, Y) image through patch-wise encoding and joint decoding, in its own size."""
    patch, device = network.config.patch, network.pre_vq_conv.weight.device
    padded = pad_with_air(image, [-(-size // patch) * patch for size in image.shape])
    output = network.decode(network.patch_encode(padded[None, None].to(device)))[0, 0].cpu()
    return centre(output, image.shape)


def centre(image: Tensor, size: Sequence[int]) -> Tensor:
    """The middle of a padded (Z, X, Y) image; undoes ``pad_with_air``."""
    z, x, y = ((have - want) // 2 for have, want in zip(image.shape, size, strict=True))
    return image[z : z + size[0], x : x + size[1], y : y + size[2]]


def noise_validation(learner: Learner, source: SampleSource | None) -> Validation | None:
    """The learner's loss on samples, time steps and noise that stay the same from one validation to the next."""
    if source is None:
        return None

    def validate(network: nn.Module) -> Validated:
        parameter = next(network.parameters())
        random_state = [
            source.sample(draw % len(source), derived_seed("validation", draw))
            | {"seed": torch.tensor(derived_seed("validation noise", draw))}
            for draw in range(_DRAWS)
        ]
        losses = []
        with swapped(learner, network):
            for sample in random_state:
                batch = {key: value.to(parameter.device) for key, value in default_collate([sample]).items()}
                losses.append(float(learner(batch, learner.kind, 0)["total"]))
        return Validated({"loss": float(np.mean(losses))})

    return validate


class swapped:  # noqa: N801  (a context manager, named as one reads it)
    """The learner computes with another network's weights, such as the averaged ones, for a while."""

    def __init__(self, learner: Learner, network: nn.Module):
        self._own, self._other = learner.network(), network
        self._learner = learner

    def __enter__(self) -> None:
        self._learner.eval()
        if self._other is not self._own:
            self._kept = {name: value.clone() for name, value in self._own.state_dict().items()}
            self._own.load_state_dict(self._other.state_dict())

    def __exit__(self, *_: object) -> None:
        if self._other is not self._own:
            self._own.load_state_dict(self._kept)
        self._learner.train()


def mean_figures(figures: Sequence[dict[str, float | None]]) -> dict[str, float]:
    """The mean of each figure over the volumes that have it."""
    names = figures[0]
    return {
        name: float(np.mean(values))
        for name in names
        if (values := [value for each in figures if (value := each[name]) is not None])
    }


def side_by_side(*images: Tensor) -> np.ndarray:
    """Network images (X, Y) as one grey picture, anterior up, for previews."""
    row = torch.cat([image.T.flip(0) for image in images], dim=1)
    return ((row + 1) / 2).clamp(0, 1).numpy()


def _physical(image: Tensor, volume: Prepared) -> np.ndarray:
    """(Z, X, Y) network image to (z, y, x) HU or magnitude."""
    values = network_to_hu(image) if volume.modality == "CT" else network_to_magnitude(image)
    return values.transpose(1, 2).numpy()
