"""The end-to-end variational network for k-space of several coils, of the blocks of fastMRI's own package.

Sriram et al., "End-to-End Variational Networks for Accelerated MRI Reconstruction" (MICCAI 2020,
doi 10.1007/978-3-030-59713-9_7). k-space is centred and its transform orthonormal, as everywhere in the suite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from fastmri.models.varnet import NormUnet, SensitivityModel, VarNetBlock
from torch import Tensor, nn

from priors.networks.settings import check_positive, plain_settings, read_settings


@dataclass(frozen=True)
class VarNetConfig:
    """Sizes of the variational network; the defaults are the published ones, 29.9 million parameters.

    Attributes:
        iterations: the cascades, each a soft data-consistency step and a U-Net of its own.
        chans, pool_layers: channels at full resolution and poolings of the U-Nets of the cascades.
        sensitivity_chans, sensitivity_pool_layers: those of the U-Net that estimates the coil sensitivities.

    Raises:
        ValueError: one of them below 1.
    """

    iterations: int = 12
    chans: int = 18
    pool_layers: int = 4
    sensitivity_chans: int = 8
    sensitivity_pool_layers: int = 4

    def __post_init__(self) -> None:
        check_positive(
            "varnet", self, "iterations", "chans", "pool_layers", "sensitivity_chans", "sensitivity_pool_layers"
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it."""
        return plain_settings(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> VarNetConfig:
        """The reverse of :meth:`to_dict`; ``ValueError`` for a setting that is unknown, missing or wrong."""
        return read_settings(cls, "varnet", values)


_LEAST_VARIANCE = 1e-24
"""Variance, of images whose maximum is about 1, that no division goes below: an empty slice, or a coil that measured
nothing, has none, and must give 0, with a gradient of 0, and not NaN."""


class _NormUnet(NormUnet):
    def norm(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        parts = x.view(x.shape[0], 2, -1)  # real and imaginary
        mean = parts.mean(dim=2).view(-1, 2, 1, 1)
        deviation = parts.var(dim=2).clamp_min(_LEAST_VARIANCE).sqrt().view(-1, 2, 1, 1)
        return (x - mean) / deviation, mean, deviation


class _SensitivityModel(SensitivityModel):
    def __init__(self, chans: int, pool_layers: int) -> None:
        super().__init__(chans, pool_layers, mask_center=False)
        self.norm_unet = _NormUnet(chans, pool_layers)

    def divide_root_sum_of_squares(self, x: Tensor) -> Tensor:
        return x / x.square().sum((1, -1), keepdim=True).clamp_min(_LEAST_VARIANCE).sqrt()


class VarNet(nn.Module):
    """Cascades in k-space, and coil sensitivities that are learned together with them.

    The package's ``VarNet`` takes the fully sampled centre from masks of whole columns alone, and returns a magnitude.
    Here the centre is told, so that a mask may be any, and the completed k-space is returned, of which the caller makes
    an image with the phase that a data-consistency step needs.
    """

    def __init__(self, config: VarNetConfig) -> None:
        super().__init__()
        self.config = config
        self.sens_net = _SensitivityModel(config.sensitivity_chans, config.sensitivity_pool_layers)
        self.cascades = nn.ModuleList(
            VarNetBlock(_NormUnet(config.chans, config.pool_layers)) for _ in range(config.iterations)
        )

    def forward(self, kspace: Tensor, mask: Tensor, centre: Tensor) -> Tensor:
        """The completed k-space, (B, coils, H, W) complex.

        Args:
            kspace: (B, coils, H, W) complex, zero where not sampled.
            mask: (H, W) bool, True where sampled.
            centre: (H, W) bool, True in the fully sampled centre, which tells the coil sensitivities.
        """
        measured = torch.view_as_real(kspace)
        sampled = mask[None, None, :, :, None]
        sensitivities = self.sens_net(measured * centre[:, :, None], sampled)
        current = measured.clone()
        for cascade in self.cascades:
            current = cascade(current, measured, sampled, sensitivities)
        return torch.view_as_complex(current.contiguous())
