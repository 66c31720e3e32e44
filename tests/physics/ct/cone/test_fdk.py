"""FDK on bodies of which every line integral is known, in HU."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from cone_geometries import cone

from physics.ct.cone.ellipsoids import Ellipsoid, defrise_discs, ellipsoid_line_integrals, ellipsoid_volume
from physics.ct.cone.fdk import fdk
from physics.ct.cone.geometry import ConeBeam
from physics.ct.cone.grid import VolumeGrid
from physics.ct.cone.projector import ConeProjector
from physics.ct.cone.views import ConeViews, views_of
from physics.ct.fbp import WINDOWS
from physics.ct.geometry import circular_angles

WATER = 0.0192
GRID = VolumeGrid((4, 48, 48), (4.0, 4.0, 4.0))
BALL = [Ellipsoid((0.0, 0.0, 0.0), (80.0, 80.0, 80.0), WATER)]


def scanner(views: int = 720, arc: float = 2 * math.pi, **changes: Any) -> ConeBeam:
    """A body scanner whose rows cover the slices next to the midplane."""
    facts: dict[str, Any] = {"pitch": 4.0, "cells": 90, "row_pitch": 4.0, "rows": 14}
    return ConeBeam(circular_angles(views, 0.0, arc), **(facts | changes))


def hu_errors(volume: torch.Tensor, grid: VolumeGrid = GRID, within: float = 60.0, slices: float = 4.0) -> np.ndarray:
    """Errors in HU of the ball's voxels within a radius of its middle, up to a distance from the midplane."""
    z, y, x = np.meshgrid(
        *[(np.arange(n) - (n - 1) / 2) * s for n, s in zip(grid.shape, grid.spacing, strict=True)], indexing="ij"
    )
    inside = (x**2 + y**2 + z**2 < within**2) & (np.abs(z) < slices)
    return 1000 * (volume.numpy()[inside] / WATER - 1)


@pytest.mark.parametrize(
    ("name", "geometry"),
    [
        ("circle", scanner()),
        ("curved", scanner(curved=True)),
        ("short scan", scanner(420, math.radians(210))),
        ("half fan", scanner(cells=56, offset=80.0)),
        ("half fan on the other side", scanner(cells=56, offset=-80.0)),
        ("detector shifted along its rows", scanner(row_offset=6.0)),
        ("tilt and roll", scanner(tilt=0.1, roll=0.05, rows=24)),
        ("vectors", views_of(scanner(roll=0.05, rows=24))),
    ],
)
def test_a_ball_is_uniform_in_the_midplane(name: str, geometry: ConeBeam | ConeViews) -> None:
    errors = hu_errors(fdk(ellipsoid_line_integrals(BALL, geometry), geometry, GRID))
    assert abs(errors.mean()) < 3, name
    assert np.abs(errors).max() < 10, name


@pytest.mark.parametrize(("feed", "sense"), [(40.0, 1), (-40.0, 1), (40.0, -1)])
def test_a_ball_is_uniform_on_a_helix(feed: float, sense: int) -> None:
    angles = tuple(sense * 2 * math.pi * k / 360 for k in range(4 * 360))
    middle = (angles[0] + angles[-1]) / 2
    geometry = replace(scanner(), angles=angles, feed=feed, height=-feed * middle / (2 * math.pi), rows=26)
    grid = VolumeGrid((12, 48, 48), (4.0, 4.0, 4.0))
    errors = hu_errors(fdk(ellipsoid_line_integrals(BALL, geometry), geometry, grid), grid, slices=24.0)
    assert abs(errors.mean()) < 5
    assert np.abs(errors).max() < 20


def test_slices_of_a_helix_count_every_direction_once() -> None:
    """The weights of the views that are a whole number of turns apart sum to one where the helix has them."""
    from physics.ct.cone.fdk import slice_weights
    from physics.ct.cone.flat_views import flat_scan

    geometry = replace(scanner(), angles=tuple(2 * math.pi * k / 10 for k in range(50)), feed=20.0, height=-49.0)
    weights = slice_weights(flat_scan(geometry), VolumeGrid((8, 4, 4), (4.0, 1.0, 1.0)))
    np.testing.assert_allclose(weights.reshape(5, 10, 8).sum(0), 1.0, atol=1e-9)


def test_the_cone_angle_blurs_discs_and_iterations_bring_them_back() -> None:
    """Defrise's discs: far from the midplane a circle says little of flat edges, and FDK nothing at all."""
    from recon.solvers.ordered_subsets import ordered_subsets, subsets_of

    grid = VolumeGrid((40, 24, 24), (2.0, 4.0, 4.0))
    discs = defrise_discs(36.0, 30.0, 6, WATER)
    geometry = ConeBeam(circular_angles(60), 8.0, 36, 0.0, 150.0, 300.0, 4.0, 60)
    operator = ConeProjector(geometry, grid)
    data, truth = ellipsoid_line_integrals(discs, geometry), ellipsoid_volume(discs, grid)

    def errors(volume: torch.Tensor) -> tuple[float, float]:
        """Relative errors of the inner and of the outer discs."""
        parts = (slice(14, 26), slice(0, 10))
        return tuple(float((volume[p] - truth[p]).norm() / truth[p].norm()) for p in parts)  # type: ignore[return-value]

    direct = errors(fdk(data, operator.geometry, grid))
    iterated = errors(ordered_subsets(subsets_of(operator, 6), data, torch.zeros(grid.shape), 15))
    assert direct[1] > 1.2 * direct[0]
    assert iterated[1] < 0.8 * direct[1]


@pytest.mark.parametrize("window", WINDOWS)
def test_windows(window: str) -> None:
    geometry = scanner(60)
    assert abs(hu_errors(fdk(ellipsoid_line_integrals(BALL, geometry), geometry, GRID, window)).mean()) < 15


def test_the_operator_gives_fdk_as_its_filtered_adjoint() -> None:
    geometry = scanner(30)
    data = ellipsoid_line_integrals(BALL, geometry)
    operator = ConeProjector(geometry, GRID)
    torch.testing.assert_close(operator.filtered_adjoint(data, "hann"), fdk(data, geometry, GRID, "hann"))


def test_double_precision_and_one_row_of_one_cell() -> None:
    geometry = scanner(8, rows=1, cells=1)
    found = fdk(torch.ones(geometry.scan_shape, dtype=torch.float64), geometry, GRID)
    assert found.dtype == torch.float64
    assert bool(torch.isfinite(found).all())


def test_what_cannot_be_is_said_in_one_line() -> None:
    geometry = cone(4)
    with pytest.raises(ValueError, match="the data are"):
        fdk(torch.zeros(1, 2, 3), geometry, GRID)
    with pytest.raises(ValueError, match="the window must be one of"):
        fdk(torch.zeros(geometry.scan_shape), geometry, VolumeGrid((2, 8, 8), (1.0, 1.0, 1.0)), "box")
    view = (*(0.0, 0.0, -500.0), *(0.0, 0.0, 500.0), *(1.0, 0.0, 0.0), *(0.0, 1.0, 0.0))
    with pytest.raises(ValueError, match="axis of rotation"):
        fdk(torch.zeros(3, 1, 5), ConeViews((view,), 5, 3), GRID)
    beside = (*(0.0, -500.0, 0.0), *(0.0, -900.0, 0.0), *(1.0, 0.0, 0.0), *(0.0, 0.0, 1.0))
    with pytest.raises(ValueError, match="opposite to its source"):
        fdk(torch.zeros(3, 1, 5), ConeViews((beside,), 5, 3), GRID)
