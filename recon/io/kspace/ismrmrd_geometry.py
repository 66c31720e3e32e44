"""Where the slices of ISMRMRD data lie: their order in space, their spacing, the affine of the image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recon.errors import InputError
from recon.io.kspace.mr_header import Encoding, image_affine

_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])
_UNEVEN = 0.1
"""Of a spacing: deviation of a slice from its place on the regular grid that is still rounding."""


@dataclass(frozen=True)
class Slices:
    """The slices in ascending order of their positions along the slice direction.

    Attributes:
        counters: values of the slice counter, in that order.
        positions: (slices, 3) centres in mm, LPS, in that order; None where they do not tell the slices apart.
        notices: what was decided.
    """

    counters: np.ndarray
    positions: np.ndarray | None
    notices: tuple[str, ...] = ()

    def index(self, counters: np.ndarray) -> np.ndarray:
        """The places in this order of values of the slice counter."""
        order = np.argsort(self.counters)
        return order[np.searchsorted(self.counters[order], counters)]


def slices_of(path: Path, heads: np.ndarray) -> Slices:
    """The slices in order of position; in order of the counter where positions or directions are not stated.

    Raises:
        InputError: slices at one position, unevenly spaced, or shifted sideways.
    """
    counters = np.unique(heads["idx"]["slice"])
    centres = np.stack([heads[heads["idx"]["slice"] == k][0]["position"] for k in counters]).astype(float)
    normal = heads[0]["slice_dir"].astype(float)
    known = directions_of(heads) is not None and np.isfinite(centres).all()
    if len(counters) == 1:
        return Slices(counters, centres if known else None)
    if not known or np.ptp(centres, axis=0).max() == 0:
        notice = "the readouts state no slice positions: the order of the slice counter and the header's slice "
        return Slices(counters, None, (notice + "thickness were taken",))
    order = np.argsort(centres @ normal, kind="stable")
    ordered = centres[order]
    _check_even(path, ordered, normal)
    moved = "the slice counter does not run along the slices' positions: they were put in order of position"
    straight = (np.diff(order) > 0).all() or (np.diff(order) < 0).all()
    return Slices(counters[order], ordered, () if straight else (moved,))


def directions_of(heads: np.ndarray) -> np.ndarray | None:
    """(3, 3) unit vectors along phase, readout and slice, LPS; None if they are not three at right angles."""
    directions = np.stack([heads[0][f"{axis}_dir"] for axis in ("phase", "read", "slice")]).astype(float)
    if not (np.isfinite(directions).all() and np.allclose(directions @ directions.T, np.eye(3), atol=1e-2)):
        return None
    return directions


def affine_of(
    heads: np.ndarray, encoding: Encoding, shape: tuple[int, ...], image: tuple[int, int], slices: Slices
) -> tuple[np.ndarray, bool]:
    """Affine of the (x, y, z) image to RAS+ mm from the readouts' directions (LPS), and whether these are given."""
    y, x = encoding.pixel_size(*shape[-2:])
    depth = encoding.field_of_view[2] / encoding.matrix[2]
    directions, position = directions_of(heads), heads[0]["position"].astype(float)
    if directions is None or not np.isfinite(position).all():
        return image_affine((x, y, depth)), False
    axes = (directions * np.array([[x], [y], [depth]])).T
    if slices.positions is not None:
        position = slices.positions[0]
        if len(slices.positions) > 1:
            height = float((slices.positions[-1] - slices.positions[0]) @ directions[2])
            axes[:, 2] = directions[2] * height / (len(slices.positions) - 1)
    to_corner = np.array([image[1] // 2, image[0] // 2, encoding.matrix[2] // 2])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes, position - axes @ to_corner
    affine[:3] *= _LPS_TO_RAS[:, None]
    return affine, True


def _check_even(path: Path, centres: np.ndarray, normal: np.ndarray) -> None:
    heights = centres @ normal
    gaps = np.diff(heights)
    typical = float(np.median(gaps))
    if gaps.min() <= _UNEVEN * max(typical, 1e-3):
        raise InputError(f"{path}: two slices lie at the same position ({heights[int(gaps.argmin())]:.2f} mm)")
    if np.abs(heights - heights[0] - gaps.mean() * np.arange(len(heights))).max() > _UNEVEN * typical:
        where = int(np.abs(gaps - typical).argmax())
        raise InputError(
            f"{path}: the slices are not evenly spaced: {gaps[where]:.2f} mm after the one at {heights[where]:.2f} mm, "
            f"{typical:.2f} mm elsewhere; is a slice missing?"
        )
    steps = centres - centres[0]
    sideways = float(np.linalg.norm(steps - np.outer(steps @ normal, normal), axis=1).max())
    if sideways > _UNEVEN * typical:
        raise InputError(f"{path}: the slices are shifted sideways by up to {sideways:.2f} mm; they form no volume")
