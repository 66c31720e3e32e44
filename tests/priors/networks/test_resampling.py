"""Grids over volumes, and the anti-aliased interpolation to them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from priors.networks.resampling import Axis, axis_over, resampled, weights


def test_a_grid_covers_the_volume_about_the_same_middle() -> None:
    assert axis_over(8, 1.0) == Axis(0.0, 1.0, 8)
    assert axis_over(8, 0.5) == Axis(-0.25, 0.5, 16)
    assert axis_over(8, 2.0) == Axis(0.5, 2.0, 4)
    odd = axis_over(8, 0.75)  # 10.67 cells
    assert odd.count == 11
    assert float(odd.positions().mean()) == pytest.approx(3.5)


@pytest.mark.parametrize("cell", [0.0, -1.0, math.nan, math.inf, 0.05, 17.0])
def test_edges_that_no_voxel_can_have_are_refused(cell: float) -> None:
    with pytest.raises(ValueError, match="times the edge; 1/16 to 16 times is possible"):
        axis_over(32, cell)
    with pytest.raises(ValueError, match="wider than all 3 voxels together"):
        axis_over(3, 10.0)


def test_the_same_grid_gives_the_same_volume() -> None:
    image = torch.rand(3, 4, 5)
    torch.testing.assert_close(resampled(image, [axis_over(size, 1.0) for size in image.shape]), image)


@pytest.mark.parametrize("cell", [0.6, 1.0, 1.7, 2.5])
@pytest.mark.parametrize("kernel", ["linear", "cubic"])
def test_a_ramp_stays_a_ramp_inside(cell: float, kernel: str) -> None:
    axis = axis_over(40, cell)
    inside = (axis.positions() > 6) & (axis.positions() < 33)
    made = weights(axis.positions(), cell, 40, kernel) @ torch.arange(40, dtype=torch.float64)  # type: ignore[arg-type]
    tolerance = 1e-9 if cell <= 1 else 0.1  # a wider kernel, cut at whole voxels, is not exactly symmetric
    torch.testing.assert_close(made[inside], axis.positions()[inside], atol=tolerance, rtol=0)


@pytest.mark.parametrize("size", [16, 48])
def test_cubic_is_that_of_a_well_known_library(size: int) -> None:
    picture = np.random.default_rng(0).random((32, 32), dtype=np.float32)
    known = np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC))
    axis = axis_over(32, 32 / size)
    rows = weights(axis.positions(), axis.cell, 32).float()
    made = (rows @ torch.from_numpy(picture) @ rows.T).numpy()
    inside = slice(8, -8)  # at the ends that library leaves out what lies outside, and ours goes on with the last pixel
    np.testing.assert_allclose(made[inside, inside], known[inside, inside], atol=1e-5)


def test_what_is_too_fine_for_a_coarse_grid_is_gone_and_not_aliased() -> None:
    fine = torch.cos(math.pi * 0.95 * torch.arange(200, dtype=torch.float64))
    axis = axis_over(200, 2.5)
    assert float((weights(axis.positions(), axis.cell, 200) @ fine)[5:-5].abs().max()) < 0.05
    assert float((weights(axis.positions(), 1.0, 200) @ fine)[5:-5].abs().max()) > 0.5
