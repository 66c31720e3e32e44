"""MAISI's ControlNet, the class of MONAI itself, steered by label maps as published, or by encoded images of a scan.

Guo et al., "MAISI: Medical AI for Synthetic Imaging" (2024). The hint of encoded images is ours: with one width, the
stem keeps the hint's resolution, and latents side by side are as good as a label map's bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from priors.networks.fingerprint import tensors_sha256
from priors.networks.maisi.axes import to_maisi
from priors.networks.maisi.config import MaisiControlNetConfig
from priors.networks.maisi.library import MISSING
from priors.networks.maisi.unet import MaisiUNet, shared_sizes
from priors.networks.missing import MissingPackageError

try:
    from monai.apps.generation.maisi.networks.controlnet_maisi import ControlNetMaisi
except ModuleNotFoundError as error:
    raise MissingPackageError(MISSING) from error


class MaisiControlNet(ControlNetMaisi):
    """The library's ControlNet, made from a configuration of this suite; its state dict is the released one's.

    An untrained one changes nothing: its last layers begin as zeros.

    Args:
        config: sizes and task.
        base_hash: hash of the tensors of the U-Net that it was trained on; empty where that is not known.
    """

    def __init__(self, config: MaisiControlNetConfig, base_hash: str = "") -> None:
        super().__init__(
            **shared_sizes(config.base),
            conditioning_embedding_in_channels=config.hint_channels,
            conditioning_embedding_num_channels=config.hint_widths,
        )
        self.config, self.base_hash = config, base_hash

    @classmethod
    def from_base(
        cls,
        base: MaisiUNet,
        hint_channels: int,
        hint_widths: tuple[int, ...],
        task: Mapping[str, Any] | None = None,
    ) -> MaisiControlNet:
        """An untrained one on the base's device; what it shares with the base by name and shape is copied.

        Args:
            base: the U-Net; its weights are copied and hashed, not changed or frozen.
            hint_channels, hint_widths, task: the fields of :class:`MaisiControlNetConfig`.

        Raises:
            ValueError: a hint without channels.
        """
        state = base.state_dict()
        config = MaisiControlNetConfig(base.config, hint_channels, hint_widths, dict(task or {}))
        head = cls(config, tensors_sha256(state))
        own = head.state_dict()
        shared = {
            name: state[name] for name, tensor in own.items() if name in state and state[name].shape == tensor.shape
        }
        head.load_state_dict(own | shared)
        moved: MaisiControlNet = head.to(next(base.parameters()).device)
        return moved

    def check_hint(self, hint: Tensor, latent: Tensor | None = None) -> None:
        """Refuse a hint of another number of channels or another size.

        Args:
            hint: (B or 1, hint channels, ...).
            latent: (B, C, ...) that it steers; None checks the channels alone.

        Raises:
            ValueError: such a hint.
        """
        if hint.ndim != 5 or hint.shape[1] != self.config.hint_channels:
            raise ValueError(
                f"a hint of shape {tuple(hint.shape)}; (B, {self.config.hint_channels}, Z, X, Y) is wanted"
            )
        if latent is not None:
            wanted = tuple(edge * self.config.hint_factor for edge in latent.shape[2:])
            if tuple(hint.shape[2:]) != wanted:
                raise ValueError(f"a hint of size {tuple(hint.shape[2:])}; {wanted} belongs to the latent")


@dataclass(frozen=True)
class AttachedMaisiHead:
    """A ControlNet with its hint; made by :func:`attach_maisi`.

    Attributes:
        head: the network.
        hint: (B or 1, hint channels, Z, X, Y).
        controlnet_scale: the factor on everything that the head adds; 0 switches the head off.

    Raises:
        ValueError: a hint that the head cannot take, or a scale that is not finite.
    """

    head: MaisiControlNet
    hint: Tensor
    controlnet_scale: float = 1.0

    def __post_init__(self) -> None:
        self.head.check_hint(self.hint)
        if not math.isfinite(self.controlnet_scale):
            raise ValueError(f"a head's ControlNet scale must be a finite number, not {self.controlnet_scale}")


Residuals = tuple[list[Tensor], Tensor]
"""What a ControlNet adds to the skips of the U-Net's encoder, and to its middle."""


def attach_maisi(
    base: MaisiUNet, head: nn.Module, hint: Tensor, controlnet_scale: float = 1.0, *, allow_other_base: bool = False
) -> AttachedMaisiHead:
    """A ControlNet for use with a U-Net, after a check that they belong together.

    Args:
        base: the U-Net to steer.
        head: a ControlNet that was trained on it.
        hint: (B or 1, hint channels, Z, X, Y).
        controlnet_scale: the factor on everything that the head adds.
        allow_other_base: take a U-Net of the same sizes with other weights.

    Raises:
        ValueError: a head of another kind of prior, sizes or weights, a hint that it cannot take, or a scale that is
            not finite.
    """
    if not isinstance(head, MaisiControlNet):
        raise ValueError("a head of another kind of prior; MAISI's U-Net takes MAISI's ControlNets")
    if base.config != head.config.base:
        raise ValueError("this ControlNet was made for a U-Net of other sizes")
    if not allow_other_base and head.base_hash != (found := tensors_sha256(base.state_dict())):
        made_for = head.base_hash[:12] or "unknown weights"
        raise ValueError(f"this ControlNet was made for the U-Net {made_for}, not for {found[:12]}")
    return AttachedMaisiHead(head, hint, controlnet_scale)


def residuals(
    head: MaisiControlNet, z: Tensor, time: Tensor, hint: Tensor, inputs: Mapping[str, Tensor], scale: float = 1.0
) -> Residuals:
    """What a ControlNet adds.

    Args:
        head: the network.
        z: (B, C, x, y, z), the noisy latent in MAISI's axes.
        time: (B,) times of the process, 0 to 1000.
        hint: (B or 1, hint channels, Z, X, Y) in this suite's axes.
        inputs: what it is told, of :func:`priors.networks.maisi.conditions.told_head`.
        scale: the factor on all of it.

    Raises:
        ValueError: a hint of another size.
    """
    turned = to_maisi(hint).expand(len(z), -1, -1, -1, -1)
    head.check_hint(turned, z)
    down, middle = head(z, time, turned.contiguous(), conditioning_scale=scale, **inputs)
    return down, middle
