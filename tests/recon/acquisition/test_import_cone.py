"""Binning and grids of imported cone beams, and the method that auto takes of large ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cone_geometries import cone

from physics.ct.cone.geometry import ConeBeam
from physics.ct.cone.grid import VolumeGrid
from physics.ct.cone.projector import ConeProjector
from physics.ct.cone.views import ConeGeometry, views_of
from recon.acquisition.import_cone import cone_grid, placed_cone, rows_binned
from recon.acquisition.import_request import ImportRequest
from recon.errors import InputError
from recon.io.projections.intensities import LineIntegrals
from recon.run import choose
from recon.run.choose import choose_method
from recon.scan.measurement import Measurement, no_progress


def request(**changes: object) -> ImportRequest:
    return ImportRequest((Path("scan.npy"),), **changes)  # type: ignore[arg-type]


def found(rows: int = 11, cells: int = 13) -> LineIntegrals:
    data = np.random.default_rng(0).random((rows, 3, cells), np.float32)
    return LineIntegrals(data, np.ones(data.shape, bool))


@pytest.mark.parametrize(
    "geometry", [cone(3, rows=11, cells=13, offset=2.0, row_offset=-1.0), views_of(cone(3, rows=11, cells=13))]
)
def test_binned_cells_and_rows_lie_where_those_were(geometry: ConeGeometry) -> None:
    binned, _ = placed_cone(request(bin=2), geometry, found(), no_progress)
    assert binned.scan_shape == (5, 3, 6)
    rays, fine = binned.rays(), geometry.rays()
    expected = (fine.columns[:, :12].reshape(3, 6, 2, 3).mean(2)) + 0.5 * fine.steps[:, None]
    np.testing.assert_allclose(rays.columns, expected, atol=1e-9)
    np.testing.assert_allclose(rays.steps, 2 * fine.steps)


def test_rows_are_averaged_over_those_that_were_measured() -> None:
    lines = found()
    lines.measured[0] = False
    binned = rows_binned(lines, 2)
    np.testing.assert_allclose(binned.data[0], lines.data[1])
    np.testing.assert_allclose(binned.data[1], lines.data[2:4].mean(0), rtol=1e-6)
    assert binned.measured.all()
    with pytest.raises(InputError, match="`bin` 12: the detector has 11 rows"):
        rows_binned(lines, 12)


def test_the_grid_is_what_the_detector_sees() -> None:
    geometry = cone(12, rows=20, cells=24)
    shape, spacing, said = cone_grid(geometry, request())
    assert spacing == pytest.approx((3 / 1.8,) * 3)
    assert shape[0] == 20
    assert shape[1] == shape[2] <= 24
    assert len(said) == 4
    assert cone_grid(geometry, request(grid=(8, 9), pixel=2.0, slice_spacing=3.0, slices=5)) == (
        (5, 8, 9),
        (3, 2, 2),
        (),
    )
    helix = ConeBeam(tuple(np.arange(24) * 0.6), 3.0, 24, rows=20, feed=30.0)
    assert cone_grid(helix, request())[0][0] > 25


def test_auto_takes_fdk_of_what_is_too_large_to_iterate_on(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = ConeProjector(cone(4), VolumeGrid((4, 5, 6), (1.0, 1.0, 1.0)))
    scan = Measurement(torch.zeros(operator.range), operator)
    assert choose_method("auto", scan, "CT", {})[0] == "tv"
    monkeypatch.setattr(choose, "_MOST_WORK", 4 * 5 * 6 * 4 - 1)
    method, (why,) = choose_method("auto", scan, "CT", {})
    assert method == "fdk"
    assert "voxels x views are many" in why
    assert "(rows, views, cells)" in repr(scan)
