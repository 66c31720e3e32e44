"""MedSyn's model of finer grids: estimates the clean volume from a noisy one beside the small volume, enlarged.

Xu et al. (2024). Attributes have the names of the official state dict. Volumes are (B, C, Z, X, Y).
"""

from __future__ import annotations

from torch import Tensor, nn

from priors.networks.factorised.attention import Attention, WithinSlices, normed
from priors.networks.factorised.blocks import OutputBlock, beside, slice_block
from priors.networks.medsyn.config import MedSynSRConfig
from priors.networks.medsyn.levels import decode, down_levels, encode, up_levels
from priors.networks.sizes import check_size
from priors.networks.time_embedding import time_network
from priors.networks.unet3d import ResnetBlock


class MedSynSR(nn.Module):
    """Estimates the clean volume on the finer grid; Z is never halved.

    Args:
        config: the network's size.
    """

    def __init__(self, config: MedSynSRConfig) -> None:
        super().__init__()
        self.config = config
        width, kernel, groups, time = config.width, config.init_kernel, config.norm_groups, 4 * config.width
        self.init_conv0 = nn.Conv3d(2 * config.channels, width, kernel, padding=kernel // 2)
        self.time_mlp = time_network(width)
        self.downs = down_levels(width, config.multipliers, groups, time, gap=2)
        self.ups = up_levels(width, config.multipliers, groups, time, gap=2)
        coarsest = width * config.multipliers[-1]
        self.mid_block1 = slice_block(coarsest, coarsest, groups, time)
        self.mid_spatial_attn = normed(coarsest, WithinSlices(Attention(coarsest, config.heads)))
        self.mid_temporal_conv = ResnetBlock(coarsest, coarsest, groups, time)
        self.mid_block2 = slice_block(coarsest, coarsest, groups, time)
        self.final_conv0 = OutputBlock(width, config.channels, groups)

    @property
    def size_multiple(self) -> int:
        """Voxels that X and Y are a multiple of; Z is of any length."""
        return int(2 ** (len(self.config.multipliers) - 1))

    def forward(self, shown: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The clean volume in ``x_t``.

        Args:
            shown: (B, C, Z, X, Y), the small volume, each voxel repeated ``ratio`` times along each axis.
            x_t: (B, C, Z, X, Y).
            t: (B,) times of the diffusion, 0 to 1000.

        Raises:
            ValueError: X or Y is no multiple of ``size_multiple``.
        """
        check_size(x_t.shape[3:], self.size_multiple, ("X", "Y"))
        condition = self.time_mlp(t)
        stem = self.init_conv0(beside(shown, x_t))
        x, skips = encode(self.downs, stem, condition)
        x = self.mid_spatial_attn(self.mid_block1(x, condition))
        x = self.mid_block2(self.mid_temporal_conv(x, condition), condition)
        return self.final_conv0(beside(decode(self.ups, x, condition, skips, self.config.up_order), stem))
