"""Any cone beam, for tests that hold for all of them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from physics.ct.cone.geometry import ConeBeam
from physics.ct.cone.views import ConeGeometry, ConeViews
from physics.ct.geometry import circular_angles


def cone(views: int = 12, **changes: object) -> ConeBeam:
    """A small scanner: 12 views of 20 rows of 24 cells around a volume of 16 to 24 mm."""
    facts: dict[str, object] = {"pitch": 3.0, "cells": 24, "row_pitch": 3.0, "rows": 20}
    facts |= {"source_isocentre": 100.0, "source_detector": 180.0}
    return ConeBeam(circular_angles(views), **(facts | changes))  # type: ignore[arg-type]


@st.composite
def cone_beams(draw: st.DrawFn) -> ConeBeam:
    """Circles and helices, flat and curved detectors, shifted, leaning and rolled ones."""
    isocentre = draw(st.floats(40, 900))
    small = st.floats(-0.4, 0.4) | st.just(0.0)
    return ConeBeam(
        angles=tuple(draw(st.lists(st.floats(-10, 10), min_size=1, max_size=5))),
        pitch=draw(st.floats(0.5, 5.0)),
        cells=draw(st.integers(1, 12)),
        offset=draw(st.floats(-15, 15)),
        source_isocentre=isocentre,
        source_detector=isocentre * draw(st.floats(1.05, 3.0)),
        row_pitch=draw(st.floats(0.5, 5.0)),
        rows=draw(st.integers(1, 12)),
        row_offset=draw(st.floats(-15, 15)),
        curved=draw(st.booleans()),
        tilt=draw(small),
        roll=draw(small),
        feed=draw(st.floats(-20, 20) | st.just(0.0)),
        height=draw(st.floats(-5, 5)),
    )


@st.composite
def cone_views(draw: st.DrawFn) -> ConeViews:
    """Sources anywhere on a sphere, detectors turned at will: any major axis, steps of either sign."""
    views = []
    for _ in range(draw(st.integers(1, 4))):
        generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        away = generator.standard_normal(3)
        away /= np.linalg.norm(away)
        side = np.cross(away, generator.standard_normal(3))
        side /= np.linalg.norm(side)
        turned = np.cross(away, side) + 0.3 * generator.standard_normal(3)
        views.append((*(-60 * away), *(40 * away + generator.standard_normal(3)), *(2 * side), *(1.5 * turned)))
    return ConeViews(tuple(tuple(float(x) for x in v) for v in views), draw(st.integers(1, 9)), draw(st.integers(1, 9)))


def cone_geometries() -> st.SearchStrategy[ConeGeometry]:
    return cone_beams() | cone_views()
