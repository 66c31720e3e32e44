"""The model error of a phantom's scan, told again by a better image."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from datasets.sets.phantom import PhantomSet, voxels
from physics.averaging import AreaAverage
from physics.ct.finite_cells import Aperture, readings
from physics.ct.geometry import FanBeam, ImageGrid, circular_angles
from physics.ct.missing_rays import MissingRays
from physics.ct.projector import CTProjector
from recon.scan.measurement import Measurement, Protocol
from recon.scan.units import hu_to_attenuation
from recon.solvers.finer_grid import finer_grid
from recon.solvers.recorrection import recorrected

_COARSE = 48


@pytest.fixture(scope="module")
def scan() -> tuple[Measurement, Tensor, Tensor]:
    """Data without the model error that a blurred image on 96² tells; the ground truth on 48², and the data that the
    operator makes of it."""
    case = PhantomSet(count=1, seed=5, size=(8, 192, 192), spacing=(4.0, 2.0, 2.0)).cases()[0]
    body = hu_to_attenuation(torch.from_numpy(voxels(case)[0][3:5]).float())
    truth = AreaAverage((192, 192), (_COARSE, _COARSE), 2)(body)
    geometry = FanBeam(circular_angles(24), pitch=6.0)
    operator = CTProjector(geometry, ImageGrid((_COARSE, _COARSE), (8.0, 8.0)), slices=2)
    data = readings(body, operator.geometry, ImageGrid((192, 192), (2.0, 2.0)), Aperture(4))
    protocol = Protocol(geometry=operator.geometry.to_dict())
    plain = Measurement(data, operator, None, (4.0, 8.0, 8.0), protocol)
    blurred = torch.nn.functional.avg_pool2d(AreaAverage((192, 192), (96, 96), 2)(body)[:, None], 5, 1, 2)[:, 0]
    finer = finer_grid(plain)
    error = finer.read(blurred) - operator(finer.mean(blurred))
    return replace(plain, y=data - error, finer=blurred), truth, operator(truth)


def test_a_better_image_tells_more_of_it(scan: tuple[Measurement, Tensor, Tensor]) -> None:
    measurement, truth, ideal = scan
    found = recorrected(measurement, truth)
    assert found.finer is not None
    mean = finer_grid(measurement).mean
    assert float((mean(found.finer) - truth).norm()) < 0.5 * float((mean(measurement.finer) - truth).norm())
    assert float((found.y - ideal).norm()) < 0.9 * float((measurement.y - ideal).norm()), (found.y - ideal).norm()


def test_the_mean_of_the_estimate_itself_changes_nothing(scan: tuple[Measurement, Tensor, Tensor]) -> None:
    measurement, _, _ = scan
    mean = finer_grid(measurement).mean(measurement.finer)
    found = recorrected(measurement, mean)
    assert torch.allclose(found.y, measurement.y, atol=1e-5)
    assert torch.allclose(found.finer, measurement.finer, atol=1e-6)


def test_rays_that_were_not_measured_stay_zero(scan: tuple[Measurement, Tensor, Tensor]) -> None:
    measurement, truth, _ = scan
    mask = torch.rand(measurement.y.shape, generator=torch.Generator().manual_seed(0)) < 0.9
    operator = MissingRays(measurement.operator, mask)
    found = recorrected(replace(measurement, y=measurement.y * mask, operator=operator), truth)
    assert not found.y[~mask].any()


def test_without_an_estimate_nothing_is_done(scan: tuple[Measurement, Tensor, Tensor]) -> None:
    plain = replace(scan[0], finer=None)
    assert recorrected(plain, scan[1]) is plain
