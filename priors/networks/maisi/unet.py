"""MAISI's U-Net, the class of MONAI itself: the noise or the velocity of latents.

Guo et al., "MAISI: Medical AI for Synthetic Imaging" (2024). Latents are (B, C, x, y, z), see
:mod:`priors.networks.maisi.axes`; what it is told beside them is in :mod:`priors.networks.maisi.conditions`.
"""

from __future__ import annotations

from typing import Any

from priors.networks.maisi.config import MaisiUNetConfig
from priors.networks.maisi.library import MISSING
from priors.networks.missing import MissingPackageError

try:
    from monai.apps.generation.maisi.networks.diffusion_model_unet_maisi import DiffusionModelUNetMaisi
except ModuleNotFoundError as error:
    raise MissingPackageError(MISSING) from error


def shared_sizes(config: MaisiUNetConfig) -> dict[str, Any]:
    """The sizes that U-Net and ControlNet have in common, by the library's names."""
    return {
        "spatial_dims": 3,
        "in_channels": config.channels,
        "num_channels": config.widths,
        "attention_levels": config.attention,
        "num_head_channels": config.head_widths,
        "num_res_blocks": config.blocks,
        "norm_num_groups": config.norm_groups,
        "num_class_embeds": config.classes or None,
        "resblock_updown": config.residual_sampling,
        "include_fc": config.attention_linear,
        "use_flash_attention": False,  # it raises without a GPU, and its result is the same
    }


class MaisiUNet(DiffusionModelUNetMaisi):
    """The library's U-Net, made from a configuration of this suite; its state dict is the released one's.

    Args:
        config: the sizes.
    """

    def __init__(self, config: MaisiUNetConfig) -> None:
        super().__init__(
            **shared_sizes(config),
            out_channels=config.channels,
            include_top_region_index_input=config.regions,
            include_bottom_region_index_input=config.regions,
            include_spacing_input=config.spacing,
        )
        self.config = config
