"""Acquisition geometry: angles, vectors, detectors that cover the image, plain values and back."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from geometries import geometries
from hypothesis import given, settings

from physics.ct.geometry import (
    GOLDEN_ANGLE,
    FanBeam,
    Geometry,
    ImageGrid,
    ParallelBeam,
    circular_angles,
    geometry_from_dict,
    golden_angles,
)

GRID = ImageGrid((30, 40), (2.0, 1.5))
ANGLES = circular_angles(7)


def test_circular_angles_leave_out_the_end() -> None:
    np.testing.assert_allclose(np.degrees(circular_angles(4)), [0, 90, 180, 270])
    np.testing.assert_allclose(np.degrees(circular_angles(3, math.radians(10), math.radians(90))), [10, 40, 70])


def test_golden_angles_divide_every_gap_by_the_golden_ratio() -> None:
    assert math.degrees(GOLDEN_ANGLE) == pytest.approx(222.4922, abs=1e-4)
    angles = np.array(golden_angles(200, 0.3))
    assert angles[0] == pytest.approx(0.3)
    np.testing.assert_allclose(np.diff(angles) % (2 * np.pi), GOLDEN_ANGLE)
    assert ((angles >= 0) & (angles < 2 * np.pi)).all()
    for views in (5, 20, 144):  # any leading part is nearly even: gaps of at most three lengths, within φ² of another
        turned = np.sort(angles[:views])
        gaps = np.diff(turned, append=turned[0] + 2 * np.pi)
        assert gaps.max() / gaps.min() < 2.62


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: circular_angles(0), "views must be at least 1, not 0"),
        (lambda: golden_angles(-1), "views must be at least 1, not -1"),
        (lambda: circular_angles(4, arc=0.0), "the arc must be above 0 and at most 360 degrees, not 0"),
        (lambda: circular_angles(4, arc=math.radians(361)), "not 361"),
        (lambda: circular_angles(4, arc=math.nan), "the arc"),
        (lambda: ImageGrid((0, 4), (1, 1)), "empty"),
        (lambda: ImageGrid((4, 4), (1, 0)), "spacing must be positive"),
        (lambda: ImageGrid((4, 4), (math.inf, 1)), "spacing must be positive"),
        (lambda: ParallelBeam((), 1.0), "at least one view"),
        (lambda: ParallelBeam((math.nan,), 1.0), "finite angles"),
        (lambda: ParallelBeam(ANGLES, 0.0), "pitch must be positive, not 0.0 mm"),
        (lambda: ParallelBeam(ANGLES, math.nan), "pitch must be positive"),
        (lambda: ParallelBeam(ANGLES, 1.0, offset=math.inf), "offset must be finite"),
        (lambda: ParallelBeam(ANGLES, 1.0, cells=0), "at least 1 cell, not 0"),
        (lambda: FanBeam(ANGLES, 1.0, source_isocentre=600, source_detector=500), "nearer to the isocentre"),
        (lambda: FanBeam(ANGLES, 1.0, source_isocentre=0.0), "nearer to the isocentre"),
        (lambda: ParallelBeam(ANGLES, 1.0).data_shape, "undecided"),
        (lambda: FanBeam(ANGLES, 1.0, source_isocentre=24.9).covering(GRID), r"corners \(42 mm.* reach the source"),
        (lambda: geometry_from_dict({"type": "cone"}), "parallel or fan, not 'cone'"),
        (lambda: geometry_from_dict({"angles": [0.0], "pitch": 1.0}), "parallel or fan, not None"),
        (lambda: geometry_from_dict({"type": "fan", "pitch": 1.0}), "incomplete or has unknown entries: 'angles'"),
        (lambda: geometry_from_dict({"type": "fan", "angles": [0.0]}), "the fan geometry is incomplete.*pitch"),
        (lambda: geometry_from_dict({"type": "parallel", "angles": [0], "pitch": 1, "tilt": 3}), "tilt"),
        (lambda: geometry_from_dict({"type": "parallel", "angles": 3.0, "pitch": 1}), "incomplete"),
        (lambda: geometry_from_dict({"type": "parallel", "angles": [0.0], "pitch": -1.0}), "pitch must be positive"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@settings(deadline=None, max_examples=60)
@given(geometries())
def test_plain_values_and_back(geometry: Geometry) -> None:
    assert geometry_from_dict(json.loads(json.dumps(geometry.to_dict()))) == geometry


def corner_coordinates(geometry: Geometry, grid: ImageGrid) -> np.ndarray:
    """(views, 4) where the grid's corners are projected to on the detector's axis, mm, from the conventions alone."""
    half_y, half_x = (n * s / 2 for n, s in zip(grid.shape, grid.spacing, strict=True))
    x, y = (np.array(c) for c in zip(*[(i * half_x, j * half_y) for i in (-1, 1) for j in (-1, 1)], strict=True))
    beta = np.array(geometry.angles)[:, None]
    across, along = x * np.cos(beta) + y * np.sin(beta), y * np.cos(beta) - x * np.sin(beta)
    if isinstance(geometry, ParallelBeam):
        return across
    return across * geometry.source_detector / (geometry.source_isocentre + along)


@settings(deadline=None, max_examples=60)
@given(geometries())
def test_the_detector_covers_the_corners(geometry: Geometry) -> None:
    covering = replace(geometry, cells=None).covering(GRID)
    positions = covering.cell_positions()
    corners = corner_coordinates(covering, GRID)
    assert corners.min() >= positions[0] - covering.pitch / 2 - 1e-9
    assert corners.max() <= positions[-1] + covering.pitch / 2 + 1e-9


def test_the_detector_is_not_larger_than_it_must_be() -> None:
    covering = FanBeam(circular_angles(720), 0.5).covering(GRID)
    reach = np.abs(corner_coordinates(covering, GRID)).max()
    assert covering.cell_positions()[-1] - reach < 1.0
    assert ParallelBeam(ANGLES, 0.5, offset=10.0).covering(GRID).cells == 2 * math.ceil((GRID.corner_radius + 10) / 0.5)


def test_a_decided_number_of_cells_stays() -> None:
    assert FanBeam(ANGLES, 1.0, cells=5).covering(GRID).cells == 5
    assert ParallelBeam(ANGLES, 1.0, cells=5).covering(GRID).cells == 5


def test_cells_are_centred_on_the_offset() -> None:
    np.testing.assert_allclose(ParallelBeam(ANGLES, 2.0, cells=4, offset=0.5).cell_positions(), [-2.5, -0.5, 1.5, 3.5])
    np.testing.assert_allclose(ParallelBeam(ANGLES, 2.0, cells=3).cell_positions(), [-2, 0, 2])


def test_vectors_follow_the_conventions() -> None:
    """At 90°: the detector's axis is +y, parallel rays run along −x, and a fan's source stands at +x."""
    parallel = ParallelBeam((math.pi / 2,), 2.0, cells=3, offset=0.5).vectors()
    np.testing.assert_allclose(parallel, [[-1, 0, 0, 0.5, 0, 2]], atol=1e-12)
    fan = FanBeam((math.pi / 2,), 2.0, cells=3, offset=0.5, source_isocentre=60, source_detector=100).vectors()
    np.testing.assert_allclose(fan, [[60, 0, -40, 0.5, 0, 2]], atol=1e-12)


@pytest.mark.parametrize(
    ("geometry", "words"),
    [
        (FanBeam(circular_angles(40), 1.2858), "fan beam onto a flat detector, source to isocentre 595 mm"),
        (FanBeam(circular_angles(40), 1.2858), "40 views evenly over 360 degrees, as many cells as cover the image"),
        (ParallelBeam(circular_angles(9, 0.0, math.pi / 2), 1, cells=8), "9 views evenly over 90 degrees, 8 cells"),
        (ParallelBeam(circular_angles(9, math.pi), 1, offset=-2), "from 180, .*of 1 mm, shifted by -2 mm"),
        (ParallelBeam((0.0,), 1), "1 views at 0 degrees"),
        (ParallelBeam(golden_angles(9), 1), "9 views at given angles"),
    ],
)
def test_the_geometry_in_words(geometry: Geometry, words: str) -> None:
    assert re.search(words, geometry.describe())
