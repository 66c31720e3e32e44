"""The Cartesian encoding: adjoints, gradients, known transforms, noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from operators import assert_adjoint, assert_linear, assert_norm_bound, assert_slices, double_pair
from torch import Tensor

from physics.mr.cartesian import CartesianMR, fft2c, ifft2c, simulate_kspace
from physics.noise import ComplexGaussianNoise

COMPLEX = torch.complex128
SEEDS = st.integers(0, 2**16)


@st.composite
def encodings(draw: st.DrawFn, largest: int = 13) -> CartesianMR:
    """Drawn sizes of either parity, masks and coil counts."""
    rows, columns = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    slices, coils = draw(st.integers(1, 3)), draw(st.integers(0, 4))
    kind = draw(st.sampled_from(["points", "columns", "rows", "all"]))
    generator = torch.Generator().manual_seed(draw(SEEDS))
    mask = {
        "points": torch.rand(rows, columns, generator=generator) < 0.4,
        "columns": (torch.rand(1, columns, generator=generator) < 0.4).expand(rows, columns).clone(),
        "rows": (torch.rand(rows, 1, generator=generator) < 0.4).expand(rows, columns).clone(),
        "all": torch.ones(rows, columns, dtype=torch.bool),
    }[kind]
    mask[rows // 2, columns // 2] = True
    maps = torch.randn(slices, coils, rows, columns, dtype=COMPLEX, generator=generator) if coils else None
    return CartesianMR(mask, maps, slices)


@settings(deadline=None, max_examples=20)
@given(encodings(), SEEDS, st.sampled_from([(), (2,)]))
def test_the_encoding_and_its_shift_free_form_have_their_adjoints_and_gradients(
    operator: CartesianMR, seed: int, batch: tuple[int, ...]
) -> None:
    equivalent, _ = operator.equivalent_problem(torch.zeros(operator.range, dtype=COMPLEX))
    for linear in (operator, operator.H, operator.gram, equivalent, equivalent.gram):
        assert_adjoint(linear, seed, batch)
        assert_linear(linear, seed, batch)


@settings(deadline=None, max_examples=10)
@given(encodings(5))
def test_norm_bounds_and_slices(operator: CartesianMR) -> None:
    equivalent, _ = operator.equivalent_problem(torch.zeros(operator.range, dtype=COMPLEX))
    for linear in (operator, equivalent, equivalent.gram, 2j * operator):
        assert_norm_bound(linear)
        assert_slices(linear)


@settings(deadline=None, max_examples=30)
@given(encodings(), SEEDS)
def test_the_shift_free_problem_is_equivalent(operator: CartesianMR, seed: int) -> None:
    x, y = double_pair(operator, seed)
    y = y * operator.mask
    equivalent, data = operator.equivalent_problem(y)
    torch.testing.assert_close(equivalent.adjoint(equivalent(x)), operator.adjoint(operator(x)), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(equivalent.adjoint(data), operator.adjoint(y), rtol=1e-6, atol=1e-9)
    assert float((equivalent(x) - data).norm()) == pytest.approx(float((operator(x) - y).norm()), rel=1e-6)


@settings(deadline=None, max_examples=20)
@given(encodings(), st.floats(1e-3, 10), SEEDS)
def test_the_normal_equations_of_one_coil_have_a_closed_form(operator: CartesianMR, weight: float, seed: int) -> None:
    rhs, _ = double_pair(operator, seed)
    found = operator.solve_normal(rhs, weight)
    if operator.range[1] > 1 or operator.coil_maps is not None:
        assert found is None
    else:
        torch.testing.assert_close(operator.gram(found) + weight * found, rhs, rtol=1e-6, atol=1e-9)


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
    assert CartesianMR(mask)(torch.zeros(1, 5, 6, dtype=COMPLEX)).shape == (1, 1, 5, 6)
    assert CartesianMR(mask, slices=3)(torch.zeros(3, 5, 6, dtype=COMPLEX)).shape == (3, 1, 5, 6)
    maps = torch.ones(3, 4, 5, 6, dtype=COMPLEX)
    assert CartesianMR(mask, maps)(torch.zeros(3, 5, 6, dtype=COMPLEX)).shape == (3, 4, 5, 6)
    assert CartesianMR(mask, maps).slices(slice(1, 2)).range == (1, 4, 5, 6)
    with pytest.raises(ValueError, match="`slices` 2: the coil sensitivity maps have 3 slices"):
        CartesianMR(mask, maps, 2)


def test_slices_share_mask_and_maps() -> None:
    maps = torch.rand(3, 2, 5, 6, dtype=COMPLEX)
    operator = CartesianMR(torch.ones(5, 6, dtype=torch.bool), maps)
    some = operator.slices(slice(1, 3))
    assert some.mask is operator.mask
    assert some.coil_maps.data_ptr() == maps[1].data_ptr()
    assert some.norm_bound == pytest.approx(float(maps[1:].abs().square().sum(1).amax()) ** 0.5)


@pytest.mark.parametrize(
    ("mask", "maps", "message"),
    [
        (torch.zeros(4, 4, dtype=torch.bool), None, "empty"),
        (torch.ones(4, 4), None, "bool"),
        (torch.ones(4, dtype=torch.bool), None, r"\(y, x\)"),
        (torch.ones(4, 4, dtype=torch.bool), torch.ones(1, 2, 4, 5), "coil sensitivity maps"),
        (torch.ones(4, 4, dtype=torch.bool), torch.ones(2, 4, 4), "coil sensitivity maps"),
    ],
)
def test_wrong_arguments(mask: Tensor, maps: Tensor | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CartesianMR(mask, maps)


def test_an_image_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="domain"):
        CartesianMR(torch.ones(4, 4, dtype=torch.bool), slices=2)(torch.zeros(2, 4, 5, dtype=COMPLEX))


@pytest.mark.parametrize("coils", [0, 3])
def test_noise_has_the_stated_mean_and_variance(coils: int) -> None:
    mask = torch.rand(64, 64, generator=torch.Generator().manual_seed(1)) < 0.5
    maps = torch.ones(8, coils, 64, 64, dtype=torch.complex64) if coils else None
    image = torch.randn(8, 64, 64)
    sigma = 0.7
    clean = simulate_kspace(image, mask, maps)
    noisy = simulate_kspace(image, mask, maps, ComplexGaussianNoise(sigma), torch.Generator().manual_seed(2))
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
        simulate_kspace(
            torch.zeros(1, 8, 8), mask, None, ComplexGaussianNoise(1.0), torch.Generator().manual_seed(seed)
        )
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
