"""Weights by samples that were held out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physics.mr.cartesian import CartesianMR, fft2c
from physics.mr.masks import calibration_width, make_mask
from recon.acquisition.continuous_mr import Receiver, scan_continuous_mr
from recon.methods import get_method, parse_options
from recon.scan.measurement import Measurement, RunContext
from recon.scan.volume import Volume
from recon.solvers.held_out import held_out, held_out_weight

SHAPE = (64, 64)


def _scan(kind: str = "poisson", noise: float = 0.02, coils: int = 4) -> tuple[Measurement, torch.Tensor]:
    x = (torch.arange(64) + 0.5) / 32 - 1
    radius = torch.hypot(x[:, None] - 0.05, x + 0.1)
    image = 0.7 * (radius < 0.7) + 0.3 * (radius < 0.3) + 0.1 * torch.sin(9 * x) * (radius < 0.7)
    volume = Volume(image.float().repeat(3, 1, 1), np.eye(4), "MR")
    scan = scan_continuous_mr(volume, make_mask(kind, SHAPE, 4.0, 12), Receiver(noise, coils), seed=2)
    assert scan.truth is not None
    return scan.measurement, scan.truth.data


@pytest.mark.parametrize("kind", ["poisson", "gauss1d"])
def test_what_is_held_out_was_sampled_outside_of_the_centre(kind: str) -> None:
    measurement, _ = _scan(kind)
    split = held_out(measurement)
    assert split is not None
    left, away = split
    mask = measurement.operator.mask
    assert torch.equal(left | away, mask)
    assert not (left & away).any()
    assert calibration_width(left) == calibration_width(mask)
    assert 0.02 < float(away.sum() / mask.sum()) < 0.2
    if kind == "gauss1d":
        assert torch.equal(away, away[:1].expand_as(away))


def test_nothing_is_held_out_of_complete_kspace() -> None:
    full = Measurement(
        fft2c(torch.ones(1, 1, *SHAPE, dtype=torch.complex64)), CartesianMR(torch.ones(SHAPE, dtype=torch.bool))
    )
    assert held_out(full) is None
    assert held_out_weight(full, lambda operator, data, monitor, weight: data[:, 0], (0.1, 1.0)) is None


@pytest.mark.parametrize("noise", [0.005, 0.03])
@pytest.mark.parametrize("name", ["cg-sense", "l1-wavelet", "tv"])
def test_the_default_weight_is_near_the_best_one(name: str, noise: float) -> None:
    measurement, truth = _scan(noise=noise)
    method = get_method("MR", name)

    def error(weight: float | None) -> float:
        options = parse_options(method, {} if weight is None else {"weight": str(weight)})
        return float((method.run(measurement, options, RunContext()).mean.abs() - truth).norm() / truth.norm())

    best = min(error(weight) for weight in (1e-3, 3e-3, 1e-2, 3e-2, 1e-1))
    assert error(None) < 1.3 * best
