"""A CT projector of which some rays were not measured: dead cells, views that failed, parts behind metal.

A ray that was not measured says nothing of the image. So its row of the operator is zero, and so are its data: whatever
solves ``A x = y`` gives it no weight. Direct reconstruction, and networks that know no mask, need a value for every
ray; they get one interpolated between the nearest measured cells of the same view, as is usual for metal (Kalender et
al. 1987, Radiology 164:576).
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from physics.ct.cone.projector import ConeProjector
from physics.ct.fbp import Window, fbp
from physics.ct.projector import Projector
from physics.operator import LinearOperator, apply_adjoint, apply_to


class MissingRays(LinearOperator):
    """A projector whose rows are zero where nothing was measured.

    Args:
        projector: projector of all rays.
        measured: bool, True for rays that were measured, (views, cells) for all slices alike or (z, views, cells).

    Raises:
        ValueError: a mask that is not bool, or not of the projector's shape.

    Attributes:
        projector: projector of all rays.
        geometry: its geometry.
        mask: (1, views, cells) or (z, views, cells) bool, True for measured rays.
    """

    mask: Tensor

    def __init__(self, projector: Projector | ConeProjector, measured: Tensor) -> None:
        mask = measured[None] if measured.ndim == 2 else measured
        shapes = {tuple(projector.range), (1, *projector.range[1:])}
        if measured.dtype != torch.bool or tuple(mask.shape) not in shapes:
            raise ValueError(
                f"the mask of measured rays must be bool and (views, cells) or (z, views, cells), {projector.range}, "
                f"not {measured.dtype} of {tuple(measured.shape)}"
            )
        self.projector, self.mask = projector, mask.to(projector.device)
        self.geometry = projector.geometry
        self.domain, self.range = projector.domain, projector.range
        self.dtype, self.device = projector.dtype, projector.device
        self.separable, self.slab_elements = projector.separable, projector.slab_elements

    def _forward(self, x: Tensor) -> Tensor:
        return apply_to(self.projector, x).mul_(self.mask)

    def _adjoint(self, y: Tensor) -> Tensor:
        return apply_adjoint(self.projector, y * self.mask)

    def _slices(self, part: slice) -> LinearOperator:
        some = cast(Projector, self.projector).stack(len(range(*part.indices(self.domain[0]))))
        return MissingRays(some, self.mask if len(self.mask) == 1 else self.mask[part])

    def views(self, part: slice) -> LinearOperator:
        """The same of some views."""
        return MissingRays(self.projector.views(part), self.mask[:, part])

    def _norm_bound(self) -> float:
        return self.projector.norm_bound

    def unmasked(self) -> LinearOperator:
        """The projector of all rays."""
        return self.projector

    def completed(self, y: Tensor) -> tuple[LinearOperator, Tensor]:
        """The projector of all rays, and data (z, views, cells) with the missing ones interpolated."""
        return self.projector, self._filled(y)

    def _filled(self, y: Tensor) -> Tensor:
        """Data with the missing rays interpolated; of a cone beam, dead rows from the rows beside them."""
        filled, dead = bridged(y, self.mask), ~self.mask.expand(y.shape).any(-1).any(-1)
        if self.separable or not bool(dead.any()):
            return filled
        known = ~dead[:, None, None].expand(y.shape)
        return _interpolated(filled.transpose(0, 2), known.transpose(0, 2)).transpose(0, 2).contiguous()

    def filtered_adjoint(self, y: Tensor, window: str) -> Tensor:
        """Filtered backprojection of interpolated data; views of which nothing was measured have no part in it."""
        filled = self._filled(y)
        seen = self.mask.any(-1).expand(y.shape[:2])  # (z, views)
        if bool(seen.all()) or isinstance(self.projector, ConeProjector):
            return self.projector.filtered_adjoint(filled, window)
        flat = self.projector.geometry
        image = y.new_zeros(self.domain)
        kinds, kind = torch.unique(seen, dim=0, return_inverse=True)
        for number, views in enumerate(kinds):
            if bool(views.any()):
                angles = torch.tensor(flat.angles, dtype=torch.float64)[views.cpu()]
                geometry = replace(flat, angles=tuple(angles.tolist()))
                some = kind == number
                image[some] = fbp(filled[some][:, views], geometry, self.projector.grid, cast(Window, window))
        return image


def bridged(y: Tensor, measured: Tensor) -> Tensor:
    """Data with what was not measured interpolated linearly between the nearest measured cells of its view.

    Beyond the outermost measured cell its value continues. A view without any takes the nearest views' values, and a
    slice without any is zero.

    Args:
        y: (z, views, cells) data; what they hold where nothing was measured is not looked at.
        measured: bool, broadcastable to ``y``.
    """
    mask = measured.expand(y.shape)
    if bool(mask.all()):
        return y
    filled = _interpolated(torch.where(mask, y, 0), mask)
    seen = mask.any(-1, keepdim=True).expand(y.shape)
    if not bool(seen.all()):
        filled = _interpolated(filled.transpose(1, 2), seen.transpose(1, 2)).transpose(1, 2).contiguous()
    return filled


def _interpolated(values: Tensor, known: Tensor) -> Tensor:
    """Linear interpolation along the last axis, constant beyond the ends; rows without a known value are zero."""
    place = torch.arange(values.shape[-1], device=values.device).expand(values.shape)
    last = values.shape[-1]
    before = torch.where(known, place, -1).cummax(-1).values
    after = torch.where(known, place, last).flip(-1).cummin(-1).values.flip(-1)
    any_known = (before >= 0) | (after < last)
    low = torch.where(before >= 0, before, after).clamp(0, last - 1)
    high = torch.where(after < last, after, before).clamp(0, last - 1)
    share = (place - low) / (high - low).clamp_min(1)
    between = torch.lerp(values.gather(-1, low), values.gather(-1, high), share.to(values))
    return torch.where(known, values, torch.where(any_known, between, 0))
