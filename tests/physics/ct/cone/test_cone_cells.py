"""What cells of a cone beam's detector read, and rays of it that were not measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cone_geometries import cone

from physics.ct.cone import VolumeGrid, make_cone_projector
from physics.ct.cone.ellipsoids import Ellipsoid, ellipsoid_line_integrals, ellipsoid_volume
from physics.ct.cone.finite_cells import cone_readings, fine_detector
from physics.ct.cone.projector import ConeProjector
from physics.ct.cone.views import ConeGeometry, views_of
from physics.ct.missing_rays import MissingRays

GRID = VolumeGrid((24, 24, 24), (1.0, 1.0, 1.0))
BALL = [Ellipsoid((0.0, 0.0, 0.0), (9.0, 8.0, 10.0), 0.02)]


@pytest.mark.parametrize("geometry", [cone(3), cone(3, curved=True), views_of(cone(3, roll=0.1))])
def test_a_cell_is_cut_into_cells_that_cover_it(geometry: ConeGeometry) -> None:
    coarse, fine = geometry.rays(), fine_detector(geometry, 2).rays()
    rows = fine.columns[:, :, None] + np.arange(2)[:, None] * fine.steps[:, None, None]
    mean = rows.mean(2).reshape(3, -1, 2, 3).mean(2)
    np.testing.assert_allclose(mean, coarse.columns, atol=2e-3)  # on an arc, the chord's middle lies inside it
    np.testing.assert_allclose(2 * fine.steps, coarse.steps)


def test_intensities_and_not_line_integrals_are_averaged() -> None:
    geometry = cone(4, rows=10, cells=12, pitch=6.0, row_pitch=6.0)
    body = 40 * ellipsoid_volume(BALL, GRID)
    found = cone_readings([body], geometry, GRID, 2)
    single = ConeProjector(fine_detector(geometry, 2), GRID)(body).unflatten(-1, (-1, 2)).unflatten(0, (-1, 2))
    torch.testing.assert_close(found, -single.neg().exp().mean((1, -1)).log(), rtol=1e-4, atol=1e-5)
    assert float((single.mean((1, -1)) - found).max()) > 0.1


def test_materials_add_up() -> None:
    geometry, body = cone(2, rows=6, cells=8), ellipsoid_volume(BALL, GRID)
    found = cone_readings([body / 2, body / 2], geometry, GRID, 1, lambda rays: torch.exp(-sum(rays.chunk(2))))  # type: ignore[arg-type]
    torch.testing.assert_close(found, cone_readings([body], geometry, GRID, 1), rtol=1e-4, atol=1e-6)


def test_dead_rows_cells_and_views_are_filled_in() -> None:
    operator = make_cone_projector(cone(60, rows=20, cells=24), GRID)
    data = ellipsoid_line_integrals(BALL, operator.geometry)
    measured = torch.ones(operator.range, dtype=torch.bool)
    measured[9] = False
    measured[:, 17] = False
    measured[:, :, 12] = False
    some = MissingRays(operator, measured)
    broken = torch.where(measured, data, 0)
    whole, filled = some.completed(broken)
    assert whole is operator
    assert float((filled - data).abs().max()) < 0.25 * float(data.max())
    direct = operator.filtered_adjoint(data, "hann")
    assert float((some.filtered_adjoint(broken, "hann") - direct).norm() / direct.norm()) < 0.1
    assert some.views(slice(0, 60, 2)).range == (20, 30, 24)
    with pytest.raises(ValueError, match="couples its slices"):
        some.slices(slice(0, 1))
