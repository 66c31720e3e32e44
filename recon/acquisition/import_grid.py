"""The grid that imported projections are reconstructed on, and whether the scanner sees it."""

from __future__ import annotations

import numpy as np

from physics.ct.field_of_view import magnification, ray_distances, seen_radius
from physics.ct.geometry import Geometry, ImageGrid
from recon.errors import InputError, input_errors

_SEEN_BEYOND = 0.1
"""A ray that misses the grid with more than this share of the largest line integral has gone through something."""


def image_grid(
    geometry: Geometry,
    slices: int,
    grid: tuple[int, int] | None = None,
    pixel: float | None = None,
    slice_spacing: float | None = None,
    binned: int = 1,
) -> tuple[tuple[int, int, int], tuple[float, float, float], tuple[str, ...]]:
    """Shape and spacing in mm (z, y, x) of the image, and what of them was assumed.

    Args:
        geometry: geometry of the scan, its number of cells decided.
        slices: number of detector rows.
        grid: (y, x) pixels; None takes as many as the scanner sees from all sides.
        pixel: their size, mm; None takes that of a cell at the isocentre, or what lets the grid cover the detector.
        slice_spacing: distance between detector rows at the isocentre, mm; None takes that of cells before binning.
        binned: number of cells that were binned to one.
    """
    cell = geometry.pitch / magnification(geometry)
    notices = []
    side = geometry.data_shape[1]
    if pixel is None:
        pixel = cell * side / max(grid) if grid else cell
        notices.append(f"pixels of {pixel:.5g} mm" + (", a cell at the isocentre" if not grid else ""))
    if grid is None:
        seen = seen_radius(geometry)
        side = max(1, round((2 * seen if seen > 0 else cell * side) / pixel))
        notices.append(f"a grid of {side} x {side} pixels, which the scanner sees from all sides")
    thickness = slice_spacing or cell / binned
    if slices > 1 and slice_spacing is None:
        notices.append(f"slices {thickness:.5g} mm apart, as far as unbinned cells")
    rows, columns = grid or (side, side)
    return (slices, rows, columns), (thickness, pixel, pixel), tuple(notices)


def check_sees(geometry: Geometry, grid: ImageGrid) -> None:
    """:class:`InputError` if the rays miss the grid, or the scanner cannot go round it."""
    with input_errors("the geometry does not fit the grid"):
        geometry.covering(grid)
    nearest = float(np.abs(ray_distances(geometry)).min())
    if nearest > grid.corner_radius:
        raise InputError(
            f"`geometry`: no ray comes nearer to the isocentre than {nearest:.4g} mm, and the grid reaches "
            f"{grid.corner_radius:.4g} mm; are offset, pitch and pixel in one unit?"
        )


def seen_beyond(geometry: Geometry, grid: ImageGrid, data: np.ndarray, measured: np.ndarray) -> tuple[str, ...]:
    """A doubt if rays that miss the grid have gone through something, which would be put inside.

    Args:
        geometry: geometry of the scan.
        grid: pixels of a slice.
        data: (z, views, cells) line integrals.
        measured: bool, which of them were measured.
    """
    outside = np.abs(ray_distances(geometry)) > grid.corner_radius
    values = np.where(measured, data, 0.0)
    share = float(values[..., outside].max(initial=0.0)) / max(float(values.max()), 1e-30)
    if share <= _SEEN_BEYOND:
        return ()
    return (f"rays beside the grid have up to {share:.0%} of the largest line integral: the object may be larger",)
