"""ControlNet for BiFlowNet: steers a frozen noise estimator by a condition of the latent's size.

3D MedDiffusion, section III-C, after Zhang et al., "Adding Conditional Control to Text-to-Image Diffusion Models"
(2023). The release has none, so this design is ours: a trainable clone of the encoder of both flows takes the hint in
through zero convolutions (beside the U-Net's first convolution and beside the DiT's tokens) and joins its features to
the base's through zero convolutions at every U-Net skip and the middle, and through zero linear layers at every DiT
skip and the DiT's middle. An untrained head therefore changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from priors.networks.biflow_encoder import BiFlowEncoder, Control, Features, Hint, StaticCondition, initialise, zero_
from priors.networks.biflownet import BiFlowNet
from priors.networks.biflownet_config import FUSED_LEVELS, BiFlowNetConfig
from priors.networks.dit import PatchEmbedding
from priors.networks.fingerprint import tensors_sha256
from priors.networks.patient_embedding import Patients

_NAMES = {"base", "hint_channels", "task"}
_OPTIONAL_NAMES = {"middle"}


@dataclass(frozen=True)
class ControlNetConfig:
    """Sizes of a ControlNet, and what it was trained for.

    Attributes:
        base: sizes of the noise estimator that it steers.
        hint_channels: the channels of the hint; several latents side by side, or a mask, are as good as one latent.
        task: free and JSON-able, such as the measurement's geometry and which images the hint holds.
        middle: also clone the U-Net's middle, a third of a small head's weights; without it the head joins the skips,
            which carry what a condition of the latent's resolution has to say.

    Raises:
        ValueError: a hint without channels.
    """

    base: BiFlowNetConfig
    hint_channels: int
    task: dict[str, Any] = field(default_factory=dict)
    middle: bool = True

    def __post_init__(self) -> None:
        if type(self.hint_channels) is not int or self.hint_channels < 1:
            raise ValueError(f"a hint of {self.hint_channels!r} channels; it must be a whole number, 1 or more")
        if self.base.intra_patch == "none":
            raise ValueError("a base without intra-patch flow; heads join both flows")

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the reverse of :meth:`from_dict`."""
        plain = {"base": self.base.to_dict(), "hint_channels": self.hint_channels, "task": self.task}
        return plain | {"middle": self.middle}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ControlNetConfig:
        """From :meth:`to_dict`.

        Raises:
            ValueError: a setting that is unknown, missing or of the wrong type.
        """
        wrong = set(values) - _OPTIONAL_NAMES ^ _NAMES
        if wrong:
            raise ValueError(f"ControlNet settings unknown or missing: {', '.join(sorted(wrong))}")
        for name in ("base", "task"):
            if not isinstance(values[name], Mapping):
                raise ValueError(f"ControlNet setting {name} is {values[name]!r}; it must be a table")
        if not isinstance(middle := values.get("middle", True), bool):
            raise ValueError(f"ControlNet setting middle is {middle!r}; it must be true or false")
        return cls(BiFlowNetConfig.from_dict(values["base"]), values["hint_channels"], dict(values["task"]), middle)


@dataclass(frozen=True)
class HintedCondition:
    """What a sampler's steps have in common for a ControlNet."""

    condition: StaticCondition
    hint: Hint


