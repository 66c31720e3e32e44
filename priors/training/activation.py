"""Activation checkpointing: compute a block's activations again in the backward pass instead of holding them."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from priors.networks.adm_blocks import Stage
from priors.networks.autoencoder_blocks import DecoderLevel as VolumeDecoderLevel
from priors.networks.autoencoder_blocks import EncoderLevel as VolumeEncoderLevel
from priors.networks.autoencoder_blocks import MiddleBlock
from priors.networks.dit import FlowStage
from priors.networks.unet3d import DecoderLevel, EncoderLevel
from priors.networks.unrolled import Denoiser, UnrolledStep

BLOCKS: tuple[type[nn.Module], ...] = (
    VolumeEncoderLevel,
    VolumeDecoderLevel,
    MiddleBlock,
    EncoderLevel,
    DecoderLevel,
    FlowStage,
    Stage,
    UnrolledStep,
    Denoiser,
)
"""What is computed twice: a level of a network, or a step of an unrolled one, at a time."""


def checkpoint_activations(network: nn.Module) -> int:
    """Change every block of ``BLOCKS`` inside a network, in place; results and gradients stay the same.

    Returns:
        How many blocks were changed.
    """
    blocks = [module for module in network.modules() if isinstance(module, BLOCKS)]
    for block in blocks:
        # A partial and no closure: a copy of the network (its moving average) then has methods of its own blocks.
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    return len(blocks)
