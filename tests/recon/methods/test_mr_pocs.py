"""POCS and homodyne detection: the missing side of k-space from the phase of its centre."""

from __future__ import annotations

import pytest
import torch

from physics.mr.birdcage import birdcage_maps
from physics.mr.cartesian import CartesianMR, fft2c, ifft2c
from physics.mr.non_cartesian import NonCartesian
from physics.mr.phase import smooth_phase
from physics.mr.trajectories import radial
from recon.errors import InputError
from recon.methods import get_method
from recon.methods.mr_homodyne import homodyne_weights
from recon.scan.measurement import Measurement, RunContext
from recon.solvers.partial_fourier import mirrored

SHAPE = (64, 57)


def image() -> torch.Tensor:
    y, x = (torch.linspace(-1, 1, n) for n in SHAPE)
    body = (torch.hypot(y[:, None], x) < 0.8).float() - 0.5 * (torch.hypot(y[:, None] - 0.3, x) < 0.2)
    return torch.polar(body[None], smooth_phase((1, *SHAPE), 1.0, torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("coils", [1, 4])
def test_a_missing_side_is_found(coils: int) -> None:
    truth, mask = image(), torch.ones(SHAPE, dtype=torch.bool)
    mask[:, 36:] = False
    operator = CartesianMR(mask, birdcage_maps(coils, SHAPE)[None] if coils > 1 else None)
    measurement = Measurement(operator(truth), operator)

    def error(name: str) -> float:
        method = get_method("MR", name)
        found = method.run(measurement, method.options(), RunContext()).mean
        return float((found.abs() - truth.abs()).norm() / truth.norm())

    assert error("pocs") < 0.6 * error("zero-filled")
    assert error("homodyne") < 0.75 * error("zero-filled")


@pytest.mark.parametrize("side", [slice(0, 36), slice(22, 57)])
@pytest.mark.parametrize("axis", [0, 1])
def test_homodyne_weights_sum_to_two_with_their_mirror_images(side: slice, axis: int) -> None:
    mask = torch.zeros(SHAPE, dtype=torch.bool)
    mask[(side, slice(None)) if axis == 0 else (slice(None), side)] = True
    weights = homodyne_weights(mask)
    there = mask | mirrored(mask)
    sums = weights + mirrored(weights)
    torch.testing.assert_close(sums[there], torch.full_like(sums[there], 2.0))
    assert not weights[~mask].any()


def test_homodyne_of_complete_k_space_gives_the_image_back() -> None:
    operator, method = CartesianMR(torch.ones(SHAPE, dtype=torch.bool)), get_method("MR", "homodyne")
    result = method.run(Measurement(operator(image()), operator), method.options(), RunContext())
    torch.testing.assert_close(result.mean, image(), rtol=1e-3, atol=1e-3)


def test_complete_k_space_gives_the_image_back() -> None:
    operator, method = CartesianMR(torch.ones(SHAPE, dtype=torch.bool)), get_method("MR", "pocs")
    result = method.run(Measurement(operator(image()), operator), method.options(iterations=3), RunContext())
    torch.testing.assert_close(result.mean, image(), rtol=1e-4, atol=1e-4)
    assert len(result.trace) == 3


@pytest.mark.parametrize("shape", [(6, 7), (7, 6), (1, 4)])
def test_the_mirror_image_is_that_of_the_conjugate(shape: tuple[int, int]) -> None:
    kspace = torch.randn(shape, dtype=torch.complex128)
    torch.testing.assert_close(fft2c(ifft2c(kspace).conj()), mirrored(kspace).conj())


def test_what_pocs_cannot_take_is_refused() -> None:
    method = get_method("MR", "pocs")
    homodyne = get_method("MR", "homodyne")
    along = NonCartesian(radial(4, 8), (8, 8))
    one_side = torch.zeros(8, 8, dtype=torch.bool)
    one_side[:, 6] = True
    for operator, message in ((along, "Cartesian grid"), (CartesianMR(one_side), "mirror image")):
        for each in (method, homodyne):
            with pytest.raises(InputError, match=message):
                each.run(
                    Measurement(torch.zeros(operator.range, dtype=torch.complex64), operator),
                    each.options(),
                    RunContext(),
                )
