"""BiFlowNet, the noise estimator of 3D MedDiffusion (section III-B): a DiT on cubes beside a U-Net on the whole latent.

Attributes have the names of the released state dicts. Latents are (B, C, Z, X, Y).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from priors.networks.biflow_encoder import (
    BiFlowEncoder,
    Control,
    Features,
    NoiseEstimate,
    StaticCondition,
    Steering,
    initialise,
)
from priors.networks.biflownet_config import FUSED_LEVELS, BiFlowNetConfig
from priors.networks.patient_embedding import Patients
from priors.networks.unet3d import DecoderLevel, ResnetBlock

__all__ = ["BiFlowNet", "BiFlowNetConfig", "Control", "StaticCondition"]


class BiFlowNet(BiFlowEncoder):
    """Estimates the noise in a latent from both flows.

    The intra-patch flow, a DiT, sees each cube of the noisy latent on its own; the inter-patch flow, a U-Net, sees it
    whole and takes the DiT's features at full resolution, by addition. In a new network the DiT adds exactly nothing.

    Args:
        config: sizes.
    """

    def __init__(self, config: BiFlowNetConfig) -> None:
        super().__init__(config)
        self.config = config
        width, levels = config.width, len(config.levels)
        if self._local:
            self.IntraPatchFlow_output = nn.ModuleList(self._stage(skip=True) for _ in range(FUSED_LEVELS))
        self.ups = nn.ModuleList(
            DecoderLevel(
                outputs,
                inputs,
                config.norm_groups,
                config.condition_width,
                self._heads(level),
                up=level >= FUSED_LEVELS,
            )
            for level, (inputs, outputs) in reversed(list(enumerate(config.levels)))
        )
        self.final_conv = nn.Sequential(
            ResnetBlock(2 * width, width, config.norm_groups), nn.Conv3d(width, config.channels, kernel_size=1)
        )
        self._first_fused = levels - FUSED_LEVELS
        initialise(self)

    @classmethod
    def from_official_config(cls, config: Mapping[str, Any]) -> BiFlowNet:
        """A new network from the official release's names of the settings (``dim``, ``dim_mults``, …).

        Raises:
            ValueError: an unknown setting, or a value that does not work.
        """
        return cls(BiFlowNetConfig.from_official(config))

    def forward(
        self,
        z_t: Tensor,
        t: Tensor,
        y: Tensor,
        res: Tensor,
        control: Control | None = None,
        *,
        patients: Patients | None = None,
        static: StaticCondition | None = None,
    ) -> Tensor:
        """The noise in ``z_t``.

        Args:
            z_t: (B, C, Z, X, Y); each axis a multiple of ``size_multiple``.
            t: (B,) time steps.
            y: (B,) class indices.
            res: (B, 3) or (3,), latent size (z, x, y) over 64.
            control: the control of one ControlNet, or the sum of several.
            patients: age and sex of the batch; None where nothing is known.
            static: :meth:`static_condition` of ``y``, ``res`` and ``patients``, when it is kept over the steps.

        Returns:
            (B, C, Z, X, Y).

        Raises:
            ValueError: shapes that do not fit.
        """
        self._check(z_t, t, y)
        condition = self._condition(t, static or self.static_condition(y, res, patients))
        stem, features = self._encode(z_t, condition)
        if control is not None:
            features = features + control
        return self._decode(stem, features, condition)

    def _decode(self, stem: Tensor, features: Features, condition: Tensor) -> Tensor:
        """Takes the features' lists apart, so that each skip is freed once it is used."""
        x, tokens = features.middle, features.middle_tokens
        for index, level in enumerate(self.ups):
            if self._local and index >= self._first_fused:
                stage = self.IntraPatchFlow_output[index - self._first_fused]
                tokens, local = stage(tokens, condition, features.tokens.pop())
                x = x + self._merged(local, stem)
            x = level(x, condition, features.skips.pop(), features.skips.pop())
        return self.final_conv(torch.cat([x, stem], dim=1))

    def bind(
        self, y: Tensor, res: Tensor, *, heads: Sequence[Steering] = (), patients: Patients | None = None
    ) -> NoiseEstimate:
        """A noise estimator for a sampler: what does not change over the steps is computed here, once.

        Gradients reach the latent that the estimator is called on, not the conditions.

        Args:
            y: (B,) class indices.
            res: (B, 3) or (3,), latent size (z, x, y) over 64.
            heads: ControlNets; their controls are summed.
            patients: age and sex of the batch; None where nothing is known.

        Raises:
            ValueError: a class that the network does not have, shapes that do not fit, or patients for a network that
                is told no age and sex.
        """
        if not y.is_meta and bool(((y < 0) | (y >= self.config.classes)).any()):
            raise ValueError(f"class {y.tolist()}: this network has the classes 0 to {self.config.classes - 1}")
        with torch.no_grad():
            static = self.static_condition(y, res, patients)
        controls = [head.bind(y, res, patients) for head in heads]

        def estimate(z_t: Tensor, t: Tensor) -> Tensor:
            control = None
            for make in controls:
                control = make(z_t, t) if control is None else control + make(z_t, t)
            return self(z_t, t, y, res, control, static=static)

        return estimate
