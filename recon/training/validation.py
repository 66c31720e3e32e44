"""What a network is worth on volumes that it was not trained on; always on the validation split."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from priors.networks.autoencoder import PatchVolumeAutoencoder
from priors.training.batches import SampleSource, derived_seed
from priors.training.learner import Learner
from priors.training.loop import Validated
from recon.acquisition.network_scale import patient_axes
from recon.metrics import evaluate
from recon.pictures.figures import to_bytes
from recon.pictures.lettering import Frame, framed
from recon.pictures.planes import PLANES, axial_picture
from recon.scan.padding import centre, pad_to_multiple
from recon.scan.units import network_to_hu, network_to_magnitude
from recon.scan.volume import Modality
from recon.training.prepared import Prepared

Validation = Callable[[nn.Module], Validated]

_DRAWS = 32
"""Noise estimates that a validation averages over."""


def round_trip_validation(volumes: Sequence[Prepared], *, joint: bool) -> Validation | None:
    """PSNR and SSIM of whole volumes through the autoencoder, in the metrics of the benchmarks.

    Args:
        volumes: held out.
        joint: decoded together, as stage 2 learns it, or patch by patch, as stage 1 does: a decoder that gets ever
            better at patches may get worse at whole volumes, whose norms it has never seen.
    """
    through = round_trip if joint else patchwise_round_trip
    if not volumes:
        return None

    def validate(network: nn.Module) -> Validated:
        assert isinstance(network, PatchVolumeAutoencoder)
        figures, picture = [], np.zeros((1, 1))
        for volume in volumes:
            image = volume.network()
            output = through(network, image)
            figures.append(evaluate_network(image, output, volume.modality))
            middle = len(image) // 2
            picture = side_by_side(image[middle], output[middle], frame=volume.frame)
        return Validated(mean_figures(figures), {"round-trip": picture})

    return validate


@torch.no_grad()
def round_trip(network: PatchVolumeAutoencoder, image: Tensor) -> Tensor:
    """A (Z, X, Y) image through patch-wise encoding and joint decoding, in its own size."""
    patch, device = network.config.patch, network.pre_vq_conv.weight.device
    padded = pad_to_multiple(image, patch)
    output = network.decode(network.patch_encode(padded[None, None].to(device)))[0, 0].cpu()
    return centre(output, image.shape)


@torch.no_grad()
def patchwise_round_trip(network: PatchVolumeAutoencoder, image: Tensor) -> Tensor:
    """A (Z, X, Y) image encoded and decoded patch by patch, seams and all."""
    patch, device = network.config.patch, network.pre_vq_conv.weight.device
    padded = pad_to_multiple(image, patch)
    output = torch.empty_like(padded)
    for z in range(0, padded.shape[0], patch):
        for x in range(0, padded.shape[1], patch):
            row = padded[z : z + patch, x : x + patch]
            cubes = torch.stack(row.split(patch, dim=2))[:, None].to(device)
            decoded = network.decode(network.encode(cubes))[:, 0].to(output.device)
            output[z : z + patch, x : x + patch] = torch.cat(list(decoded), dim=2)
    return centre(output, image.shape)


def noise_validation(learner: Learner, source: SampleSource | None) -> Validation | None:
    """The learner's loss on samples, time steps and noise that stay the same from one validation to the next."""
    if source is None:
        return None

    @torch.no_grad()
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
    """The mean of each figure over the volumes that have it; CT has some that MR does not."""
    names = dict.fromkeys(name for each in figures for name in each)
    return {
        name: float(np.mean(values))
        for name in names
        if (values := [value for each in figures if (value := each.get(name)) is not None])
    }


def side_by_side(*images: Tensor, frame: Frame) -> np.ndarray:
    """Network images (X, Y) as one grey picture in [0, 1] for previews, the patient's right at the left, anterior up.

    Args:
        images: axial slices in the network range.
        frame: what is known of how they lie; letters and a scale stand in the margins accordingly.
    """
    pictures = (to_bytes(axial_picture(image.T.numpy()), -1, 1) for image in images)
    row = [framed(picture, PLANES[0].letters, frame) for picture in pictures]
    return np.concatenate(row, axis=1).astype(np.float32) / 255


def evaluate_network(truth: Tensor, output: Tensor, modality: Modality) -> dict[str, float | None]:
    """The metrics of the benchmarks, of (Z, X, Y) volumes in the network range."""
    physical = network_to_hu if modality == "CT" else network_to_magnitude
    wanted, found = (patient_axes(physical(image)).numpy() for image in (truth, output))
    return evaluate(wanted, found, modality)
