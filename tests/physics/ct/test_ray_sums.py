"""Line integrals without a matrix are those of the matrix, for drawn geometries and grids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from physics.ct.geometry import FanBeam, Geometry, ImageGrid, ParallelBeam, circular_angles
from physics.ct.ray_sums import ray_sums
from physics.ct.system_matrix import build_matrix


@st.composite
def scans(draw: st.DrawFn) -> tuple[Geometry, ImageGrid]:
    # Not a multiple of a right angle: a ray that runs along an edge between pixels is of either of them.
    start = 0.0123 + draw(st.floats(0, 6))
    angles = tuple(start + angle for angle in circular_angles(draw(st.integers(1, 5))))
    pitch, cells = draw(st.floats(0.3, 4)), draw(st.integers(1, 40))
    offset = draw(st.floats(-5, 5))
    shape = (draw(st.integers(1, 24)), draw(st.integers(1, 24)))
    grid = ImageGrid(shape, (draw(st.floats(0.4, 3)), draw(st.floats(0.4, 3))))
    if draw(st.booleans()):
        return ParallelBeam(angles, pitch=pitch, offset=offset, cells=cells), grid
    isocentre = (grid.corner_radius + 1) * draw(st.floats(1.05, 4))
    detector = isocentre * draw(st.floats(1.5, 3))
    return FanBeam(angles, pitch, cells, offset, isocentre, detector), grid


@settings(max_examples=60, deadline=None)
@given(scans(), st.integers(1, 35))
def test_they_are_those_of_the_matrix(scan: tuple[Geometry, ImageGrid], slices: int) -> None:
    geometry, grid = scan
    image = torch.rand((slices, *grid.shape), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = ray_sums(image, geometry.kind, geometry.vectors(), geometry.data_shape[1], grid)
    matrix = build_matrix(geometry, grid, builder="siddon")
    expected = torch.from_numpy((matrix @ image.flatten(1).T.numpy()).T).reshape(found.shape)
    assert torch.allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("angle", [0.0, np.pi / 2, np.pi / 4])
def test_rays_along_an_axis_or_a_diagonal(angle: float) -> None:
    image = torch.arange(16.0, dtype=torch.float64).reshape(1, 4, 4)
    geometry = ParallelBeam((angle,), pitch=1.0, cells=4)
    (found,) = ray_sums(image, "parallel", geometry.vectors(), 4, ImageGrid((4, 4), (1.0, 1.0)))
    if angle == np.pi / 4:
        assert found.sum() > 0
        return
    sums = sorted(found[0].tolist())
    axis = 0 if angle == 0.0 else 1
    assert np.allclose(sums, sorted(image[0].sum(axis).tolist()))


def test_precision_follows_the_image_and_threads_change_nothing() -> None:
    geometry, grid = FanBeam(circular_angles(5), pitch=2.0, cells=30), ImageGrid((20, 20), (1.0, 1.0))
    image = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(1))
    found = ray_sums(image, "fan", geometry.vectors(), 30, grid)
    assert found.dtype == torch.float32
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert torch.equal(ray_sums(image, "fan", geometry.vectors(), 30, grid), found)
    finally:
        torch.set_num_threads(before)
