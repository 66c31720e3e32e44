"""Ordered subsets: what they are, that one of all views is SIRT, and that many are as good in fewer passes."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from operators import random_matrix

from physics.ct.geometry import FanBeam, ImageGrid, circular_angles
from physics.ct.projector import CTProjector
from recon.solvers.krylov import sirt
from recon.solvers.ordered_subsets import ordered_subsets, subsets_of


@pytest.fixture
def projector() -> CTProjector:
    return CTProjector(FanBeam(circular_angles(20), 2.0), ImageGrid((24, 20), (2.0, 2.5)), torch.float64, slices=2)


def scan(projector: CTProjector) -> tuple[torch.Tensor, torch.Tensor]:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 24), torch.linspace(-1, 1, 20), indexing="ij")
    image = torch.stack([0.02 * ((x - c) ** 2 + y**2 < 0.5) + 0.01 * (x.abs() + y.abs() < 0.3) for c in (-0.2, 0.3)])
    image = image.double()
    return image, projector(image)


@pytest.mark.parametrize("count", [1, 3, 7, 20, 50])
def test_each_view_is_in_one_subset(projector: CTProjector, count: int) -> None:
    subsets = subsets_of(projector, count)
    assert len(subsets) == min(count, 20)
    views = [view for subset in subsets for view in range(*subset.part.indices(20))]
    assert sorted(views) == list(range(20))
    steps = [abs(a.part.start - b.part.start) for a, b in pairwise(subsets)]
    assert count < 5 or min(steps) > 1, "neighbouring subsets are not neighbouring views"


def test_one_subset_is_sirt(projector: CTProjector) -> None:
    _, data = scan(projector)
    found = ordered_subsets(subsets_of(projector, 1), data, torch.zeros(projector.domain).double(), 7)
    torch.testing.assert_close(found, sirt(projector, data, 7))


@pytest.mark.parametrize("count", [5, 20])
def test_few_passes_are_as_good_as_many_iterations(projector: CTProjector, count: int) -> None:
    image, data = scan(projector)
    found = ordered_subsets(subsets_of(projector, count), data, torch.zeros(projector.domain).double(), 10)
    slow = sirt(projector, data, 10 * count)
    assert float((found - image).norm()) < 1.05 * float((slow - image).norm())


def test_the_residual_and_the_stop(projector: CTProjector) -> None:
    """The residual is that before each step, so that of a solved problem is zero."""
    image, data = scan(projector)
    norms: list[float] = []

    def stop(iteration: int, residual: torch.Tensor) -> bool:
        norms.append(float(residual.norm()))
        return iteration == 3

    ordered_subsets(subsets_of(projector, 5), data, torch.zeros_like(image), 50, callback=stop)
    assert len(norms) == 3
    assert norms[2] < norms[1] < norms[0]
    start = image.clone()
    assert (
        ordered_subsets(subsets_of(projector, 5), data, start, 1, 0.7, lambda _, rest: norms.append(float(rest.norm())))
        is start
    )
    assert norms[3] == pytest.approx(0, abs=1e-9)
    torch.testing.assert_close(start, image)


def test_data_without_views_are_refused() -> None:
    with pytest.raises(ValueError, match="Matrix has no views"):
        subsets_of(random_matrix(6, 4), 1)