class ControlNet(BiFlowEncoder):
    """A head that adds to the features of a frozen BiFlowNet.

    Args:
        config: sizes and task.
        base_hash: hash of the base's tensors; empty where there was no base.
    """

    def __init__(self, config: ControlNetConfig, base_hash: str = "") -> None:
        super().__init__(config.base)
        self.config, self.base_hash = config, base_hash
        base, width = config.base, config.base.width
        self.hint_encoder = nn.Sequential(
            nn.Conv3d(config.hint_channels, width, kernel_size=3, padding=1),
            nn.SiLU(),
            nn.Conv3d(width, width, kernel_size=3, padding=1),
            nn.SiLU(),
        )
        self.hint_grid = nn.Conv3d(width, width, kernel_size=1)
        self.hint_tokens = PatchEmbedding(width, width, base.token_patch, base.sub_volume)
        self.skip_convs = nn.ModuleList(_pointwise(outputs) for _, outputs in base.levels for _ in range(2))
        if config.middle:
            self.middle_conv = _pointwise(base.levels[-1][1])
        else:
            del self.mid_block1, self.mid_spatial_attn, self.mid_block2
        self.token_linears = nn.ModuleList(nn.Linear(width, width) for _ in range(FUSED_LEVELS))
        self.middle_token_linear = nn.Linear(width, width)
        initialise(self)
        self._zero_joints()

    def _zero_joints(self) -> None:
        entrances = (self.hint_grid, self.hint_tokens)
        exits = (self.skip_convs, self.token_linears, self.middle_token_linear)
        for joint in (*entrances, *exits, *([self.middle_conv] if self.config.middle else [])):
            zero_(*joint.parameters())

    def _middle(self, x: Tensor, condition: Tensor) -> Tensor:
        return super()._middle(x, condition) if self.config.middle else x

    @classmethod
    def from_base(
        cls, base: BiFlowNet, hint_channels: int, task: Mapping[str, Any] | None = None, *, middle: bool = True
    ) -> ControlNet:
        """An untrained head: a trainable clone of the base's encoder, on its device.

        Args:
            base: the noise estimator; its weights are copied and hashed, not changed or frozen.
            hint_channels: the channels of the hint.
            task, middle: the fields of :class:`ControlNetConfig`.

        Raises:
            ValueError: a hint without channels.
        """
        state = base.state_dict()
        head = cls(ControlNetConfig(base.config, hint_channels, dict(task or {}), middle), tensors_sha256(state))
        own = head.state_dict()
        head.load_state_dict(own | {name: tensor for name, tensor in state.items() if name in own})
        return head.to(base.init_conv.weight.device)

    def hinted_condition(
        self, y: Tensor, res: Tensor, hint: Tensor, patients: Patients | None = None
    ) -> HintedCondition:
        """What a sampler's steps have in common.

        Args:
            y: (B,) class indices.
            res: (B, 3) or (3,), latent size (z, x, y) over 64.
            hint: (B, hint channels, Z, X, Y), or (1, …) for the whole batch.
            patients: age and sex of the batch; None where nothing is known.

        Raises:
            ValueError: shapes that do not fit.
        """
        self._check_hint(hint)
        if len(hint) not in (1, len(y)):
            raise ValueError(f"a batch of {len(hint)} hints for {len(y)} latents; as many, or one for all, are wanted")
        features = self.hint_encoder(hint)
        tokens = self.hint_tokens(features.expand(len(y), -1, -1, -1, -1))
        return HintedCondition(self.static_condition(y, res, patients), Hint(self.hint_grid(features), tokens))

    def _check_hint(self, hint: Tensor) -> None:
        self._check_grid("hint", hint, self.config.hint_channels)

    def forward(
        self,
        z_t: Tensor,
        t: Tensor,
        y: Tensor,
        res: Tensor,
        hint: Tensor,
        *,
        patients: Patients | None = None,
        static: HintedCondition | None = None,
    ) -> Control:
        """What to add to the base's features.

        Args:
            z_t: (B, C, Z, X, Y) noisy latent, as the base takes it.
            t: (B,) time steps.
            y: (B,) class indices.
            res: (B, 3) or (3,), latent size (z, x, y) over 64.
            hint: (B or 1, hint channels, Z, X, Y) at the latent's resolution.
            patients: age and sex of the batch; None where nothing is known.
            static: :meth:`hinted_condition` of ``y``, ``res``, ``hint`` and ``patients``, when it is kept over the
                steps.

        Raises:
            ValueError: shapes that do not fit.
        """
        self._check(z_t, t, y)
        self._check_hint(hint)
        if hint.shape[2:] != z_t.shape[2:]:
            raise ValueError(f"a hint of size {tuple(hint.shape[2:])} for a latent of size {tuple(z_t.shape[2:])}")
        common = static or self.hinted_condition(y, res, hint, patients)
        _, features = self._encode(z_t, self._condition(t, common.condition), common.hint)
        return self._joined(features)

    def _joined(self, features: Features) -> Control:
        return Control(
            [conv(skip) for conv, skip in zip(self.skip_convs, features.skips, strict=True)],
            self.middle_conv(features.middle) if self.config.middle else torch.zeros_like(features.middle),
            [linear(tokens) for linear, tokens in zip(self.token_linears, features.tokens, strict=True)],
            self.middle_token_linear(features.middle_tokens),
        )


@dataclass(frozen=True)
class AttachedHead:
    """A head with its hint; made by :func:`attach`, used by :meth:`BiFlowNet.bind`.

    Attributes:
        head: the network.
        hint: (B or 1, hint channels, Z, X, Y).
        controlnet_scale: the factor on everything that the head adds; 0 switches the head off.

    Raises:
        ValueError: a hint that the head cannot take, or a scale that is not finite.
    """

    head: ControlNet
    hint: Tensor
    controlnet_scale: float = 1.0

    def __post_init__(self) -> None:
        self.head._check_hint(self.hint)
        if not math.isfinite(self.controlnet_scale):
            raise ValueError(f"a head's ControlNet scale must be a finite number, not {self.controlnet_scale}")

    def bind(self, y: Tensor, res: Tensor, patients: Patients | None = None) -> Callable[[Tensor, Tensor], Control]:
        """(z_t, t) -> control, with what the steps have in common computed once and without gradients."""
        with torch.no_grad():
            static = self.head.hinted_condition(y, res, self.hint, patients)

        def control(z_t: Tensor, t: Tensor) -> Control:
            return self.head(z_t, t, y, res, self.hint, static=static).scaled(self.controlnet_scale)

        return control


def attach(
    base: BiFlowNet, head: ControlNet, hint: Tensor, controlnet_scale: float = 1.0, *, allow_other_base: bool = False
) -> AttachedHead:
    """A head for use with a base, after a check that they belong together.

    Args:
        base: the noise estimator to steer.
        head: trained on that base.
        hint: (B or 1, hint channels, Z, X, Y).
        controlnet_scale: the factor on everything that the head adds.
        allow_other_base: take a base of the same sizes with other weights.

    Raises:
        ValueError: a base of other sizes or weights, a hint that the head cannot take, a scale that is not finite.
    """
    if base.config != head.config.base:
        raise ValueError("this ControlNet head was made for a base of other sizes")
    if not allow_other_base and head.base_hash != (found := tensors_sha256(base.state_dict())):
        made_for = head.base_hash[:12] or "unknown weights"
        raise ValueError(f"this ControlNet head was made for the base {made_for}, not for {found[:12]}")
    return AttachedHead(head, hint, controlnet_scale)


def _pointwise(channels: int) -> nn.Conv3d:
    return nn.Conv3d(channels, channels, kernel_size=1)
