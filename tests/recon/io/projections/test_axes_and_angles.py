"""Which axis is which, and lists of angles: assumed where only one way fits, else refused in one line."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recon.errors import InputError
from recon.io.projections.angles import in_radians, read_angles
from recon.io.projections.axes import ordered

DATA = np.arange(3 * 5 * 8).reshape(3, 5, 8)  # z, v, c


@settings(deadline=None)
@given(st.permutations("zvc"))
def test_stated_axes(axes: list[str]) -> None:
    order = "".join(axes)
    stored = np.transpose(DATA, ["zvc".index(axis) for axis in order])
    found, notices = ordered(stored, order, 5, 8, "scan")
    np.testing.assert_array_equal(found, DATA)
    assert notices == ()


def test_assumed_axes_are_said() -> None:
    found, notices = ordered(DATA, None, 5, None, "scan")
    np.testing.assert_array_equal(found, DATA)
    assert notices == ("the axes of scan, (3, 5, 8), are taken as (rows, views, cells)",)
    turned, notices = ordered(DATA.transpose(1, 0, 2), None, 5, 8, "scan")
    np.testing.assert_array_equal(turned, DATA)
    assert "(views, rows, cells)" in notices[0]
    single, notices = ordered(DATA[0], None, 5, None, "scan")
    np.testing.assert_array_equal(single, DATA[:1])
    assert "(views, cells)" in notices[0]


@pytest.mark.parametrize(
    ("shape", "axes", "views", "cells", "words"),
    [
        ((8, 5), None, 5, None, r"looks transposed.*state the `axes`: cv"),
        ((3, 8, 5), None, 5, None, r"looks transposed.*state the `axes`: zcv"),
        ((5, 8, 3), None, 5, 8, r"looks transposed.*of 8 cells"),
        ((5, 5, 8), None, 5, None, r"both first axes .* state the `axes`: zvc or vzc"),
        ((5, 8), None, 7, None, "no axis of its shape .* view angles, 7"),
        ((8, 5), "vc", 5, None, "8 views along axis v"),
        ((5, 8), "vc", 5, 9, "8 cells, but the geometry has 9"),
        ((5, 8), "zv", 5, None, r"`axes` zv: must name the 2 axes"),
        ((5, 8, 3), "vc", 5, None, r"`axes` vc: must name the 3 axes"),
        ((5,), None, 5, None, "2 or 3 axes"),
    ],
)
def test_axes_that_do_not_fit(
    shape: tuple[int, ...], axes: str | None, views: int, cells: int | None, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        ordered(np.zeros(shape), axes, views, cells, "scan")


@pytest.mark.parametrize(
    "text",
    [
        "0\n7.5\n15\n",
        "0, 7.5, 15",
        "0;7.5;15\n",
        "angle\n0\n7.5\n15\n",
        "# of the second scan\n\n0\t7.5\t15\n",
        "0\r\n7.5\r\n15",
    ],
)
def test_lists_of_angles(tmp_path: Path, text: str) -> None:
    (tmp_path / "angles.csv").write_text(text)
    np.testing.assert_array_equal(read_angles(tmp_path / "angles.csv"), [0, 7.5, 15])


@pytest.mark.parametrize(
    ("text", "words"),
    [("0,1\n1,2\n", "several columns"), ("0\nx\n", "'x' is no angle"), ("# none\n", "no angle in it"), ("", "empty")],
)
def test_no_lists_of_angles(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "angles.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        read_angles(tmp_path / "angles.csv")


def test_units_of_angles() -> None:
    degrees = np.linspace(0, 357, 120)
    for unit in (None, "degrees"):
        np.testing.assert_allclose(in_radians(degrees, unit, "angles"), np.radians(degrees))  # type: ignore[arg-type]
    np.testing.assert_array_equal(in_radians(np.radians(degrees), "radians", "angles"), np.radians(degrees))
    np.testing.assert_allclose(in_radians(np.arange(4.0), None, "angles"), np.radians(np.arange(4.0)))


@pytest.mark.parametrize("turn", [math.pi, math.tau])
@pytest.mark.parametrize("ends", [True, False])
def test_radians_called_degrees_are_refused(turn: float, ends: bool) -> None:
    with pytest.raises(InputError, match="look like radians; state the `angle_unit`"):
        in_radians(np.linspace(0.3, 0.3 + turn, 60, endpoint=ends), None, "angles")


def test_degrees_called_radians_are_refused() -> None:
    with pytest.raises(InputError, match="are degrees, not radians"):
        in_radians(np.arange(180.0), "radians", "angles")
    with pytest.raises(InputError, match="NaN or infinity"):
        in_radians(np.array([0, np.nan]), None, "angles")
