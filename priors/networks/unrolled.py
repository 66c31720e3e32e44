"""Unrolled networks: iterations of a reconstruction in which small networks take the place of fixed formulas.

They know nothing of scanners: the caller gives them the operators. What is learned begins as zero, so that untrained
learned primal-dual returns the image it starts from, and untrained MoDL does data-consistency steps alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.networks.settings import check_positive, plain_settings, read_settings

Map = Callable[[Tensor], Tensor]
"""An image (B, 1, H, W) to a sinogram (B, 1, V, C), or back."""
DataStep = Callable[[Tensor, Tensor], Tensor]
"""(denoised (B, 2, H, W), weight > 0) to argmin ‖Ax − y‖² + weight ‖x − denoised‖²."""


@dataclass(frozen=True)
class PrimalDualConfig:
    """Sizes of learned primal-dual; the defaults are the published ones.

    Attributes:
        iterations: the iterations of the unrolled algorithm.
        primal_memory, dual_memory: images and sinograms that are carried along.
        width: channels inside the small networks.

    Raises:
        ValueError: one of them below 1.
    """

    iterations: int = 10
    primal_memory: int = 5
    dual_memory: int = 5
    width: int = 32

    def __post_init__(self) -> None:
        check_positive("primal-dual", self, "iterations", "primal_memory", "dual_memory", "width")

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it."""
        return plain_settings(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PrimalDualConfig:
        """The reverse of :meth:`to_dict`; ``ValueError`` for a setting that is unknown, missing or wrong."""
        return read_settings(cls, "primal-dual", values)


class UnrolledStep(nn.Module):
    """Three convolutions, the last one zero at first."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        last = nn.Conv2d(width, outputs, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, width, 3, padding=1),
            nn.PReLU(width),
            nn.Conv2d(width, width, 3, padding=1),
            nn.PReLU(width),
            last,
        )

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.layers(x)
        return output


class LearnedPrimalDual(nn.Module):
    """Adler and Öktem, "Learned Primal-Dual Reconstruction" (2018), algorithm 3, from a first image."""

    def __init__(self, config: PrimalDualConfig) -> None:
        super().__init__()
        self.config = config
        primal, dual, width = config.primal_memory, config.dual_memory, config.width
        self.dual_steps = nn.ModuleList(UnrolledStep(dual + 2, width, dual) for _ in range(config.iterations))
        self.primal_steps = nn.ModuleList(UnrolledStep(primal + 1, width, primal) for _ in range(config.iterations))

    def forward(self, start: Tensor, sinogram: Tensor, project: Map, backproject: Map) -> Tensor:
        """The image after all iterations, (B, 1, H, W).

        Args:
            start: (B, 1, H, W) first image; 0 is air.
            sinogram: (B, 1, V, C), the data.
            project, backproject: differentiable adjoint pair between the two, scaled to norm 1.

        The paper starts from zero; from a first image the untrained network is no worse than that.
        """
        primal = start.repeat(1, self.config.primal_memory, 1, 1)
        dual = sinogram.new_zeros(len(sinogram), self.config.dual_memory, *sinogram.shape[2:])
        for dual_step, primal_step in zip(self.dual_steps, self.primal_steps, strict=True):
            shown = project(primal[:, -1:])
            dual = dual + dual_step(torch.cat([dual, shown, sinogram], dim=1))
            primal = primal + primal_step(torch.cat([primal, backproject(dual[:, :1])], dim=1))
        return primal[:, :1]


@dataclass(frozen=True)
class MoDLConfig:
    """Sizes of MoDL.

    Attributes:
        iterations: pairs of denoiser and data-consistency step.
        width, depth: channels and convolutions of the denoiser.
        shared: one denoiser for all iterations, as published.
        channels: the channels of an image, 2 for real and imaginary part.

    Raises:
        ValueError: one of them below 1, or a depth below 2.
    """

    iterations: int = 6
    width: int = 48
    depth: int = 5
    shared: bool = True
    channels: int = 2

    def __post_init__(self) -> None:
        check_positive("MoDL", self, "iterations", "width", "depth", "channels")
        if self.depth < 2:
            raise ValueError(f"MoDL setting depth is {self.depth}; it must be 2 or more")

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it."""
        return plain_settings(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MoDLConfig:
        """The reverse of :meth:`to_dict`; ``ValueError`` for a setting that is unknown, missing or wrong."""
        return read_settings(cls, "MoDL", values)


class Denoiser(nn.Module):
    """A residual convolutional network, which changes nothing at first."""

    def __init__(self, channels: int, width: int, depth: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        last = nn.Conv2d(width, channels, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.layers = nn.Sequential(*layers, last)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class MoDL(nn.Module):
    """Aggarwal, Mani and Jacob, "MoDL: Model-Based Deep Learning Architecture for Inverse Problems" (2019).

    Unlike there, the denoiser has no batch normalisation: what becomes of a slice does not depend on its batch.
    """

    def __init__(self, config: MoDLConfig) -> None:
        super().__init__()
        self.config = config
        count = 1 if config.shared else config.iterations
        self.denoisers = nn.ModuleList(Denoiser(config.channels, config.width, config.depth) for _ in range(count))
        # softplus(-3) = 0.05: the data count for most at first
        self.raw_weight = nn.Parameter(torch.full((count,), -3.0))

    def forward(self, start: Tensor, data_step: DataStep) -> Tensor:
        """The image after all iterations, (B, channels, H, W).

        Args:
            start: (B, channels, H, W) first image.
            data_step: differentiable, of the scan that ``start`` was made from.
        """
        image = start
        for iteration in range(self.config.iterations):
            index = 0 if self.config.shared else iteration
            image = data_step(self.denoisers[index](image), functional.softplus(self.raw_weight[index]))
        return image
