"""Data of which only some are kept: a mask as a linear operator."""

from __future__ import annotations

import torch
from torch import Tensor

from physics.operator import LinearOperator, Shape


class Kept(LinearOperator):
    """Sets data to zero where they are not kept; ``Kept(...) @ A`` is A with fewer data.

    Args:
        mask: bool, True where data are kept; its shape is that of the trailing axes of one slice's data.
        shape: full shape of the data, slices first.
        dtype: type of the data.
    """

    separable = True
    mask: Tensor

    def __init__(self, mask: Tensor, shape: Shape, dtype: torch.dtype) -> None:
        if mask.dtype != torch.bool or tuple(shape[len(shape) - mask.ndim :]) != tuple(mask.shape):
            raise ValueError(
                f"a mask {mask.dtype} {tuple(mask.shape)} does not fit data {tuple(shape)}; it must be bool"
            )
        self.mask, self.domain, self.range = mask, tuple(shape), tuple(shape)
        self.dtype, self.device = dtype, mask.device

    def _forward(self, x: Tensor) -> Tensor:
        return x * self.mask

    def _adjoint(self, y: Tensor) -> Tensor:
        return y * self.mask

    def _slices(self, part: slice) -> Kept:
        return Kept(self.mask, (len(range(*part.indices(self.domain[0]))), *self.domain[1:]), self.dtype)

    def _norm_bound(self) -> float:
        return 1.0
