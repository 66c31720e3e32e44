"""Cone-beam geometries: where source and cells are, what they cover, plain values and files and back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cone_geometries import cone, cone_beams, cone_geometries
from hypothesis import given, settings

from physics.ct.cone.geometry import ConeBeam
from physics.ct.cone.grid import VolumeGrid
from physics.ct.cone.views import ConeGeometry, ConeViews, cone_from_dict, scaled, views_of
from physics.ct.geometry import FanBeam, circular_angles
from physics.ct.protocol import dump_protocol, load_scan_protocol, parse_protocol, parse_scan_protocol, protocol_values
from physics.ct.scan_geometry import scan_geometry_from_dict

GRID = VolumeGrid((10, 30, 40), (3.0, 2.0, 1.5))

YAML: dict[str, Any] = {
    "type": "cone",
    "source_isocentre_mm": 500,
    "source_detector_mm": 900,
    "pitch_mm": 1.5,
    "angles": {"views": 12},
}


def ends(geometry: ConeGeometry) -> np.ndarray:
    """(views, cells, rows, 3) centres of all cells."""
    rays = geometry.rays()
    rows = np.arange(geometry.scan_shape[0])[:, None]
    return rays.columns[:, :, None] + rows * rays.steps[:, None, None]


def test_source_and_cells_stand_as_the_fan_beams_do() -> None:
    geometry = cone(7, offset=2.0, row_offset=1.0)
    rays, flat = geometry.rays(), geometry.middle().vectors()
    np.testing.assert_allclose(rays.sources[:, :2], flat[:, :2], atol=1e-12)
    centre = ends(geometry).mean((1, 2))
    np.testing.assert_allclose(centre[:, :2], flat[:, 2:4], atol=1e-12)
    np.testing.assert_allclose(centre[:, 2], 1.0)
    np.testing.assert_allclose(np.diff(rays.columns, axis=1)[:, 0, :2], flat[:, 4:], atol=1e-12)
    np.testing.assert_allclose(rays.steps, np.broadcast_to([0, 0, 3.0], (7, 3)), atol=1e-12)


def test_cells_of_a_curved_detector_are_equally_far_from_the_source() -> None:
    geometry = cone(3, curved=True, rows=1, row_offset=0.0)
    distance = np.linalg.norm(ends(geometry)[:, :, 0] - geometry.rays().sources[:, None], axis=-1)
    np.testing.assert_allclose(distance, 180.0)
    steps = np.linalg.norm(np.diff(ends(geometry)[:, :, 0], axis=1), axis=-1)
    np.testing.assert_allclose(steps, 2 * 180 * math.sin(3.0 / 180 / 2))


def test_a_roll_turns_the_axes_in_the_detectors_plane_and_a_tilt_turns_the_rows_away_from_the_source() -> None:
    rolled = cone(1, roll=math.radians(90) - 1e-9).rays()
    np.testing.assert_allclose(rolled.steps[0], [-3, 0, 0], atol=1e-6)
    tilted = cone(1, tilt=math.radians(30)).rays()
    np.testing.assert_allclose(tilted.steps[0], [0, 1.5, 3 * math.cos(math.radians(30))], atol=1e-12)


def test_a_helix_rises_by_its_feed_in_a_turn() -> None:
    geometry = ConeBeam(tuple(np.arange(9) * math.pi / 4), 1.0, rows=4, cells=4, feed=8.0, height=-1.0)
    np.testing.assert_allclose(geometry.rays().sources[:, 2], np.arange(9) - 1.0)
    assert geometry.helical
    assert not cone().helical
    np.testing.assert_allclose(geometry.part(slice(2, 4)).rays().sources, geometry.rays().sources[2:4])


@given(cone_beams())
@settings(max_examples=25, deadline=None)
def test_vectors_say_the_same_as_distances_and_angles(geometry: ConeBeam) -> None:
    if geometry.curved:
        with pytest.raises(ValueError, match="no vectors"):
            views_of(geometry)
        return
    np.testing.assert_allclose(ends(views_of(geometry)), ends(geometry), atol=1e-9)
    np.testing.assert_allclose(views_of(geometry).pitch, geometry.pitch)


@given(cone_geometries())
@settings(max_examples=25, deadline=None)
def test_plain_values_files_and_back(geometry: ConeGeometry) -> None:
    assert scan_geometry_from_dict(json.loads(json.dumps(geometry.to_dict()))) == geometry
    assert parse_scan_protocol(json.loads(json.dumps(protocol_values(geometry)))) == geometry
    again = parse_scan_protocol(yaml.safe_load(dump_protocol(geometry)))
    np.testing.assert_allclose(ends(again), ends(geometry), rtol=1e-9, atol=1e-9)


@given(cone_geometries())
@settings(max_examples=15, deadline=None)
def test_another_unit_of_length_scales_all_points(geometry: ConeGeometry) -> None:
    np.testing.assert_allclose(ends(scaled(geometry, 10.0)), 10 * ends(geometry), rtol=1e-9, atol=1e-9)


def test_covering_reaches_every_corner_of_the_volume() -> None:
    geometry = ConeBeam(circular_angles(16), 2.0, source_isocentre=200, source_detector=350, row_pitch=1.5)
    found = geometry.covering(GRID)
    rays, edge = found.rays(), ends(found)
    for corner in np.array([[i, j, k] for i in (-30, 30) for j in (-30, 30) for k in (-15, 15)]):
        towards = corner - rays.sources
        along = edge[:, 0, 0] - rays.sources
        normal = np.cross(rays.steps, edge[:, -1, 0] - edge[:, 0, 0])
        hit = rays.sources + towards * ((along * normal).sum(1) / (towards * normal).sum(1))[:, None]
        across = np.linalg.norm(hit - edge.mean((1, 2)), axis=1)
        assert (np.abs(hit[:, 2]) <= found.scan_shape[0] * 1.5 / 2 + 1e-9).all()
        assert (across <= math.hypot(found.scan_shape[2] * 2.0, found.scan_shape[0] * 1.5) / 2 + 1e-9).all()
    assert found.covering(GRID) == found


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cone(row_pitch=0.0), "row pitch must be positive"),
        (lambda: cone(rows=0), "at least 1 row"),
        (lambda: cone(tilt=2.0), "tilt must be below 90 degrees"),
        (lambda: cone(feed=math.nan), "feed must be finite"),
        (lambda: cone(source_detector=50.0), "nearer to the isocentre"),
        (lambda: cone(rows=None).scan_shape, "detector rows is undecided"),
        (lambda: cone(rows=None, feed=5.0).covering(GRID), "rows of a helical scan must be stated"),
        (lambda: cone(source_isocentre=20.0).covering(GRID), "reach the source"),
        (lambda: ConeViews((), 1, 1), "twelve finite lengths"),
        (lambda: ConeViews(((1.0,) * 12,), 1, 1), "two directions"),
        (lambda: ConeViews(((0.0,) * 6 + (1, 0, 0, 0, 0, 1),), 2, 2).covering(GRID), "source of view 0 lies inside"),
        (lambda: ConeViews(((0.0,) * 6 + (1, 0, 0, 0, 0, 1),), 0, 2), "empty"),
        (lambda: cone_from_dict({"type": "cone", "angles": [0]}), "incomplete"),
        (lambda: cone_from_dict({"type": "fan"}), "must be cone or cone-vectors"),
        (lambda: VolumeGrid((0, 4, 4), (1, 1, 1)), "empty"),
        (lambda: VolumeGrid((4, 4, 4), (-1, 1, 1)), "spacing must be positive"),
        (lambda: VolumeGrid((4, 4, 4), (1, 1, 0)), "spacing must be positive"),
        (lambda: parse_scan_protocol(YAML | {"detector": "round"}), "flat or curved"),
        (lambda: parse_scan_protocol(YAML | {"row_pich_mm": 2}), "did you mean 'row_pitch_mm'"),
        (lambda: parse_scan_protocol(YAML | {"tilt_deg": 1, "tilt_rad": 1}), "leave one out"),
        (lambda: parse_scan_protocol(YAML | {"angles": {"views": 4, "turns": 0}}), "'turns' must be above 0"),
        (lambda: parse_scan_protocol({"type": "cone-vectors", "cells": 1, "rows": 1}), "'vectors_mm' must list"),
        (lambda: parse_scan_protocol({"type": "cone-vectors", "cells": 1, "rows": 1, "vectors_mm": [3]}), "twelve"),
        (
            lambda: parse_scan_protocol({"type": "cone", "pitch_mm": 1, "angles": [0]}),
            "'source_isocentre_mm' is missing",
        ),
        (lambda: parse_protocol(YAML), "a fan or parallel beam is needed here"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        make()
    assert "\n" not in str(raised.value)


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "scanner.yaml"
    path.write_text(
        "type: cone\nsource_isocentre_cm: 50\nsource_detector_mm: 900\npitch_mm: 1.5\nrows: 20\nroll_deg: 2\n"
        "detector: curved\nfeed_mm: 10\nangles: {views: 8, turns: 2}\n"
    )
    found = load_scan_protocol(str(path))
    assert isinstance(found, ConeBeam)
    assert (found.source_isocentre, found.row_pitch, found.rows, found.cells, found.curved) == (
        500,
        1.5,
        20,
        None,
        True,
    )
    assert found.roll == pytest.approx(math.radians(2))
    assert found.height == pytest.approx(-8.75)  # of views at 0 to 630 degrees
    np.testing.assert_allclose(np.degrees(found.angles), np.arange(8) * 90)


def test_views_and_words() -> None:
    geometry = cone(8, feed=4.0, roll=0.1, row_offset=1.0)
    assert geometry.covered_arc == pytest.approx(2 * math.pi)
    assert geometry.with_views(4).views == 4
    assert isinstance(geometry.middle(), FanBeam)
    words = geometry.describe()
    for part in ("cone beam along a helix of 4 mm a turn", "flat detector", "20 rows of 3 mm", "roll 5.72958 degrees"):
        assert part in words
    vectors = views_of(geometry)
    assert vectors.covered_arc == pytest.approx(geometry.covered_arc)
    assert vectors.magnification == pytest.approx(1.8)
    assert "8 views given as vectors" in vectors.describe()
    assert vectors.part(slice(1, 3)).views == 2
