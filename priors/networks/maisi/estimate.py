"""One estimate of MAISI's U-Net, in the axes of this suite, with the heads that steer it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from priors.networks.maisi.axes import from_maisi, to_maisi
from priors.networks.maisi.controlnet import AttachedMaisiHead, residuals
from priors.networks.maisi.unet import MaisiUNet


def estimate(
    unet: MaisiUNet,
    z: Tensor,
    time: Tensor,
    inputs: Mapping[str, Tensor],
    heads: Sequence[AttachedMaisiHead] = (),
) -> Tensor:
    """The noise, or the velocity of a rectified flow, that the U-Net estimates.

    Args:
        unet: the network.
        z: (B, C, Z, X, Y), the noisy latent.
        time: (B,) times of the process, 0 to 1000.
        inputs: what it is told, of :func:`priors.networks.maisi.conditions.told`.
        heads: ControlNets with their hints.

    Returns:
        (B, C, Z, X, Y).

    Raises:
        ValueError: a hint of another size than the latent's.
    """
    turned = to_maisi(z).contiguous()
    own = {name: tensor for name, tensor in inputs.items() if name == "class_labels"}
    found = [residuals(each.head, turned, time, each.hint, own, each.controlnet_scale) for each in heads]
    if not found:
        return from_maisi(unet(turned, time, **inputs))
    downs, middles = zip(*found, strict=True)
    down = [torch.stack(tensors).sum(0) for tensors in zip(*downs, strict=True)]
    middle = torch.stack(middles).sum(0)
    steered = unet(turned, time, down_block_additional_residuals=down, mid_block_additional_residual=middle, **inputs)
    return from_maisi(steered)
