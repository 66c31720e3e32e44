"""Where no coil is sensitive, networks and priors leave nothing."""

from __future__ import annotations

from dataclasses import replace

import torch

from physics.ct import make_projector
from physics.ct.geometry import FanBeam, ImageGrid, circular_angles
from physics.mr.cartesian import CartesianMR
from recon.scan.measurement import Measurement, Protocol, Reconstruction
from recon.solvers.seen import only_seen, seen_by


def scan(maps: torch.Tensor | None) -> Measurement:
    mask = torch.zeros(12, 10, dtype=torch.bool)
    mask[::3, 1:4] = True  # without frequency zero, so that the masked encoding of a constant image is zero
    operator = CartesianMR(mask, maps, 2)
    return Measurement(
        operator(torch.ones(operator.domain, dtype=operator.dtype)), operator, None, (1, 1, 1), Protocol()
    )


def test_what_no_coil_sees_is_left_empty_whatever_the_mask() -> None:
    maps = torch.full((2, 3, 12, 10), 3**-0.5, dtype=torch.complex64)
    maps[0, :, :4] = 0
    measurement = scan(maps)
    expected = torch.ones(2, 12, 10)
    expected[0, :4] = 0
    assert torch.equal(seen_by(measurement), expected)
    made_up = Reconstruction(torch.ones(2, 12, 10, dtype=torch.complex64), torch.ones(2, 12, 10), weights={})
    answer = only_seen(measurement, made_up)
    assert torch.equal(answer.mean.real, expected)
    assert answer.std is not None
    assert torch.equal(answer.std, expected)
    nowhere = replace(measurement, operator=measurement.operator.keeping(torch.ones(12, 10, dtype=torch.bool)))
    assert torch.equal(seen_by(nowhere), expected)


def test_one_uniform_coil_sees_everything() -> None:
    measurement = scan(None)
    answer = Reconstruction(torch.ones(2, 12, 10, dtype=torch.complex64))
    assert only_seen(measurement, answer) is answer


def test_pixels_between_rays_are_no_gap() -> None:
    geometry = FanBeam(circular_angles(2), pitch=20.0, cells=4)
    operator = make_projector(geometry, ImageGrid((16, 16), (1.0, 1.0)))
    measurement = Measurement(operator(torch.ones(1, 16, 16)), operator, None, (1, 1, 1), Protocol())
    assert (operator.adjoint(torch.ones_like(measurement.y)) == 0).any()
    assert (seen_by(measurement) == 1).all()
