"""Implicit decoders of random weights on the tiny prior's autoencoder, for every test that needs one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from priors.networks.autoencoder import PatchVolumeAutoencoder
from priors.networks.implicit_decoder import ImplicitDecoder, ImplicitDecoderConfig
from priors.weights.card import Card, save_weights

SMALL = ImplicitDecoderConfig(channels=8, width=6, layers=2)


def random_decoder(net: PatchVolumeAutoencoder, spread: float = 3.0) -> ImplicitDecoder:
    """An implicit decoder that adds something to the interpolation; nothing with a spread of 0."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        decoder = ImplicitDecoder.on(net, SMALL).eval()
        nn.init.normal_(decoder.last.weight, std=spread)
    return decoder


def write_decoder(net: PatchVolumeAutoencoder, path: Path, spread: float = 3.0) -> Path:
    """Its weights file, as a training writes it."""
    decoder = random_decoder(net, spread)
    extra = {"autoencoder_sha256": decoder.autoencoder_sha256, "longest_mm": 8.0}
    save_weights(path, decoder.state_dict(), Card("implicit-decoder", SMALL.to_dict(), extra=extra))
    return path
