"""The training of implicit decoders on the frozen autoencoder of a prior."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.utils.data import default_collate

from priors.networks.autoencoder import PatchVolumeAutoencoder
from priors.networks.implicit_decoder import ImplicitDecoder, ImplicitDecoderConfig
from priors.training.batches import derived_seed
from priors.training.implicit_learner import RANGE, ImplicitLearner
from priors.training.loop import Validated
from priors.weights.card import read_card
from priors.weights.networks import load_autoencoder, load_implicit_decoder
from priors.weights.store import AUTOENCODER
from recon.errors import InputError, input_errors
from recon.training.base_prior import in_folder
from recon.training.coarse_pairs import CoarsePair, coarse_pair
from recon.training.implicit_samples import ImplicitSource
from recon.training.latents import Encoding
from recon.training.settings.implicit import ImplicitTask
from recon.training.settings.parse import merged, parse_task, tell_overruled
from recon.training.sources import TrainingVolume
from recon.training.validation import Validation
from recon.training.workshop import Ingredients, Workshop

LONGEST = "longest_mm"
"""Entry of the card: the longest edge that coarsening gave a voxel of the training."""

_DRAWS = 64
"""Samples that a validation averages over."""


def build_implicit_decoder(given: Ingredients) -> Workshop:
    """On the autoencoder of a prior, or of a folder with nothing else."""
    settings = parse_task(ImplicitTask, given.recipe.task)
    path = in_folder(given.base, AUTOENCODER)
    with input_errors("`base`"):
        autoencoder = load_autoencoder(path).eval().requires_grad_(False)
    net = _network(given, autoencoder, settings)
    patch = autoencoder.config.patch
    z, x, y = (-(-edge // patch) * patch for edge in settings.crop)  # crops of all sizes then share what is kept
    encoding = Encoding(autoencoder.to(given.device), read_card(path).sha256, given.cache, least=(z, x, y))

    def pairs(volumes: Sequence[TrainingVolume]) -> list[CoarsePair]:
        unique = {each.volume.case.id: each.volume for each in volumes}
        given.announce(f"encoding {len(unique)} volumes")
        made = {
            name: coarse_pair(volume, encoding, settings.longest, settings.depth) for name, volume in unique.items()
        }
        return [made[each.volume.case.id] for each in volumes]

    train = pairs(given.train)
    _check_finer(train, settings)
    held_out = given.val[: given.recipe.validation.cases]
    validate = point_validation(ImplicitSource(pairs(held_out), settings)) if held_out else None
    identity = {"autoencoder": encoding.sha256}
    facts = {"autoencoder": encoding.sha256, LONGEST: settings.longest}
    return Workshop(ImplicitLearner(net, settings.loss), ImplicitSource(train, settings), validate, identity, facts)


def _network(given: Ingredients, autoencoder: PatchVolumeAutoencoder, settings: ImplicitTask) -> ImplicitDecoder:
    """An untrained network, or one with the initial weights of another."""
    derived = {
        "channels": autoencoder.feature_channels,
        "finest": settings.finest,
        "coarsest": settings.coarsest,
    }
    for name, value in derived.items():
        if given.recipe.network.get(name, value) != value:
            raise InputError(f"recipe: network.{name} {given.recipe.network[name]}: must be {value} here")
    with input_errors("recipe: network"):
        chosen = merged(ImplicitDecoderConfig().to_dict(), given.recipe.network)
        net = ImplicitDecoder.on(autoencoder, ImplicitDecoderConfig.from_dict(chosen | derived))
    if not given.warm_start:
        return net
    with input_errors("`warm_start`"):
        other = load_implicit_decoder(given.warm_start)
        if other.config.channels != autoencoder.feature_channels:
            raise ValueError("an implicit decoder for an autoencoder of other sizes")
    tell_overruled(other.config.to_dict(), given.recipe.network, given.announce)
    net = ImplicitDecoder.on(autoencoder, ImplicitDecoderConfig.from_dict(other.config.to_dict() | derived))
    net.load_state_dict(other.state_dict())
    return net


def _check_finer(pairs: Sequence[CoarsePair], settings: ImplicitTask) -> None:
    """Refuse a training that would learn nothing about voxels finer than the autoencoder's."""
    if settings.finest < 1 and not any(axis.cell > 1 for pair in pairs for axis in pair.how.axes):
        raise InputError(
            f"recipe: task.longest {settings.longest:g}: no volume has voxels fine enough to be coarsened to that many "
            f"mm; take a larger length, or task.finest 1 to learn coarser voxels alone"
        )


def point_validation(source: ImplicitSource) -> Validation:
    """PSNR at points of held-out volumes, and how much that is above the interpolation's, in dB.

    The samples are the same at every validation.
    """

    @torch.no_grad()
    def validate(network: nn.Module) -> Validated:
        device = next(network.parameters()).device
        errors = []
        for draw in range(_DRAWS):
            drawn = source.sample(draw % len(source), derived_seed("validation", draw))
            batch = {key: value.to(device) for key, value in default_collate([drawn]).items()}
            positions = (batch["z"], batch["x"], batch["y"])
            values = network(batch["features"], batch["base"], positions, batch["cell"])
            errors.append([float((each - batch["truth"]).square().mean()) for each in (values, batch["base"])])
        own, interpolated = 10 * np.log10(RANGE**2 / np.maximum(np.mean(errors, axis=0), 1e-12))
        return Validated({"loss": float(np.mean(errors, 0)[0]), "psnr": float(own), "gain": float(own - interpolated)})

    return validate
