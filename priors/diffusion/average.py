"""Average latents: where the sampling of new volumes begins.

Noised volumes of training hold a little of the volume nearly to the last step, so that noise alone is something else
than what the network has seen: it reads the noise's own mean as a grey level. Chains that start from noise end too
bright or too dark and without an outline, the more so the shorter the training. Samples therefore start from the noised
average of a class's training latents (Everaert et al. 2024, "Exploiting the signal-leak bias in diffusion models").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from priors.diffusion.anatomy import Size

EDGE = 16
"""Cells of an average along x and y: enough for an outline, too few for anybody's anatomy."""

START = 0.9
"""Share of the diffusion after which the noised average stands in for noised volumes."""

_DIGITS = 3


@dataclass(frozen=True)
class AverageLatent:
    """Of one class.

    Attributes:
        grid: (C, EDGE, EDGE), over all slices, in about [-1, 1]; cells lie along x and y across a whole slice.
        size: (z, x, y) voxels of the usual volume.
    """

    grid: Tensor
    size: Size

    def latent(self, size: Size) -> Tensor:
        """(C, Z, X, Y), every slice the same, for latents of ``size`` (z, x, y)."""
        z, x, y = size
        slices = functional.interpolate(self.grid[None], (x, y), mode="bilinear", align_corners=False)
        return slices[0, :, None].expand(-1, z, -1, -1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a weights file's header."""
        rounded = torch.round(self.grid.double() * 10**_DIGITS).div(10**_DIGITS)
        return {"grid": rounded.tolist(), "size": list(self.size)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], channels: int) -> AverageLatent:
        """The reverse of :meth:`to_dict`.

        Raises:
            ValueError: not what :meth:`to_dict` gives for latents of so many channels.
        """
        try:
            grid = torch.tensor(content["grid"], dtype=torch.float32)
            z, x, y = (int(edge) for edge in content["size"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError("an average latent that is none") from error
        if grid.shape != (channels, EDGE, EDGE) or not torch.isfinite(grid).all():
            raise ValueError(f"an average latent of shape {tuple(grid.shape)}")
        return cls(grid, (z, x, y))


def average_latent(latents: Iterable[Tensor], size: Size) -> AverageLatent:
    """The mean of latents (C, Z, X, Y) of whole volumes, one in memory at a time, each stretched to the same cells."""
    grids = [functional.adaptive_avg_pool2d(each.float().mean(1), EDGE) for each in latents]
    return AverageLatent(torch.stack(grids).mean(0), size)
