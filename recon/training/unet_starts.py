"""U-Nets that begin as others, with more inputs or fewer, or with another way of up-sampling."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from priors.networks.unet2d import UNet2D
from priors.weights.card import read_card
from priors.weights.networks import load_network
from recon.learned.refiner import KIND

_OF_INPUTS = "down_sample_layers.0.layers.0.weight"
"""Of the first convolution, which sees the inputs."""


def load_unet(path: Path) -> UNet2D:
    """A U-Net or a refiner, which is one too.

    Raises:
        ValueError: a network of another kind.
    """
    kind = read_card(path).kind
    network: UNet2D = load_network(path, kind if kind == KIND else "unet")
    return network


def with_upsampling(network: UNet2D, anti_aliased: bool) -> UNet2D:
    """The network with that way of up-sampling, its tensors as they are."""
    if network.config.anti_aliased == anti_aliased:
        return network
    changed = UNet2D(replace(network.config, anti_aliased=anti_aliased))
    changed.load_state_dict(network.state_dict())
    return changed


def with_inputs(network: UNet2D, inputs: int) -> UNet2D:
    """The network with so many inputs: it does not heed new ones yet, and the last ones are left out where it has more.

    Raises:
        ValueError: a network that does not add to the base image.
    """
    config = network.config
    if not config.residual or config.out_channels != 1:
        raise ValueError(
            "a U-Net of another kind; one from the base image to a change of it is wanted (residual: true)"
        )
    if config.in_channels == inputs:
        return network
    changed = UNet2D(replace(config, in_channels=inputs))
    state = network.state_dict()
    new, shared = torch.zeros_like(changed.state_dict()[_OF_INPUTS]), min(inputs, config.in_channels)
    new[:, :shared] = state[_OF_INPUTS][:, :shared]
    changed.load_state_dict(state | {_OF_INPUTS: new})
    return changed
