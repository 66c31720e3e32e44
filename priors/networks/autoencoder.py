"""The Patch-Volume autoencoder: cubes encoded on their own, whole volumes decoded (3D MedDiffusion, section III-A)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from einops import rearrange
from torch import Tensor, nn

from priors.networks.autoencoder_blocks import Decoder, Encoder
from priors.networks.autoencoder_config import AutoencoderConfig
from priors.networks.codebook import Codebook
from priors.networks.discriminator import VolumeDiscriminator
from priors.networks.perceptual import LPIPS
from priors.networks.sizes import check_size
from priors.networks.streaming import free_bytes, stream_decode, stream_features

ENCODING_COPIES = 8
"""Activations of the finest level that the encoder holds at a time, its convolutions' own memory included."""

ENCODING_SHARE = 1 / 4
"""Of the free memory, for those."""

MOST_CUBES, MOST_CUBES_GPU = 4, 32
"""More at a time are no faster; on a CPU they no longer fit into its cache, and take twice as long."""


class PatchVolumeAutoencoder(nn.Module):
    """Vector-quantised autoencoder of volumes (B, image channels, Z, X, Y) in about [-1, 1].

    Args:
        config: the network's size.
        perceptual: a perceptual network to keep beside it under the released key; it takes no part in computing.
    """

    def __init__(self, config: AutoencoderConfig, perceptual: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        channels, widths = config.latent_channels, config.widths
        self.encoder = Encoder(config.image_channels, channels, widths, config.norm_groups)
        self.decoder = Decoder(config.image_channels, channels, widths[::-1], config.norm_groups, config.middle_edge)
        self.pre_vq_conv = nn.Conv3d(channels, channels, kernel_size=1)
        self.post_vq_conv = nn.Conv3d(channels, channels, kernel_size=1)
        self.codebook = Codebook(config.codes, channels)
        if config.discriminator is not None:
            self.volume_discriminator = VolumeDiscriminator(config.discriminator, config.image_channels)
        if perceptual is not None:
            self.perceptual_loss = nn.ModuleDict({"perceptual_model": perceptual})

    @classmethod
    def from_official_config(cls, config: Mapping[str, Any], *, perceptual: bool = False) -> PatchVolumeAutoencoder:
        """A network with random weights from the configuration of the released training code.

        Args:
            config: sections ``model`` and ``dataset``; settings of the training are not looked at.
            perceptual: whether there is an (untrained) LPIPS network at the key where released checkpoints hold theirs.

        Raises:
            ValueError: a setting is missing, or asks for a network that there is no code for.
        """
        return cls(AutoencoderConfig.from_official(config), LPIPS() if perceptual else None)

    @property
    def compression(self) -> int:
        """Voxels of the image along one latent voxel."""
        return self.config.compression

    @property
    def size_multiple(self) -> int:
        """Latent voxels that every axis of a decoded latent is a multiple of."""
        return self.decoder.middle_edge or 1

    def latent_size(self, size: Sequence[int]) -> tuple[int, int, int]:
        """(z, x, y) of the latent of a volume of ``size`` (z, x, y).

        Raises:
            ValueError: an axis is no multiple of the compression; the message names the nearest that are.
        """
        check_size(size, self.compression)
        z, x, y = size
        return z // self.compression, x // self.compression, y // self.compression

    def encode(self, x: Tensor) -> Tensor:
        """The continuous latent (B, C, Z, X, Y) of a whole volume in one pass; see :meth:`patch_encode` for large ones.

        The latent is not that of :meth:`patch_encode`, which is what decoder and diffusion were trained on, unless the
        volume is a single patch.

        Raises:
            ValueError: an axis is no multiple of the compression, or the channels are not the network's.
        """
        self._check_volume(x, self.compression)
        return self.pre_vq_conv(self.encoder(x.to(self._dtype)))

    def patch_encode(self, x: Tensor, patch: int | None = None, batch: int | None = None) -> Tensor:
        """The continuous latent of a volume whose cubes are encoded each on its own, as in training.

        Cubes that do not lie where the network does are moved there; the latent lies where the volume does.

        Args:
            x: (B, image channels, Z, X, Y), about [-1, 1].
            patch: edge of the cubes in voxels; None takes the network's own.
            batch: cubes at a time; None chooses from the memory at hand.

        Returns:
            (B, C, Z, X, Y), not normalised.

        Raises:
            ValueError: an axis is no multiple of the patch (the message names the nearest sizes), or the patch is none
                of the compression.
        """
        edge = self.config.patch if patch is None else patch
        if edge < 1 or edge % self.compression:
            raise ValueError(f"patches of {edge} voxels do not divide by the compression {self.compression}")
        self._check_volume(x, edge)
        grid = dict(zip("zxy", (size // edge for size in x.shape[2:]), strict=True))
        cubes = rearrange(x, "b c (z p) (x q) (y r) -> (b z x y) c p q r", **grid)
        device = self.pre_vq_conv.weight.device
        at_a_time = batch or self._cubes_at_a_time(edge, device)
        latents = [self.encode(part.to(device)).to(x.device) for part in cubes.split(at_a_time)]
        return rearrange(torch.cat(latents), "(b z x y) c p q r -> b c (z p) (x q) (y r)", **grid)

    def quantize(self, z: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Indices, codes and losses of a continuous latent; in training the codebook learns. See ``Codebook.forward``.

        (The codes are straight-through: their gradient goes to ``z``.)
        """
        return self.codebook(z)

    def decode(
        self,
        z: Tensor,
        *,
        planes: int | None = None,
        on_progress: Callable[[float], None] | None = None,
        most_keys: int | None = None,
    ) -> Tensor:
        """A whole volume from its latent, decoded together.

        By chunks, in little memory (``priors.networks.streaming``), where no gradient is recorded; else all at once.

        Args:
            z: continuous latent (B, C, Z, X, Y), not normalised, whose nearest codes are decoded; or, of an integer
                type, indices of codes (B, Z, X, Y).
            planes: the number of planes that are decoded at a time; None chooses from the memory at hand.
            on_progress: called with the share, 0 to 1, that is done.
            most_keys: the most keys of an attention, see
                :meth:`~priors.networks.autoencoder_blocks.AttentionBlock.forward`.

        Returns:
            (B, image channels, Z, X, Y), about [-1, 1], not clamped.

        Raises:
            ValueError: a tensor that is no latent of this network, or an axis that is no multiple of ``size_multiple``.
        """
        return self._decode_codes(self._codes(z), planes, on_progress, most_keys)

    @torch.no_grad()
    def decode_features(
        self,
        z: Tensor,
        *,
        planes: int | None = None,
        on_progress: Callable[[float], None] | None = None,
        most_keys: int | None = None,
    ) -> Iterator[Tensor]:
        """What the decoder's last convolution takes, by chunks; see :func:`priors.networks.streaming.stream_features`.

        Arguments and errors are those of :meth:`decode`.
        """
        latent = self.post_vq_conv(self._codes(z).to(self._dtype))
        yield from stream_features(self.decoder, latent, planes, on_progress, most_keys)

    @property
    def last_convolution(self) -> nn.Conv3d:
        """The decoder's last convolution, from features to a volume."""
        return cast(nn.Conv3d, self.decoder.final_block[-1])

    @property
    def feature_channels(self) -> int:
        """The channels of what the decoder's last convolution takes."""
        return self.last_convolution.in_channels

    def _codes(self, z: Tensor) -> Tensor:
        """The codes (B, C, Z, X, Y) of a continuous latent, or of indices; ``ValueError`` as :meth:`decode`."""
        indices = self._indices(z) if z.is_floating_point() else z
        if indices.dim() != 4:
            raise ValueError(f"indices of shape {tuple(z.shape)}; (B, Z, X, Y) is needed")
        return self.codebook.lookup(indices)

    def _indices(self, z: Tensor) -> Tensor:
        if z.dim() != 5 or z.shape[1] != self.config.latent_channels:
            wanted = f"(B, {self.config.latent_channels}, Z, X, Y)"
            raise ValueError(f"a latent of shape {tuple(z.shape)}; {wanted} is needed")
        return self.codebook.nearest(z)

    def decode_embeddings(self, embeddings: Tensor) -> Tensor:
        """A whole volume from its codes (B, C, Z, X, Y) in one pass, differentiable."""
        return self.decoder(self.post_vq_conv(embeddings.to(self._dtype)))

    def _decode_codes(
        self,
        codes: Tensor,
        planes: int | None = None,
        on_progress: Callable[[float], None] | None = None,
        most_keys: int | None = None,
    ) -> Tensor:
        learns = codes.requires_grad or any(p.requires_grad for p in self.decoder.parameters())
        if learns and torch.is_grad_enabled():
            return self.decode_embeddings(codes)
        with torch.no_grad():
            latent = self.post_vq_conv(codes.to(self._dtype))
        return stream_decode(self.decoder, latent, planes, on_progress, most_keys)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """A volume through the autoencoder: cubes encoded on their own, quantised, decoded together.

        Args:
            x: (B, image channels, Z, X, Y), every axis a multiple of the patch.

        Returns:
            The reconstruction, and the codebook's losses.
        """
        _, codes, losses = self.quantize(self.patch_encode(x))
        return self._decode_codes(codes), losses

    def normalise(self, z: Tensor) -> Tensor:
        """Continuous latents from the codebook's range (least to greatest number in it) to [-1, 1], not clamped."""
        low, high = self._range()
        return (z - low) / (high - low) * 2 - 1

    def denormalise(self, z: Tensor) -> Tensor:
        """The reverse of :meth:`normalise`."""
        low, high = self._range()
        return (z + 1) / 2 * (high - low) + low

    def _range(self) -> tuple[Tensor, Tensor]:
        low, high = torch.aminmax(self.codebook.embeddings)
        return low, high

    @property
    def _dtype(self) -> torch.dtype:
        return self.pre_vq_conv.weight.dtype

    def _check_volume(self, x: Tensor, multiple: int) -> None:
        if x.dim() != 5 or x.shape[1] != self.config.image_channels:
            wanted = f"(B, {self.config.image_channels}, Z, X, Y)"
            raise ValueError(f"a volume of shape {tuple(x.shape)}; {wanted} is needed")
        check_size(x.shape[2:], multiple)

    def _cubes_at_a_time(self, edge: int, device: torch.device) -> int:
        cube = ENCODING_COPIES * self.config.width * edge**3 * self._dtype.itemsize
        most = MOST_CUBES_GPU if device.type == "cuda" else MOST_CUBES
        return min(most, max(1, int(free_bytes(device) * ENCODING_SHARE / cube)))
