"""Activation checkpointing changes what is held, not what comes out."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from priors.networks.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder
from priors.networks.biflownet import BiFlowNet, BiFlowNetConfig
from priors.training.activation import checkpoint_activations


def biflownet() -> tuple[nn.Module, tuple[Tensor, ...]]:
    config = BiFlowNetConfig(
        width=12,
        multipliers=(1, 1, 2),
        attention=(False, False, True),
        channels=4,
        token_patch=2,
        attention_heads=2,
        norm_groups=4,
        dit_heads=2,
    )
    network = BiFlowNet(config)
    for parameter in network.parameters():
        if parameter.requires_grad and not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return network, (torch.randn(2, 4, 8, 8, 8), torch.tensor([3, 700]), torch.tensor([0, 1]), torch.ones(2, 3))


class Decoding(nn.Module):
    """The joint decoder as a network of its own."""

    def __init__(self) -> None:
        super().__init__()
        config = AutoencoderConfig(width=8, latent_channels=4, codes=16, norm_groups=4, patch=16)
        self.autoencoder = PatchVolumeAutoencoder(config)

    def forward(self, codes: Tensor) -> Tensor:
        return self.autoencoder.decode_embeddings(codes)


def decoder() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return Decoding(), (torch.randn(1, 4, 8, 8, 8),)


@pytest.mark.parametrize("make", [biflownet, decoder])
def test_gradients_are_the_same_and_less_is_held(make):
    from benchmarks.speed.table1 import kept_bytes

    torch.manual_seed(0)
    plain, inputs = make()
    changed = deepcopy(plain)
    assert checkpoint_activations(changed) > 2
    for network in (plain, changed):
        network(*inputs).square().mean().backward()
    for (name, ours), (_, theirs) in zip(changed.named_parameters(), plain.named_parameters(), strict=True):
        if theirs.grad is not None:
            assert ours.grad is not None, name
            assert torch.allclose(ours.grad, theirs.grad, atol=1e-6), name
    assert kept_bytes(lambda: changed(*inputs).mean()) < 0.6 * kept_bytes(lambda: plain(*inputs).mean())


def test_a_copy_computes_with_its_own_weights():
    """The moving average is a copy of the network in training."""
    network, inputs = decoder()
    checkpoint_activations(network)
    copy = deepcopy(network)
    before = network(*inputs)
    with torch.no_grad():
        for block in copy.autoencoder.decoder.conv_blocks:
            for parameter in block.parameters():
                parameter.add_(1.0)
    assert not torch.allclose(copy(*inputs), before)
    assert torch.equal(network(*inputs), before)
