"""The encoder of both flows of BiFlowNet, which a ControlNet clones (3D MedDiffusion, sections III-B and III-C).

Attributes have the names of the released state dicts. Latents are (B, C, Z, X, Y).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from priors.networks.biflownet_config import FUSED_LEVELS, BiFlowNetConfig
from priors.networks.dit import ConvBlock, CubeHead, DiTBlock, FlowStage, PatchEmbedding, merge_cubes, sincos_position
from priors.networks.patient import UNKNOWN
from priors.networks.patient_embedding import PatientEmbedding, Patients
from priors.networks.time_embedding import time_network
from priors.networks.unet3d import EncoderLevel, ResnetBlock, SpatialAttention


@dataclass
class Features:
    """What the encoder of both flows hands to the decoder.

    Attributes:
        skips: the skip features of the U-Net, two for each level, in the order in which the encoder makes them.
        middle: the features of the U-Net at its lowest resolution.
        tokens: the tokens of the DiT, one for each stage, in the order in which the encoder makes them.
        middle_tokens: the tokens of the DiT's last middle block.
    """

    skips: list[Tensor]
    middle: Tensor
    tokens: list[Tensor]
    middle_tokens: Tensor

    def __add__(self, other: Features) -> Features:
        return Features(
            [a + b for a, b in zip(self.skips, other.skips, strict=True)],
            self.middle + other.middle,
            [a + b for a, b in zip(self.tokens, other.tokens, strict=True)],
            self.middle_tokens + other.middle_tokens,
        )

    def scaled(self, factor: float) -> Features:
        """Everything times ``factor``."""
        return Features(
            [skip * factor for skip in self.skips],
            self.middle * factor,
            [tokens * factor for tokens in self.tokens],
            self.middle_tokens * factor,
        )


Control = Features
"""What a ControlNet adds to the features of its base."""

NoiseEstimate = Callable[[Tensor, Tensor], Tensor]
"""From a noisy latent (B, C, Z, X, Y) and its diffusion steps (B,) to the estimated noise, of the latent's shape."""


class Steering(Protocol):
    """A ControlNet head with its condition, as a noise estimator is told of it."""

    def bind(self, y: Tensor, res: Tensor, patients: Patients | None = None) -> Callable[[Tensor, Tensor], Control]:
        """The control of a noisy latent at a step, for class indices ``y``, latent sizes ``res`` and patients."""
        ...


@dataclass(frozen=True)
class StaticCondition:
    """The part of the condition that does not change over the steps of a sampler, (B, 4 * width) each.

    Attributes:
        of_class: the embedding of the class; in a network that is told age and sex, theirs is added.
        of_size: the embedding of the latent's size.
    """

    of_class: Tensor
    of_size: Tensor


@dataclass(frozen=True)
class Hint:
    """A ControlNet's hint as its encoder takes it in: features of the grid, and of the tokens."""

    grid: Tensor
    tokens: Tensor


