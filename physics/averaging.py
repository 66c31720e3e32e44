"""Means over the pixels of a coarser grid that covers the same area, and fine images that have given means."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from physics.operator import LinearOperator

_MEAN_ROUNDS = 16


class AreaAverage(LinearOperator):
    """The mean of an image over each pixel of a coarser grid, whatever the ratio of the two.

    Both grids cover the same rectangle. A fine pixel that an edge of the coarse grid cuts counts by its share.

    Maps (z, y, x) images to the (z, y, x) of the coarser grid.

    Args:
        fine: (y, x) pixels of the images.
        coarse: (y, x) pixels of their means, along each axis at most as many.
        slices: number of slices.

    Raises:
        ValueError: the coarse grid is empty or finer than the fine one.
    """

    separable = True

    def __init__(self, fine: tuple[int, int], coarse: tuple[int, int], slices: int = 1) -> None:
        if not all(1 <= few <= many for few, many in zip(coarse, fine, strict=True)):
            raise ValueError(f"the means must be on a grid of 1 to {fine} pixels, not {coarse}")
        self._fine, self._coarse = fine, coarse
        self.domain, self.range = (slices, *fine), (slices, *coarse)
        self._rows, self._columns = (overlaps(many, few) for many, few in zip(fine, coarse, strict=True))

    def _slices(self, part: slice) -> AreaAverage:
        return AreaAverage(self._fine, self._coarse, len(range(*part.indices(self.domain[0]))))

    def _norm_bound(self) -> float:
        """The root of the largest column sum, of which the matrix A Aᵀ has none larger; rows sum to 1."""
        return float(self._rows.sum(0).amax() * self._columns.sum(0).amax()) ** 0.5

    def _forward(self, x: Tensor) -> Tensor:
        rows, columns = self._rows.to(x), self._columns.to(x)
        return rows @ x @ columns.T

    def _adjoint(self, y: Tensor) -> Tensor:
        rows, columns = self._rows.to(y), self._columns.to(y)
        return rows.T @ y @ columns


def overlaps(many: int, few: int) -> Tensor:
    """(few, many) share of each of ``few`` equal intervals that each of ``many`` equal ones takes; rows sum to 1."""
    fine = torch.arange(many + 1, dtype=torch.float64) * (few / many)
    coarse = torch.arange(few, dtype=torch.float64)[:, None]
    return (torch.minimum(fine[1:], coarse + 1) - torch.maximum(fine[:-1], coarse)).clamp_min(0)


def refined(image: Tensor, shape: tuple[int, int]) -> Tensor:
    """A smooth image on a finer grid whose mean over each pixel is the image (z, y, x), nowhere below 0.

    Bicubic interpolation, with what its means lack added in the same way until little is left, clipped at 0. What that
    changes of the means, where an edge stands in air, is put right by a factor for each pixel.

    Args:
        image: (z, y, x), nowhere below 0.
        shape: (y, x) of the finer grid, whole multiples of the image's.
    """
    own = (image.shape[-2], image.shape[-1])
    if own == shape:
        return image
    average = AreaAverage(shape, own, len(image))
    fine = torch.zeros((len(image), *shape), dtype=image.dtype, device=image.device)
    for _ in range(_MEAN_ROUNDS):
        lacking = image - average(fine)
        fine += interpolate(lacking[:, None], shape, mode="bicubic", align_corners=False)[:, 0]
        fine.clamp_min_(0)
    found = average(fine)
    factor = torch.where(found > 0, image / found.clamp_min(torch.finfo(found.dtype).tiny), 0)
    return fine * _repeated(factor, shape) + _repeated(torch.where(found > 0, 0, image), shape)


def _repeated(image: Tensor, shape: tuple[int, int]) -> Tensor:
    """Each pixel repeated on a grid that is finer by whole factors."""
    return interpolate(image[:, None], shape, mode="nearest")[:, 0]
