"""Rays that were not measured: an exact adjoint pair, no weight in any solution, and an image without them."""

from __future__ import annotations

import math

import pytest
import torch
from geometries import geometries
from hypothesis import given, settings
from hypothesis import strategies as st
from operators import assert_adjoint, assert_linear, assert_norm_bound, assert_slices
from torch import Tensor

from physics.ct.geometry import FanBeam, Geometry, ImageGrid, ParallelBeam, circular_angles
from physics.ct.missing_rays import MissingRays, bridged
from physics.ct.projector import CTProjector

GRID = ImageGrid((7, 9), (2.0, 1.5))


def drawn_mask(shape: tuple[int, ...], seed: int, share: float = 0.7) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share


def projector(geometry: Geometry, slices: int = 3) -> CTProjector:
    return CTProjector(geometry, GRID, dtype=torch.float64, slices=slices)


@settings(deadline=None, max_examples=25)
@given(geometries(), st.booleans(), st.integers(0, 99))
def test_an_exact_adjoint_pair(geometry: Geometry, each_slice: bool, seed: int) -> None:
    whole = projector(geometry)
    operator = MissingRays(whole, drawn_mask(whole.range if each_slice else whole.range[1:], seed))
    assert_adjoint(operator, seed)
    assert_linear(operator, seed)


def test_norm_and_slices() -> None:
    whole = projector(FanBeam(circular_angles(5), 2.0))
    for shape in (whole.range, whole.range[1:]):
        operator = MissingRays(whole, drawn_mask(shape, 1))
        assert_norm_bound(operator)
        assert_slices(operator)


def test_missing_rays_are_zero_and_say_nothing() -> None:
    whole = projector(ParallelBeam(circular_angles(6, 0, math.pi), 1.5))
    mask = drawn_mask(whole.range, 2)
    operator = MissingRays(whole, mask)
    x = torch.rand(whole.domain, dtype=torch.float64)
    torch.testing.assert_close(operator(x), whole(x) * mask)
    y = torch.rand(whole.range, dtype=torch.float64)
    torch.testing.assert_close(operator.adjoint(y), operator.adjoint(torch.where(mask, y, 1e6)))
    assert torch.equal(operator.mask, mask)


def test_masks_that_do_not_fit() -> None:
    whole = projector(FanBeam(circular_angles(5), 2.0))
    for mask in (torch.ones(whole.range), torch.ones(4, 4, dtype=torch.bool), torch.ones(2, *whole.range[1:]).bool()):
        with pytest.raises(ValueError, match="must be bool and"):
            MissingRays(whole, mask)


def test_bridges_run_along_the_cells() -> None:
    y = torch.tensor([[[1.0, 9, 9, 4, 9]], [[9, 9, 9, 9, 9]]])
    mask = torch.tensor([[[True, False, False, True, False]], [[False] * 5]])
    torch.testing.assert_close(bridged(y, mask), torch.tensor([[[1.0, 2, 3, 4, 4]], [[0.0] * 5]]))
    assert bridged(y, torch.ones(1, 1, 5, dtype=torch.bool)) is y


def test_a_missing_view_takes_its_neighbours() -> None:
    y = torch.arange(6.0)[None, :, None].expand(1, 6, 4).clone()
    mask = torch.ones(6, 4, dtype=torch.bool)
    mask[[0, 3]] = False
    expected = y.clone()
    expected[0, 0] = 1
    torch.testing.assert_close(bridged(y, mask[None]), expected)


def disc(geometry: Geometry, grid: ImageGrid) -> tuple[CTProjector, Tensor]:
    y, x = (torch.arange(n) - (n - 1) / 2 for n in grid.shape)
    image = 0.02 * ((y[:, None] - 3).square() + x.square() < 144).float()
    return CTProjector(geometry, grid, slices=2), image.expand(2, -1, -1).contiguous()


@pytest.mark.parametrize("kind", ["dead cells", "a dead view", "a view of one slice", "a block"])
def test_the_direct_image_hardly_suffers(kind: str) -> None:
    grid = ImageGrid((48, 48), (1.0, 1.0))
    whole, image = disc(FanBeam(circular_angles(120), 1.2), grid)
    mask = torch.ones(whole.range, dtype=torch.bool)
    if kind == "dead cells":
        mask[:, :, [20, 51, 52]] = False
    elif kind == "a dead view":
        mask[:, 30] = False
    elif kind == "a view of one slice":
        mask[1, 30:33] = False
    else:
        mask[:, 10:14, 40:60] = False
    operator, y = MissingRays(whole, mask), whole(image)
    reference = whole.filtered_adjoint(y, "hann")
    found = operator.filtered_adjoint(torch.where(mask, y, 0), "hann")
    assert float((found - reference).norm() / reference.norm()) < 0.05
    as_measured = operator.filtered_adjoint(torch.where(mask, y, 1e3), "hann")
    torch.testing.assert_close(as_measured, found)


def test_a_slice_without_any_ray_is_empty() -> None:
    grid = ImageGrid((12, 12), (1.0, 1.0))
    whole, image = disc(FanBeam(circular_angles(20), 1.2), grid)
    mask = torch.ones(whole.range, dtype=torch.bool)
    mask[1] = False
    operator = MissingRays(whole, mask)
    found = operator.filtered_adjoint(operator(image), "hann")
    assert not found[1].any()
    assert found[0].any()