class BiFlowEncoder(nn.Module):
    """The first half of both flows with the embeddings of time, class, size and, where the network is told them, age
    and sex: what a ControlNet clones."""

    def __init__(self, config: BiFlowNetConfig) -> None:
        super().__init__()
        self._sizes = config
        width, condition = config.width, config.condition_width
        self.init_conv = nn.Conv3d(config.channels, width, config.init_kernel, padding=config.init_kernel // 2)
        self.time_mlp = time_network(width)
        self.cond_emb = nn.Embedding(config.classes, 4 * width)
        self.res_mlp = nn.Sequential(nn.Linear(3, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width))
        if config.patient:
            self.patient_emb = PatientEmbedding(width, 4 * width)
        self._local = config.intra_patch != "none"
        if self._local:
            tokens_along = config.sub_volume // config.token_patch
            self.pos_embed = nn.Parameter(sincos_position(width, tokens_along), requires_grad=False)
            self.x_embedder = PatchEmbedding(config.channels, width, config.token_patch, config.sub_volume)
            self.IntraPatchFlow_input = nn.ModuleList(self._stage(skip=False) for _ in range(FUSED_LEVELS))
            self.IntraPatchFlow_mid = nn.ModuleList(self._block(skip=False) for _ in range(config.middle_dit))
        self.downs = nn.ModuleList(
            EncoderLevel(inputs, outputs, config.norm_groups, condition, self._heads(level), config.halves(level))
            for level, (inputs, outputs) in enumerate(config.levels)
        )
        deepest = config.levels[-1][1]
        self.mid_block1 = ResnetBlock(deepest, deepest, config.norm_groups, condition)
        self.mid_spatial_attn = SpatialAttention(deepest, config.attention_heads)
        self.mid_block2 = ResnetBlock(deepest, deepest, config.norm_groups, condition)

    def _heads(self, level: int) -> int | None:
        return self._sizes.attention_heads if self._sizes.attention[level] else None

    def _block(self, *, skip: bool) -> DiTBlock | ConvBlock:
        config = self._sizes
        if config.intra_patch == "unet":
            edge = config.sub_volume // config.token_patch
            return ConvBlock(config.width, config.condition_width, config.norm_groups, edge, skip=skip)
        return DiTBlock(config.width, config.condition_width, config.dit_heads, config.mlp_ratio, skip=skip)

    def _stage(self, *, skip: bool) -> FlowStage:
        config = self._sizes
        return FlowStage(self._block(skip=skip), CubeHead(config.width, config.condition_width, config.token_patch))

    @property
    def size_multiple(self) -> int:
        """Every axis of a latent must be a multiple of this."""
        return self._sizes.size_multiple

    def static_condition(self, y: Tensor, res: Tensor, patients: Patients | None = None) -> StaticCondition:
        """What a sampler's steps have in common.

        Args:
            y: (B,) class indices.
            res: (B, 3) or (3,), latent size (z, x, y) over 64.
            patients: age and sex of the batch; None where nothing is known.

        Raises:
            ValueError: shapes that do not fit together, or patients for a network that is told no age and sex.
        """
        if y.ndim != 1 or res.shape not in ((3,), (len(y), 3)):
            raise ValueError(
                f"classes of shape {tuple(y.shape)} and sizes of shape {tuple(res.shape)}; (B,) and (B, 3) or (3,) fit"
            )
        told = self.cond_emb(y)
        if self._sizes.patient:
            told = told + self.patient_emb(patients or Patients.of([UNKNOWN] * len(y), y.device))
        elif patients is not None:
            raise ValueError("age and sex for a network that is told neither")
        return StaticCondition(told, self.res_mlp(res.expand(len(y), 3)))

    def _condition(self, t: Tensor, static: StaticCondition) -> Tensor:
        return torch.cat([self.time_mlp(t) + static.of_class, static.of_size], dim=1)

    def _encode(self, z_t: Tensor, condition: Tensor, hint: Hint | None = None) -> tuple[Tensor, Features]:
        """The output of the first convolution, and the features for the decoder."""
        x = self.init_conv(z_t)
        tokens = self.x_embedder(z_t) + self.pos_embed if self._local else z_t.new_zeros(0)
        if hint is not None:
            x, tokens = x + hint.grid, tokens + hint.tokens
        stem, skips, token_skips = x, [], []
        for index, level in enumerate(self.downs):
            if self._local and index < FUSED_LEVELS:
                tokens, local = self.IntraPatchFlow_input[index](tokens, condition)
                token_skips.append(tokens)
                x = x + self._merged(local, z_t)
            x, pair = level(x, condition)
            skips += pair
        if self._local:
            for block in self.IntraPatchFlow_mid:
                tokens = block(tokens, condition)
        return stem, Features(skips, self._middle(x, condition), token_skips, tokens)

    def _middle(self, x: Tensor, condition: Tensor) -> Tensor:
        """The U-Net at its lowest resolution."""
        return self.mid_block2(self.mid_spatial_attn(self.mid_block1(x, condition)), condition)

    def _merged(self, local: Tensor, z_t: Tensor) -> Tensor:
        return merge_cubes(local, z_t.shape[2:], self._sizes.token_patch, self._sizes.sub_volume)

    def _check_grid(self, name: str, grid: Tensor, channels: int) -> None:
        """Raises ValueError for a grid of another number of channels, or of a size that cubes do not fill."""
        multiple, size = self.size_multiple, tuple(grid.shape[2:])
        if grid.ndim != 5 or grid.shape[1] != channels:
            raise ValueError(f"{name} of shape {tuple(grid.shape)}; (B, {channels}, Z, X, Y) is wanted")
        if any(length % multiple or not length for length in size):
            nearest = tuple(max(multiple, round(length / multiple) * multiple) for length in size)
            raise ValueError(f"{name} size {size}: every axis must be a multiple of {multiple}; nearest: {nearest}")

    def _check(self, z_t: Tensor, t: Tensor, y: Tensor) -> None:
        """Raises ValueError for a latent that this network cannot take."""
        self._check_grid("latent", z_t, self._sizes.channels)
        if not len(z_t) == len(t) == len(y):
            raise ValueError(f"a batch of {len(z_t)} latents with {len(t)} time steps and {len(y)} classes")


@torch.no_grad()
def initialise(network: nn.Module) -> None:
    """New weights: Xavier for linear layers and patch embeddings; zero for what joins the DiT to the U-Net, and for
    what is added for age and sex."""
    for module in network.modules():
        if isinstance(module, PatchEmbedding):
            nn.init.xavier_uniform_(module.proj.weight.flatten(1))
            zero_(module.proj.bias)
        elif isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            zero_(module.bias)
    for module in network.modules():
        if isinstance(module, PatientEmbedding):
            module.silence()
        if isinstance(module, (DiTBlock, CubeHead)):
            zero_(*module.adaLN_modulation.parameters())
        if isinstance(module, CubeHead):
            zero_(*module.linear.parameters())


@torch.no_grad()
def zero_(*parameters: Tensor | None) -> None:
    """Set parameters to zero; None stands for a bias that is not there."""
    for parameter in parameters:
        if parameter is not None:
            parameter.zero_()
