"""Perceptual distances: LPIPS on slices, and the tri-plane loss of the autoencoder that is built on it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from priors.networks.squeezenet import SqueezeNet

STAGES = {
    "slice1": (64, (0, 2)),
    "slice2": (128, (5, 7)),
    "slice3": (256, (10, 12, 14)),
    "slice4": (512, (17, 19, 21)),
    "slice5": (512, (24, 26, 28)),
}
"""Stages of VGG16 up to relu5_3: width, and the positions of the convolutions in torchvision's ``features``."""
PIXELS_AT_ONCE = 2**20
"""Slices go through the network in pieces of about this many pixels, which hold about 2.5 GB of activations."""


class _VGG16(nn.Module):
    """The convolutional part of VGG16; the outputs after relu1_2, 2_2, 3_3, 4_3 and 5_3."""

    widths = tuple(width for width, _ in STAGES.values())
    smallest = 16
    """Shortest edge of an image in pixels, which is halved four times."""

    def __init__(self) -> None:
        super().__init__()
        inputs = 3
        for name, (width, positions) in STAGES.items():
            stage = nn.Sequential()
            if positions[0] > 0:
                stage.add_module(str(positions[0] - 1), nn.MaxPool2d(2))
            for position in positions:
                stage.add_module(str(position), nn.Conv2d(inputs, width, 3, padding=1))
                stage.add_module(str(position + 1), nn.ReLU(inplace=True))
                inputs = width
            self.add_module(name, stage)

    def forward(self, images: Tensor) -> Iterator[Tensor]:
        hidden = images
        for stage in self.children():
            hidden = stage(hidden)
            yield hidden


class _Scaling(nn.Module):
    """From [-1, 1] to what networks for ImageNet were trained on; one channel becomes three."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.shift) / self.scale


class _Head(nn.Module):
    """Weights of a stage's channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # The published heads were trained behind a dropout at model.0. It has no parameters, and here it stays off
        # whatever mode a parent module is in, so it is not built at all.
        self.model = nn.Sequential(nn.Identity(), nn.Conv2d(channels, 1, 1, bias=False))

    def forward(self, squares: Tensor) -> Tensor:
        return self.model(squares)


def unit_normalise(features: Tensor) -> Tensor:
    """Features (B, C, …) with unit length over the channels at every position; zeros stay zeros."""
    return features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + 1e-10)


class LPIPS(nn.Module):
    """Learned perceptual distance of images (Zhang et al., 2018) with the features of VGG16, or of SqueezeNet 1.1.

    Frozen: the parameters want no gradient, and the result does not depend on ``train()`` or ``eval()``. New
    instances have random weights; ``priors.weights.perceptual_files.load_perceptual`` reads trained ones. The state
    dict has the keys of the perceptual network inside the released autoencoders.
    """

    def __init__(self, net: _VGG16 | SqueezeNet | None = None) -> None:
        super().__init__()
        self.scaling_layer = _Scaling()
        self.net = net or _VGG16()
        for number, width in enumerate(self.net.widths):
            self.add_module(f"lin{number}", _Head(width))
        self.requires_grad_(False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Distances of pairs of images.

        Args:
            first, second: (B, 1 or 3, height, width), about [-1, 1].

        Returns:
            (B, 1, 1, 1), zero for equal images.

        Raises:
            ValueError: an edge is shorter than the features' network takes.
        """
        if min(first.shape[-2:]) < self.net.smallest:
            height, width = first.shape[-2:]
            least = self.net.smallest
            raise ValueError(f"slices of {height} x {width} pixels; the perceptual network needs {least} or more")
        # Two passes, not one over both: nothing is recorded for the image that wants no gradient.
        features = zip(self.net(self.scaling_layer(first)), self.net(self.scaling_layer(second)), strict=True)
        distances = []
        for number, (a, b) in enumerate(features):
            squares = (unit_normalise(a) - unit_normalise(b)).square()
            distances.append(self.get_submodule(f"lin{number}")(squares).mean((2, 3), keepdim=True))
        return torch.stack(distances).sum(0)


def _take(volumes: Tensor, axis: int, indices: Tensor) -> Tensor:
    """Slices (n, C, …) across an axis of volumes (B, C, Z, X, Y), counted through all volumes of the batch."""
    indices = indices.to(volumes.device)
    length = volumes.shape[axis]
    return volumes.movedim(axis, 1)[indices // length, indices % length]


def _mean_distance(lpips: LPIPS, first: Tensor, second: Tensor) -> Tensor:
    """Mean over the slices. A fifth of a 256³ volume's would hold 8 GB for each orientation until the backward pass,
    so that activations of more than one piece are computed again there instead."""
    pieces = math.ceil(first.numel() / PIXELS_AT_ONCE)
    if pieces == 1:
        return lpips(first, second).mean()
    pairs = zip(first.chunk(pieces), second.chunk(pieces), strict=True)
    distances = [checkpoint(lpips, a, b, use_reentrant=False, preserve_rng_state=False) for a, b in pairs]
    return torch.cat(distances).mean()


def tri_plane_distance(lpips: LPIPS, x: Tensor, reconstruction: Tensor, indices: Sequence[Tensor]) -> Tensor:
    """LPIPS of given slices: mean per orientation, summed over the three (3D MedDiffusion, equation 5).

    Args:
        lpips: the distance of two images.
        x, reconstruction: (B, 1, Z, X, Y), about [-1, 1].
        indices: the slices for each of the axes Z, X, Y; 0 … B n - 1, all of the first volume before the second's.

    Returns:
        A scalar.
    """
    return torch.stack(
        [
            _mean_distance(lpips, _take(x, axis, chosen), _take(reconstruction, axis, chosen))
            for axis, chosen in zip((2, 3, 4), indices, strict=True)
        ]
    ).sum()


class TriPlanePerceptual(nn.Module):
    """The tri-plane loss: LPIPS on random slices of the three orientations.

    Args:
        lpips: the trained distance.
        fraction: share of the slices of each orientation, rounded down but at least one, over the whole batch; 0.2 in
            the released code. None takes one slice of each orientation from every volume, as the paper writes.

    Raises:
        ValueError: a fraction that is not in (0, 1].
    """

    def __init__(self, lpips: LPIPS, fraction: float | None = 0.2) -> None:
        super().__init__()
        if fraction is not None and not 0 < fraction <= 1:
            raise ValueError(f"fraction {fraction} of the slices; it must be above 0 and at most 1")
        self.lpips = lpips
        self.fraction = fraction

    def draw(self, batch: int, length: int, generator: torch.Generator | None = None) -> Tensor:
        """Random slices of one orientation, as ``tri_plane_distance`` takes them, for volumes of that length."""
        device = generator.device if generator is not None else None
        if self.fraction is None:
            positions = torch.randint(length, (batch,), generator=generator, device=device)
            return positions + length * torch.arange(batch, device=device)
        count = max(1, math.floor(self.fraction * batch * length))
        return torch.randperm(batch * length, generator=generator, device=device)[:count]

    def of_slices(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """The distance of axial slices (B, 1, X, Y) in about [-1, 1], a scalar; all are compared."""
        return _mean_distance(self.lpips, x, reconstruction)

    def forward(self, x: Tensor, reconstruction: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The distance of volumes (B, 1, Z, X, Y) in about [-1, 1], a scalar; slices drawn from the generator."""
        indices = [self.draw(x.shape[0], length, generator) for length in x.shape[2:]]
        return tri_plane_distance(self.lpips, x, reconstruction, indices)
