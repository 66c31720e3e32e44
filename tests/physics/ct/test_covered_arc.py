"""What part of the circle views cover, whatever their angles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from physics.ct.geometry import FanBeam, Geometry, ParallelBeam, circular_angles, golden_angles
from physics.ct.view_weights import view_weights

KINDS = {"fan": FanBeam, "parallel": ParallelBeam}
kinds = st.sampled_from(list(KINDS.values()))
angles = st.lists(st.floats(-20.0, 20.0), min_size=1, max_size=40)


def degrees(geometry: Geometry) -> tuple[float, float]:
    return math.degrees(geometry.covered_arc), math.degrees(geometry.largest_gap)


@given(kinds, angles, st.floats(-10.0, 10.0), st.randoms(use_true_random=False))
def test_order_turns_repeats_and_the_first_angle_change_nothing(kind, given_angles, turn, random) -> None:
    geometry = kind(tuple(given_angles), 1.0)
    others = [a + turn + 2 * math.pi * random.randint(-2, 2) for a in given_angles]
    others += random.sample(others, random.randint(0, min(3, len(others) - 1)))
    random.shuffle(others)
    again = kind(tuple(others), 1.0)
    assert again.covered_arc == pytest.approx(geometry.covered_arc, abs=1e-7)
    if len(others) == len(given_angles):  # a view that is repeated is a gap of nothing, and one gap more
        assert again.largest_gap == pytest.approx(geometry.largest_gap, abs=1e-7)


@given(kinds, angles)
@example(ParallelBeam, [-1.1])  # of one view the arc is 0, without a rounding error
def test_arc_and_gap_are_those_of_the_directions(kind, given_angles) -> None:
    geometry = kind(tuple(given_angles), 1.0)
    assert 0 <= geometry.covered_arc <= geometry.period
    directions = np.sort(np.asarray(given_angles) % geometry.period)
    gaps = np.diff(directions, append=directions[0] + geometry.period)
    assert geometry.covered_arc >= geometry.period - gaps.max() - 1e-9, "all directions lie in it"
    assert geometry.largest_gap <= gaps.max() + 1e-9


@given(angles, st.floats(-20.0, 20.0))
def test_half_a_turn_is_another_direction_for_a_fan_alone(given_angles, more) -> None:
    plain = ParallelBeam((*given_angles, more), 1.0)
    opposite = ParallelBeam((*given_angles, more + math.pi), 1.0)
    assert opposite.covered_arc == pytest.approx(plain.covered_arc, abs=1e-7)
    assert opposite.largest_gap == pytest.approx(plain.largest_gap, abs=1e-7)
    assert FanBeam((more, more + math.pi), 1.0).covered_arc == pytest.approx(2 * math.pi)
    assert ParallelBeam((more, more + math.pi), 1.0).covered_arc == pytest.approx(0, abs=1e-7)


@given(kinds, st.integers(2, 200), st.floats(0.05, 1.0), st.floats(-7.0, 7.0))
def test_evenly_spread_views_cover_their_arc_with_their_step(kind, views, share, start) -> None:
    arc = share * kind.period
    geometry = kind(circular_angles(views, start, arc), 1.0)
    assert geometry.covered_arc == pytest.approx(arc, abs=1e-6)
    assert geometry.largest_gap == pytest.approx(arc / views, abs=1e-6)


@given(kinds, st.integers(8, 60), st.integers(0, 2**16))
def test_angles_that_were_measured_and_not_set_cover_nearly_the_same(kind, views, seed) -> None:
    arc = kind.period / 2
    step = arc / views
    jitter = 0.2 * step * (2 * np.random.default_rng(seed).random(views) - 1)
    geometry = kind(tuple(np.asarray(circular_angles(views, 0.3, arc)) + jitter), 1.0)
    assert abs(geometry.covered_arc - arc) <= step
    assert geometry.largest_gap <= 1.4 * step + 1e-9


@pytest.mark.parametrize("views", range(5, 120))
def test_golden_angles_cover_the_circle(views: int) -> None:
    geometry = FanBeam(golden_angles(views), 1.0)
    assert geometry.covered_arc > 2 * math.pi * (1 - 1.7 / views)
    assert geometry.largest_gap < 2.7 * 2 * math.pi / views


def test_scans_with_holes_and_strays() -> None:
    stray = FanBeam((*circular_angles(39, 0, math.pi / 2), math.radians(351)), 1.0)
    assert degrees(stray) == pytest.approx((105.7, 9.0), abs=0.05)
    missing = FanBeam(circular_angles(40)[5:], 1.0)
    assert degrees(missing) == pytest.approx((315.0, 9.0))
    two_holes = [a for a in circular_angles(40) if not 0.5 < a < 1.5 and not 3.5 < a < 4.5]
    assert degrees(FanBeam(tuple(two_holes), 1.0)) == pytest.approx((360.0, 63.0))
    three_turns = FanBeam(tuple(2 * math.pi * k / 20 for k in range(60)), 1.0)
    assert degrees(three_turns) == pytest.approx((360.0, 18.0))
    parallel = ParallelBeam(circular_angles(40), 1.0)
    assert degrees(parallel) == pytest.approx((180.0, 9.0))
    assert degrees(FanBeam((0.3,), 1.0))[0] == 0
    assert degrees(FanBeam((0.3, 0.3), 1.0))[0] == pytest.approx(0, abs=1e-9)


def test_the_arc_is_what_backprojection_gives_weight_to() -> None:
    """Its own rule knows several holes, and agrees where there is one at most."""
    for scan in (circular_angles(40), circular_angles(40, 0.2, math.pi / 2), circular_angles(60, 0, 4.0)):
        weights, _ = view_weights(np.asarray(scan), 2 * math.pi)
        assert FanBeam(scan, 1.0).covered_arc == pytest.approx(float(weights.sum()))


def test_other_views_of_the_same_scanner() -> None:
    limited = FanBeam(circular_angles(40, 0.1, math.pi / 2), 1.0, offset=2.0)
    again = limited.with_views(10)
    np.testing.assert_allclose(again.angles, circular_angles(10, 0.1, math.pi / 2))
    assert (again.pitch, again.offset, again.source_detector) == (1.0, 2.0, limited.source_detector)
    assert limited.with_views(4, start=0.0).angles[0] == 0
    assert FanBeam(circular_angles(7), 1.0).with_views(40).angles == circular_angles(40)
    assert FanBeam((0.4,), 1.0).with_views(5).angles == circular_angles(5, 0.4)
    # a parallel beam keeps its whole turn, whose second half lies between the first half's views
    assert ParallelBeam(circular_angles(9), 1.0).with_views(11).angles == circular_angles(11)
    for uneven in (golden_angles(9), (0.0, 0.1, 0.5), (0.3, 0.2, 0.1)):
        with pytest.raises(ValueError, match="not evenly spread"):
            FanBeam(uneven, 1.0).with_views(5)
