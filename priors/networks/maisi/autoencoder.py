"""MAISI's autoencoder, the class of MONAI itself: volumes to latents of 4 channels and a quarter of the resolution.

Guo et al., "MAISI: Medical AI for Synthetic Imaging" (2024). Volumes are (B, 1, X, Y, Z) in [0, 1], see
:mod:`priors.networks.maisi.axes`.
"""

from __future__ import annotations

from priors.networks.maisi.config import MaisiAutoencoderConfig
from priors.networks.maisi.library import MISSING
from priors.networks.missing import MissingPackageError

try:
    from monai.apps.generation.maisi.networks.autoencoderkl_maisi import AutoencoderKlMaisi
except ModuleNotFoundError as error:
    raise MissingPackageError(MISSING) from error


class MaisiAutoencoder(AutoencoderKlMaisi):
    """The library's autoencoder, made from a configuration of this suite; its state dict is the released one's.

    ``encode`` gives mean and standard deviation of the latent's Gaussian, and ``decode`` volumes; neither scales.

    Args:
        config: the sizes.
    """

    def __init__(self, config: MaisiAutoencoderConfig) -> None:
        levels = len(config.widths)
        super().__init__(
            spatial_dims=3,
            in_channels=1,
            out_channels=1,
            num_res_blocks=config.blocks,
            num_channels=config.widths,
            attention_levels=(False,) * levels,
            latent_channels=config.latent_channels,
            norm_num_groups=config.norm_groups,
            norm_eps=1e-6,
            with_encoder_nonlocal_attn=False,
            with_decoder_nonlocal_attn=False,
            num_splits=config.splits,
            dim_split=1,
            norm_float16=config.half_norms,
            save_mem=config.splits > 1,
        )
        self.config = config
