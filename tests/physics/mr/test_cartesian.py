"""The Cartesian encoding: adjoints, gradients, known transforms, noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from physics.mr.cartesian import CartesianMR, fft2c, ifft2c, simulate_kspace

COMPLEX = torch.complex128


@st.composite
def encodings(draw: st.DrawFn) -> tuple[CartesianMR, int, int]:
    """(operator, slices, seed) over drawn sizes of either parity, masks and coil counts."""
    rows, columns = draw(st.integers(1, 13)), draw(st.integers(1, 13))
    slices, coils = draw(st.integers(1, 3)), draw(st.integers(0, 4))
    seed = draw(st.integers(0, 2**16))
    kind = draw(st.sampled_from(["points", "columns", "rows", "all"]))
    generator = torch.Generator().manual_seed(seed)
    mask = {
        "points": torch.rand(rows, columns, generator=generator) < 0.4,
        "columns": (torch.rand(1, columns, generator=generator) < 0.4).expand(rows, columns).clone(),
        "rows": (torch.rand(rows, 1, generator=generator) < 0.4).expand(rows, columns).clone(),
        "all": torch.ones(rows, columns, dtype=torch.bool),
    }[kind]
    mask[rows // 2, columns // 2] = True
    maps = torch.randn(slices, coils, rows, columns, dtype=COMPLEX, generator=generator) if coils else None
    return CartesianMR(mask, maps), slices, seed


def draw_pair(operator: CartesianMR, slices: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed + 1)
    shape = (slices, *operator.domain[-2:])
    image = torch.randn(shape, dtype=COMPLEX, generator=generator)
    coils = operator.range[-3]
    return image, torch.randn(slices, coils, *shape[1:], dtype=COMPLEX, generator=generator)


def dot(a: Tensor, b: Tensor) -> complex:
    return complex(torch.vdot(a.flatten(), b.flatten()))


@settings(deadline=None, max_examples=60)
@given(encodings())
def test_adjoint(case: tuple[CartesianMR, int, int]) -> None:
    operator, slices, seed = case
    x, y = draw_pair(operator, slices, seed)
    scale = float(x.norm() * y.norm()) * max(operator.norm_bound, 1)
    assert abs(dot(operator(x), y) - dot(x, operator.adjoint(y))) < 1e-6 * scale


@settings(deadline=None, max_examples=60)
@given(encodings())
def test_the_shift_free_problem_is_equivalent(case: tuple[CartesianMR, int, int]) -> None:
    operator, slices, seed = case
    x, y = draw_pair(operator, slices, seed)
    y = y * operator.mask
    equivalent, data = operator.without_shifts(y)
    torch.testing.assert_close(equivalent.adjoint(equivalent(x)), operator.adjoint(operator(x)), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(equivalent.adjoint(data), operator.adjoint(y), rtol=1e-6, atol=1e-9)
    assert float((equivalent(x) - data).norm()) == pytest.approx(float((operator(x) - y).norm()), rel=1e-6)


@settings(deadline=None, max_examples=20)
@given(encodings())
def test_autograd_is_the_adjoint(case: tuple[CartesianMR, int, int]) -> None:
    operator, slices, seed = case
    x, y = draw_pair(operator, slices, seed)
    x.requires_grad_()
    (0.5 * (operator(x) - y).abs().square().sum()).backward()
    torch.testing.assert_close(x.grad, operator.adjoint(operator(x.detach()) - y), rtol=1e-6, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(encodings())
def test_norm_bound(case: tuple[CartesianMR, int, int]) -> None:
    operator, slices, seed = case
    x, _ = draw_pair(operator, slices, seed)
    assert float(operator(x).norm()) <= operator.norm_bound * float(x.norm()) * (1 + 1e-6)


@pytest.mark.parametrize("shape", [(8, 8), (7, 8), (8, 7), (7, 5), (1, 6)])
def test_fft_is_the_centred_orthonormal_sum(shape: tuple[int, int]) -> None:
    image = torch.randn(2, *shape, dtype=COMPLEX)
    dft = []
    for n in shape:
        index = np.arange(n) - n // 2
        dft.append(torch.from_numpy(np.exp(-2j * np.pi * np.outer(index, index) / n) / np.sqrt(n)))
    expected = torch.einsum("ky,zyx,lx->zkl", dft[0], image, dft[1])
    torch.testing.assert_close(fft2c(image), expected)
    torch.testing.assert_close(ifft2c(fft2c(image)), image)


def test_a_constant_image_has_only_the_central_sample() -> None:
    kspace = fft2c(torch.ones(6, 9, dtype=COMPLEX))
    assert complex(kspace[3, 4]) == pytest.approx(54**0.5)
    assert float(kspace.abs().sum()) == pytest.approx(54**0.5)


def test_shapes_of_a_volume() -> None:
    mask = torch.ones(5, 6, dtype=torch.bool)
    assert CartesianMR(mask)(torch.zeros(3, 5, 6, dtype=COMPLEX)).shape == (3, 1, 5, 6)
    maps = torch.ones(3, 4, 5, 6, dtype=COMPLEX)
    assert CartesianMR(mask, maps)(torch.zeros(3, 5, 6, dtype=COMPLEX)).shape == (3, 4, 5, 6)
    assert CartesianMR(mask, maps).slices(1, 2).range == (1, 4, 5, 6)


@pytest.mark.parametrize(
    ("mask", "maps", "message"),
    [
        (torch.zeros(4, 4, dtype=torch.bool), None, "empty"),
        (torch.ones(4, 4), None, "bool"),
        (torch.ones(4, dtype=torch.bool), None, r"\(y, x\)"),
        (torch.ones(4, 4, dtype=torch.bool), torch.ones(1, 2, 4, 5), "coil maps"),
        (torch.ones(4, 4, dtype=torch.bool), torch.ones(2, 4, 4), "coil maps"),
    ],
)
def test_wrong_arguments(mask: Tensor, maps: Tensor | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CartesianMR(mask, maps)


def test_an_image_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="domain"):
        CartesianMR(torch.ones(4, 4, dtype=torch.bool))(torch.zeros(2, 4, 5, dtype=COMPLEX))


@pytest.mark.parametrize("coils", [0, 3])
def test_noise_has_the_stated_mean_and_variance(coils: int) -> None:
    mask = torch.rand(64, 64, generator=torch.Generator().manual_seed(1)) < 0.5
    maps = torch.ones(8, coils, 64, 64, dtype=torch.complex64) if coils else None
    image = torch.randn(8, 64, 64)
    sigma = 0.7
    clean = simulate_kspace(image, mask, maps)
    noisy = simulate_kspace(image, mask, maps, sigma, torch.Generator().manual_seed(2))
    assert not (noisy - clean)[..., ~mask].any()
    noise = (noisy - clean)[..., mask].flatten()
    error = sigma / noise.numel() ** 0.5
    assert abs(complex(noise.mean())) < 4 * error
    assert float(noise.abs().square().mean()) == pytest.approx(sigma**2, abs=4 * sigma * error)
    assert float(noise.real.square().mean()) == pytest.approx(sigma**2 / 2, abs=4 * sigma * error)
    assert abs(float((noise.real * noise.imag).mean())) < 4 * sigma * error


def test_noise_follows_the_generator() -> None:
    mask = torch.ones(8, 8, dtype=torch.bool)
    first, same, other = (
        simulate_kspace(torch.zeros(1, 8, 8), mask, None, 1.0, torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_negative_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        simulate_kspace(torch.zeros(1, 4, 4), torch.ones(4, 4, dtype=torch.bool), noise_std=-1)
