"""The VQ-GAN of Medical Diffusion (Khader et al. 2022), after TATS (Ge et al. 2022).

Attributes have the names of the official state dict; the perceptual network that lies beside them there is no part of
this network. Tensors are (B, C, Z, X, Y).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from priors.networks.codebook import Codebook
from priors.networks.discriminator import DiscriminatorConfig, SliceDiscriminator, VolumeDiscriminator
from priors.networks.medicaldiffusion.config import VQGANConfig
from priors.networks.sizes import check_size

NORM_EPS = 1e-6
RESIZING = 4
"""Taps of the convolutions that halve and double."""


class Convolution(nn.Module):
    """Convolution of an image that goes on as its outermost voxels.

    An axis keeps its length, or is halved with ``stride`` 2. Of an odd padding the larger half lies in front.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self._sides = _sides(kernel - stride)
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.pad(x, self._sides, mode="replicate"))


class Doubling(nn.Module):
    """Transposed convolution that doubles each axis of an image that goes on as its outermost voxels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self._sides = _sides(RESIZING - 2)
        self.convt = nn.ConvTranspose3d(inputs, outputs, RESIZING, stride=2, padding=RESIZING - 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.convt(functional.pad(x, self._sides, mode="replicate"))


def _sides(padding: int) -> list[int]:
    return [padding - padding // 2, padding // 2] * 3


class ResidualBlock(nn.Module):
    """Twice norm, SiLU and convolution, added to the input."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, width, eps=NORM_EPS)
        self.conv1 = Convolution(width, width)
        self.norm2 = nn.GroupNorm(groups, width, eps=NORM_EPS)
        self.conv2 = Convolution(width, width)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv1(functional.silu(self.norm1(x)))
        return x + self.conv2(functional.silu(self.norm2(hidden)))


class EncoderLevel(nn.Module):
    """Halves each axis; twice the channels."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.down = Convolution(width, 2 * width, RESIZING, stride=2)
        self.res = ResidualBlock(2 * width, groups)

    def forward(self, x: Tensor) -> Tensor:
        return self.res(self.down(x))


class DecoderLevel(nn.Module):
    """Doubles each axis."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.up = Doubling(inputs, outputs)
        self.res1 = ResidualBlock(outputs, groups)
        self.res2 = ResidualBlock(outputs, groups)

    def forward(self, x: Tensor) -> Tensor:
        return self.res2(self.res1(self.up(x)))


class Encoder(nn.Module):
    """Volume to features at the resolution of latents."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        widths = [config.width * 2**level for level in range(config.halvings + 1)]
        self.conv_first = Convolution(config.image_channels, widths[0])
        self.conv_blocks = nn.ModuleList(EncoderLevel(width, config.norm_groups) for width in widths[:-1])
        self.final_block = _norm_and_silu(widths[-1], config.norm_groups)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv_first(x)
        for level in self.conv_blocks:
            hidden = level(hidden)
        return self.final_block(hidden)


class Decoder(nn.Module):
    """Features at the resolution of latents to a volume. Its finest level is twice as wide as the encoder's."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        widths = [config.width * 2**level for level in range(config.halvings, 0, -1)]
        self.final_block = _norm_and_silu(widths[0], config.norm_groups)
        self.conv_blocks = nn.ModuleList(
            DecoderLevel(inputs, outputs, config.norm_groups)
            for inputs, outputs in zip([widths[0], *widths], widths, strict=False)
        )
        self.conv_last = Convolution(widths[-1], config.image_channels)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.final_block(features)
        for level in self.conv_blocks:
            hidden = level(hidden)
        return self.conv_last(hidden)


def _norm_and_silu(width: int, groups: int) -> nn.Sequential:
    return nn.Sequential(nn.GroupNorm(groups, width, eps=NORM_EPS), nn.SiLU())


class VQGAN(nn.Module):
    """Vector-quantised autoencoder of volumes (B, image channels, Z, X, Y) in [-1, 1], with its two discriminators.

    A codebook that was loaded stays what it is in training as well, see :class:`priors.networks.codebook.Codebook`; the
    official one begins anew there, since its state dict does not tell that it was initialised.

    Args:
        config: the network's size.
    """

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.config = config
        coarsest = config.width * config.downsample
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.pre_vq_conv = Convolution(coarsest, config.latent_channels, kernel=1)
        self.post_vq_conv = Convolution(config.latent_channels, coarsest, kernel=1)
        self.codebook = Codebook(config.codes, config.latent_channels)
        judges = DiscriminatorConfig(config.judge_channels, config.judge_layers)
        self.image_discriminator = SliceDiscriminator(judges, config.image_channels)
        self.video_discriminator = VolumeDiscriminator(judges, config.image_channels)

    def latent_size(self, size: Sequence[int]) -> tuple[int, int, int]:
        """(z, x, y) of the latent of a volume of ``size`` (z, x, y).

        Raises:
            ValueError: an axis is no multiple of the compression; the message names the nearest that are.
        """
        check_size(size, self.config.downsample)
        z, x, y = size
        return z // self.config.downsample, x // self.config.downsample, y // self.config.downsample

    def encode(self, x: Tensor) -> Tensor:
        """The continuous latent (B, C, z, x, y) of volumes; ``ValueError`` as :meth:`latent_size`."""
        self.latent_size(x.shape[2:])
        return self.pre_vq_conv(self.encoder(x))

    def normalise(self, z: Tensor) -> Tensor:
        """Latents from the range of the codes to [-1, 1]; those beyond all codes lie a little outside."""
        low, high = self._range()
        return (z - low) / (high - low) * 2 - 1

    def denormalise(self, z: Tensor) -> Tensor:
        """The reverse of :meth:`normalise`."""
        low, high = self._range()
        return (z + 1) / 2 * (high - low) + low

    def _range(self) -> tuple[Tensor, Tensor]:
        return self.codebook.embeddings.min(), self.codebook.embeddings.max()

    def decode(self, z: Tensor) -> Tensor:
        """Volumes of continuous latents, not normalised, each voxel of which becomes its nearest code first."""
        return self.decode_codes(self.codebook.lookup(self.codebook.nearest(z)))

    def decode_codes(self, codes: Tensor) -> Tensor:
        """Volumes of codes (B, C, z, x, y)."""
        return self.decoder(self.post_vq_conv(codes.to(self.post_vq_conv.conv.weight.dtype)))

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Volumes through the codebook and back, and its losses; in training the codebook learns."""
        _, codes, losses = self.codebook(self.encode(x))
        return self.decode_codes(codes), losses
