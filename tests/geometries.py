"""Any 2D scan geometry, for tests that hold for all of them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from physics.ct.geometry import FanBeam, Geometry, ParallelBeam


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    lengths = st.floats(0.1, 5.0)
    angles = tuple(draw(st.lists(st.floats(-10, 10), min_size=1, max_size=6)))
    shared: dict[str, Any] = {"angles": angles, "pitch": draw(lengths), "offset": draw(st.floats(-30, 30))}
    cells = draw(st.none() | st.integers(1, 900))
    if draw(st.booleans()):
        return ParallelBeam(**shared, cells=cells)
    isocentre = draw(st.floats(100, 900))
    return FanBeam(
        **shared, cells=cells, source_isocentre=isocentre, source_detector=isocentre + draw(st.floats(1, 900))
    )
