"""MedSyn's model of small volumes: estimates the clean volume, and can be told a text.

Xu et al., "MedSyn: text-guided anatomy-aware synthesis of high-fidelity 3D CT images" (2024). Attributes have the names
of the official state dict. Volumes are (B, C, Z, X, Y).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from priors.networks.factorised.attention import Attention, TextAttention, WithinSlices, normed
from priors.networks.factorised.blocks import OutputBlock, beside, slice_block
from priors.networks.medsyn.config import MedSynConfig
from priors.networks.medsyn.levels import decode, down_levels, encode, up_levels
from priors.networks.sizes import check_size
from priors.networks.time_embedding import time_network
from priors.networks.unet3d import ResnetBlock

ROUNDS = 4
"""Rounds of attention within slices, attention to the text and a block, in the middle."""


class MedSynLow(nn.Module):
    """Estimates the clean volume in noisy ones; Z is never halved.

    In the middle, the attention within slices is one module in all rounds, each with a norm of its own.

    Args:
        config: the network's size.
    """

    null_cond_emb: Tensor
    class_texts: Tensor

    def __init__(self, config: MedSynConfig) -> None:
        super().__init__()
        self.config = config
        width, kernel, groups, time = config.width, config.init_kernel, config.norm_groups, 4 * config.width
        if config.text_classes:
            texts = torch.zeros(len(config.text_classes), config.text_tokens, config.text_width)
            self.register_buffer("class_texts", texts)
        self.null_cond_emb = nn.Parameter(torch.randn(1, config.text_tokens, config.text_width))
        self.init_conv = nn.Conv3d(config.channels, width, kernel, padding=kernel // 2)
        self.time_mlp = time_network(width)
        self.downs = down_levels(width, config.multipliers, groups, time, gap=0)
        self.ups = up_levels(width, config.multipliers, groups, time, gap=0)
        coarsest = width * config.multipliers[-1]
        self.mid_block1 = slice_block(coarsest, coarsest, groups, time)
        shared = WithinSlices(Attention(coarsest, config.heads))
        for number in range(1, ROUNDS + 1):
            text = TextAttention(coarsest, config.text_width, config.heads)
            self.add_module(f"mid_spatial_attn{number}", normed(coarsest, shared))
            self.add_module(f"mid_cross_attn{number}", normed(coarsest, text))
            self.add_module(f"mid_temporal_attn{number}", ResnetBlock(coarsest, coarsest, groups, time))
        self.mid_block2 = slice_block(coarsest, coarsest, groups, time)
        self.final_conv = OutputBlock(width, config.channels, groups)

    @property
    def size_multiple(self) -> int:
        """Voxels that X and Y are a multiple of; Z is of any length."""
        return int(2 ** (len(self.config.multipliers) - 1))

    def forward(self, x_t: Tensor, t: Tensor, text: Tensor | None = None) -> Tensor:
        """The clean volume in ``x_t``.

        Args:
            x_t: (B, C, Z, X, Y).
            t: (B,) times of the diffusion, 0 to 1000.
            text: (B, tokens, text width) embeddings; None is no text, which has an embedding of its own.

        Raises:
            ValueError: X or Y is no multiple of ``size_multiple``, or a text of another shape.
        """
        check_size(x_t.shape[3:], self.size_multiple, ("X", "Y"))
        text = self.null_cond_emb.expand(len(x_t), -1, -1) if text is None else self._checked(text, len(x_t))
        condition = self.time_mlp(t)
        stem = self.init_conv(x_t)
        x, skips = encode(self.downs, stem, condition)
        x = self._middle(x, condition, text)
        return self.final_conv(beside(decode(self.ups, x, condition, skips, self.config.up_order), stem))

    def text_of(self, name: str) -> Tensor | None:
        """The embeddings (tokens, text width) of a class's name; None where the network holds none."""
        known = self.config.text_classes
        return self.class_texts[known.index(name)] if name in known else None

    def _checked(self, text: Tensor, batch: int) -> Tensor:
        wanted = (batch, self.config.text_tokens, self.config.text_width)
        if text.shape != wanted:
            raise ValueError(f"a text of shape {tuple(text.shape)}; {wanted} is wanted")
        return text

    def _middle(self, x: Tensor, condition: Tensor, text: Tensor) -> Tensor:
        x = self.mid_block1(x, condition)
        for number in range(1, ROUNDS + 1):
            x = self.get_submodule(f"mid_spatial_attn{number}")(x)
            x = self.get_submodule(f"mid_cross_attn{number}")(x, text)
            x = self.get_submodule(f"mid_temporal_attn{number}")(x, condition)
        return self.mid_block2(x, condition)
