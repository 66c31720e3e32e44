"""The cone-beam projector: an exact pair for any geometry, right on balls and ellipsoids, the same for any threads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from cone_geometries import cone, cone_beams, cone_geometries
from hypothesis import given, settings
from hypothesis import strategies as st
from operators import assert_adjoint, assert_norm_bound, assert_operator

from physics.ct.cone import VolumeGrid, make_cone_projector
from physics.ct.cone.ellipsoids import Ellipsoid, ellipsoid_line_integrals, ellipsoid_volume
from physics.ct.cone.geometry import ConeBeam
from physics.ct.cone.projector import ConeProjector
from physics.ct.cone.torch_projector import TorchConeProjector
from physics.ct.cone.views import ConeGeometry, ConeViews, scaled
from physics.ct.projector import CTProjector

SMALL = VolumeGrid((5, 6, 7), (3.0, 2.0, 2.5))

grids = st.builds(
    VolumeGrid,
    st.tuples(st.integers(1, 7), st.integers(1, 8), st.integers(1, 8)),
    st.tuples(st.floats(0.5, 3.0), st.floats(0.5, 3.0), st.floats(0.5, 3.0)),
)


@given(cone_geometries(), grids, st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_adjoint_is_exact_for_any_geometry(geometry: ConeGeometry, grid: VolumeGrid, seed: int) -> None:
    assert_adjoint(ConeProjector(geometry, grid, torch.float64), seed)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"curved": True, "offset": 8.0, "row_offset": -5.0},
        {"tilt": 0.2, "roll": -0.15},
        {"feed": 6.0, "height": -2.0},
    ],
)
def test_it_is_an_operator(changes: dict[str, Any]) -> None:
    assert_operator(ConeProjector(cone(3, rows=5, cells=6, **changes), SMALL, torch.float64), batch=(2,))


@pytest.mark.parametrize("roll", [0.0, 0.1])
def test_adjoint_in_single_precision(roll: float) -> None:
    operator = ConeProjector(cone(9, roll=roll), VolumeGrid((16, 20, 18), (1.0, 1.0, 1.0)))
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(operator.domain, generator=generator), torch.rand(operator.range, generator=generator)
    left, right = (operator(x).double() * y).sum(), (x * operator.adjoint(y).double()).sum()
    assert float(abs(left - right) / abs(left)) < 1e-6


@given(cone_beams(), grids)
@settings(max_examples=20, deadline=None)
def test_loops_that_share_work_between_rows_do_what_those_for_any_ray_do(geometry: ConeBeam, grid: VolumeGrid) -> None:
    operator = ConeProjector(geometry, grid, torch.float64)
    other = ConeProjector(geometry, grid, torch.float64)
    other._upright = np.zeros_like(other._upright)
    x = torch.rand(grid.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(operator(x), other(x), rtol=1e-9, atol=1e-9)


@given(cone_geometries(), grids)
@settings(max_examples=25, deadline=None)
def test_operations_of_torch_do_what_the_loops_do(geometry: ConeGeometry, grid: VolumeGrid) -> None:
    loops, other = (kind(geometry, grid, torch.float64) for kind in (ConeProjector, TorchConeProjector))
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(loops.domain, dtype=torch.float64, generator=generator)
    y = torch.rand(loops.range, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(other(x), loops(x), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(other.adjoint(y), loops.adjoint(y), rtol=1e-9, atol=1e-9)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_agrees_with_the_cpu() -> None:
    grid, geometry = VolumeGrid((16, 20, 18), (1.0, 1.0, 1.0)), cone(9, roll=0.05)
    loops, gpu = make_cone_projector(geometry, grid), make_cone_projector(geometry, grid, "cuda")
    x, y = torch.rand(loops.domain), torch.rand(loops.range)
    torch.testing.assert_close(gpu(x.cuda()).cpu(), loops(x), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gpu.adjoint(y.cuda()).cpu(), loops.adjoint(y), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("roll", [0.0, 0.1])
def test_the_number_of_threads_changes_nothing(roll: float) -> None:
    operator = ConeProjector(cone(7, roll=roll), VolumeGrid((12, 20, 18), (1.0, 1.0, 1.0)))
    x, y = torch.rand(operator.domain), torch.rand(operator.range)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append((operator(x), operator.adjoint(y)))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


@pytest.mark.parametrize("roll", [0.0, 0.1])
def test_blocks_of_views_change_nothing(roll: float, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = ConeProjector(cone(7, roll=roll), VolumeGrid((12, 10, 9), (1.0, 1.0, 1.0)), torch.float64)
    x, y = torch.rand(operator.domain, dtype=torch.float64), torch.rand(operator.range, dtype=torch.float64)
    image, back = operator(x), operator.adjoint(y)
    monkeypatch.setattr("physics.ct.cone.projector._BLOCK_BYTES", 1)
    monkeypatch.setattr("physics.ct.cone.projector._CACHE_BYTES", 1)
    torch.testing.assert_close(operator(x), image, rtol=1e-12, atol=0)
    torch.testing.assert_close(operator.adjoint(y), back, rtol=1e-12, atol=0)


def test_some_of_the_views() -> None:
    operator = ConeProjector(cone(7), SMALL, torch.float64)
    x = torch.rand(operator.domain, dtype=torch.float64)
    torch.testing.assert_close(operator.views(slice(1, None, 3))(x), operator(x)[:, 1::3])


def test_the_middle_row_of_a_thin_disc_is_the_fan_beam() -> None:
    """In the midplane a cone beam is a fan beam; both models converge to the same integrals of a smooth object."""
    grid = VolumeGrid((9, 64, 64), (0.5, 0.5, 0.5))
    geometry = cone(8, rows=1, cells=40, pitch=1.2)
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 64, dtype=torch.float64)] * 2, indexing="ij")
    disc = torch.exp(-4 * (x.square() + (y - 0.1).square()))
    flat = CTProjector(geometry.middle(), grid.slice_grid, torch.float64)(disc[None])
    found = ConeProjector(geometry, grid, torch.float64)(disc.expand(9, -1, -1).contiguous())
    assert float((found[0] - flat[0]).norm() / flat.norm()) < 2e-3


@pytest.mark.parametrize("changes", [{}, {"curved": True}, {"tilt": 0.1, "roll": 0.05, "offset": 4.0}, {"feed": 10.0}])
def test_line_integrals_of_ellipsoids_are_right(changes: dict[str, Any]) -> None:
    grid = VolumeGrid((48, 48, 48), (0.5, 0.5, 0.5))
    bodies = [Ellipsoid((0, 0, 0), (8, 7, 9), 0.02), Ellipsoid((3, -2, 2), (2.5, 3, 2), 0.01)]
    geometry = cone(8, cells=40, rows=40, pitch=1.4, row_pitch=1.4, **changes)
    operator = ConeProjector(geometry, grid)
    exact = ellipsoid_line_integrals(bodies, operator.geometry)
    found = operator(ellipsoid_volume(bodies, grid))
    error, inside = found - exact, exact > 0.6 * exact.max()
    assert float(error.norm() / exact.norm()) < 0.035  # at the edges, which voxels blur
    assert abs(float(error[inside].mean() / exact[inside].mean())) < 0.004
    assert float(error[inside].std() / exact[inside].mean()) < 0.008


def test_another_unit_of_length_gives_the_same_scan() -> None:
    geometry, grid = cone(5, offset=3.0, feed=4.0), VolumeGrid((6, 8, 9), (2.0, 1.5, 1.0))
    larger = VolumeGrid(grid.shape, tuple(10 * step for step in grid.spacing))
    one = ConeProjector(geometry, grid, torch.float64)
    ten = ConeProjector(scaled(geometry, 10.0), larger, torch.float64)
    x = torch.rand(grid.shape, dtype=torch.float64)
    torch.testing.assert_close(ten(x), 10 * one(x), rtol=1e-9, atol=1e-9)


def test_rays_along_the_axis_step_along_it() -> None:
    """A source below the volume, as of laminography: every ray reads all 40 slices."""
    view = (*(0.0, 0.0, -500.0), *(0.0, 0.0, 500.0), *(1.0, 0.0, 0.0), *(0.0, 1.0, 0.0))
    operator = ConeProjector(ConeViews((view,), 5, 3), VolumeGrid((40, 9, 11), (2.0, 1.0, 1.0)), torch.float64)
    torch.testing.assert_close(
        operator(torch.ones(operator.domain, dtype=torch.float64)), torch.full((3, 1, 5), 80.0, dtype=torch.float64),
        rtol=1e-4, atol=0,
    )  # fmt: skip


def test_norm_bound() -> None:
    assert_norm_bound(ConeProjector(cone(4, rows=4, cells=5), SMALL, torch.float64), loosest=1.01)


def test_a_geometry_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="reach the source"):
        ConeProjector(cone(source_isocentre=10.0), VolumeGrid((4, 20, 20), (1.0, 1.0, 1.0)))
    assert math.prod(ConeProjector(cone(2), SMALL).range) == 20 * 2 * 24
