"""What an ablation measures of a trained network on held-out volumes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.quality.features.pooled import pooled_features
from benchmarks.quality.generation.distances import frechet_distance, maximum_mean_discrepancy
from priors.diffusion.latent_sampling import generate
from priors.diffusion.load import load_prior
from priors.networks.autoencoder import PatchVolumeAutoencoder
from priors.training.batches import derived_seed
from recon.scan.padding import grown
from recon.training.sources import TrainingVolume
from recon.training.validation import evaluate_network, patchwise_round_trip, round_trip


def round_trips(
    network: PatchVolumeAutoencoder, decode: str, volumes: Sequence[TrainingVolume]
) -> dict[str, tuple[float, float]]:
    found: dict[str, list[float]] = {"psnr": [], "ssim": []}
    for each in volumes:
        image = each.volume.network()
        output = round_trip(network, image) if decode == "volume" else patchwise_round_trip(network, image)
        scores = evaluate_network(image, output, each.volume.modality)
        for name, values in found.items():
            if (score := scores[name]) is not None:
                values.append(score)
    return {name: _mean_and_spread(values) for name, values in found.items() if values}


def distances(
    folder: Path, volumes: Sequence[TrainingVolume], samples: int, crop: Sequence[int]
) -> dict[str, tuple[float, float]]:
    """Of new volumes, as large as the crops that the network learned from, from as many crops of held-out volumes."""
    prior = load_prior(folder)
    size = prior.image_size((crop[0], crop[1], crop[2]))
    kinds = sorted({each.class_index for each in volumes})
    made = [
        generate(prior, kinds[number % len(kinds)], size, steps=20, seeds=[derived_seed("ablation", number)])[0, 0]
        for number in range(samples)
    ]
    real = [_real_crop(volumes[number % len(volumes)], size, number) for number in range(4 * samples)]
    one, other = (pooled_features(torch.stack(each).cpu()) for each in (made, real))
    found = {"frechet": frechet_distance(one, other), "mmd": maximum_mean_discrepancy(one, other)}
    return {name: (value, 0.0) for name, value in found.items()}


def _real_crop(volume: TrainingVolume, size: tuple[int, int, int], number: int) -> Tensor:
    image = grown(volume.volume.network(), size)
    random = torch.Generator().manual_seed(derived_seed("real crop", number))
    region = []
    for have, want in zip(image.shape, size, strict=True):
        first = int(torch.randint(have - want + 1, (), generator=random))
        region.append(slice(first, first + want))
    return image[tuple(region)]


def _mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    tensor = torch.tensor(values, dtype=torch.float64)
    return float(tensor.mean()), float(tensor.std()) if len(values) > 1 else 0.0
