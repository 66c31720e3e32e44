"""A scan in another unit of length is the same scan: every classical method makes the same image of it."""

from __future__ import annotations

import pytest
import torch

from physics.ct.geometry import FanBeam, ImageGrid, circular_angles
from physics.ct.projector import CTProjector
from physics.noise import TransmissionNoise
from recon.methods import get_method
from recon.scan.measurement import Measurement, RunContext


def scan(unit: float, noise: bool) -> Measurement:
    """A disc with an insert, all lengths times ``unit``."""
    geometry = FanBeam(circular_angles(24), 3.0 * unit, 48, 0.5 * unit, 500 * unit, 900 * unit)
    operator = CTProjector(geometry, ImageGrid((40, 40), (2.0 * unit, 2.0 * unit)))
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 40)] * 2, indexing="ij")
    image = 0.02 * (x.square() + y.square() < 0.6).float() + 0.01 * ((x - 0.2).square() + y.square() < 0.05).float()
    clean = CTProjector(FanBeam(circular_angles(24), 3.0, 48, 0.5, 500, 900), ImageGrid((40, 40), (2.0, 2.0)))(
        image[None]
    )
    data, sigma = TransmissionNoise(1e5).apply(clean, torch.Generator().manual_seed(0))
    return Measurement(data, operator, sigma if noise else None, (2.0 * unit,) * 3)


@pytest.mark.parametrize("noise", [True, False])
@pytest.mark.parametrize("name", ["fbp", "cgls", "os-sirt", "sart", "sirt", "tv", "tv+dc"])
def test_the_image_does_not_depend_on_the_unit(name: str, noise: bool) -> None:
    method = get_method("CT", name)
    images = [method.run(scan(unit, noise), method.options(), RunContext()).mean * unit for unit in (1.0, 1e-3, 1e3)]
    for image in images[1:]:
        assert float((image - images[0]).norm() / images[0].norm()) < 5e-3
