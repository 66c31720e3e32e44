"""The operator base class: shapes, adjoints, compositions, sums, scales, slices, norms and gradients, on plain ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from operators import (
    Coupled,
    Matrix,
    Weighting,
    assert_adjoint,
    assert_linear,
    assert_norm_bound,
    assert_operator,
    assert_slices,
    dense,
    double_pair,
    draw_pair,
    norm,
    random_matrix,
)

from physics.norm import perron_bound, random_start_bound

SIZES = st.integers(1, 6)
SEEDS = st.integers(0, 2**16)


@pytest.fixture(params=[torch.float64, torch.complex128], ids=["real", "complex"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


def weighting(shape: tuple[int, int, int] = (3, 2, 4), dtype: torch.dtype = torch.float64, seed: int = 0) -> Weighting:
    return Weighting(torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_leading_axes_are_a_batch(dtype: torch.dtype, batch: tuple[int, ...]) -> None:
    operator = random_matrix(4, 5, dtype)
    x, y = draw_pair(operator, batch, dtype, 1)
    assert operator(x).shape == (*batch, 4)
    assert operator.adjoint(y).shape == (*batch, 5)
    assert_adjoint(operator, 1, batch)
    assert torch.equal(operator.forward(x), operator(x))


def test_the_adjoint_is_an_operator(dtype: torch.dtype) -> None:
    operator = random_matrix(4, 5, dtype)
    assert (operator.H.domain, operator.H.range) == ((4,), (5,))
    assert operator.H.H is operator
    torch.testing.assert_close(dense(operator.H, dtype), operator.matrix.mH)


def test_composition(dtype: torch.dtype) -> None:
    outer, inner = random_matrix(3, 4, dtype), random_matrix(4, 5, dtype)
    product = outer @ inner
    assert (product.domain, product.range) == ((5,), (3,))
    torch.testing.assert_close(dense(product, dtype), outer.matrix @ inner.matrix)
    torch.testing.assert_close(dense(product.H, dtype), (outer.matrix @ inner.matrix).mH)
    torch.testing.assert_close(dense(inner.gram, dtype), inner.matrix.mH @ inner.matrix)


@settings(deadline=None, max_examples=5)
@pytest.mark.parametrize("types", ["real", "complex", "mixed"])
@given(SIZES, SIZES, st.sampled_from([2, -0.5, np.float32(3), 1j, 2 - 3j]), SEEDS)
def test_sums_and_scales_are_those_of_matrices(types: str, rows: int, columns: int, factor: complex, seed: int) -> None:
    """Of real and complex operators, by real and complex numbers, adjoints included."""
    one = torch.complex128 if types == "complex" else torch.float64
    other = torch.float64 if types == "real" else torch.complex128
    first, second = random_matrix(rows, columns, one), Matrix(random_matrix(rows + 9, columns, other).matrix[:rows])
    a, b = (each.matrix.to(torch.complex128) for each in (first, second))
    number = complex(factor)
    for made, expected in (
        (first + second, a + b),
        (first * factor, number * a),
        (-first, -a),
        ((factor * first - second).H, (number * a - b).mH),
    ):
        torch.testing.assert_close(dense(made, torch.complex128), expected)
        torch.testing.assert_close(dense(made.H, torch.complex128), expected.mH)
        assert_operator(made, seed, (2,))


def test_a_number_does_not_change_the_type_unless_it_is_complex() -> None:
    assert (2 * random_matrix(3, 4)).dtype == torch.float64
    assert (2j * random_matrix(3, 4)).dtype == torch.complex128
    assert (2j * random_matrix(3, 4, torch.float32)).dtype == torch.complex64


def test_a_real_operator_takes_complex_tensors_and_the_reverse() -> None:
    real, complex_ = random_matrix(3, 4), random_matrix(3, 4, torch.complex128)
    x = torch.randn(4, dtype=torch.complex128)
    torch.testing.assert_close(real(x), real.matrix.to(x) @ x)
    torch.testing.assert_close(complex_(x.real), complex_.matrix @ x.real.to(x))


def test_the_gradient_of_a_real_tensor_is_real() -> None:
    operator, x = random_matrix(3, 4, torch.complex128), torch.randn(4, dtype=torch.float64, requires_grad=True)
    operator(x).abs().square().sum().backward()
    gram = operator.matrix.mH @ operator.matrix
    torch.testing.assert_close(x.grad, 2 * (gram @ x.detach().to(torch.complex128)).real)


def test_gradients_pass_through_adjoints_and_compositions(dtype: torch.dtype) -> None:
    operator = random_matrix(3, 4, dtype) @ random_matrix(4, 5, dtype)
    for linear in (operator, operator.H, operator.gram):
        assert_linear(linear, 2, (2,))
        x = draw_pair(linear, (2,), dtype, 3)[0].requires_grad_()
        assert torch.autograd.gradcheck(linear, (x,))


def test_a_composition_with_one_complex_factor_is_complex() -> None:
    real, complex_ = random_matrix(3, 4), random_matrix(4, 5, torch.complex128)
    assert (real @ complex_).is_complex
    assert complex_.H.is_complex
    assert not real.gram.is_complex


def test_wrong_shapes_are_named() -> None:
    operator = random_matrix(4, 5)
    with pytest.raises(ValueError, match=r"Matrix: the domain is \(\.\.\., 5\), the tensor is \(2, 4\)"):
        operator(torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"the range is \(\.\.\., 4\), the tensor is \(5,\)"):
        operator.adjoint(torch.zeros(5))
    with pytest.raises(ValueError, match="cannot compose"):
        operator @ operator
    with pytest.raises(ValueError, match=r"cannot add: one domain is \(5,\), the other \(4,\)"):
        operator + operator.H
    with pytest.raises(TypeError):
        operator * "two"


def test_slices_pass_through_all_that_is_made_of_separable_operators(dtype: torch.dtype) -> None:
    one, other = weighting(dtype=dtype), weighting(seed=1)
    for operator in (one, one.H, one @ other, one + other, one - other, 3j * one, -one, one.gram):
        assert operator.separable
        assert_operator(operator)
        assert_slices(operator)


def test_an_operator_that_couples_slices_says_so() -> None:
    coupled = Coupled((3, 2, 2))
    assert_operator(coupled, batch=(2,))
    for operator in (coupled, coupled.H, coupled @ weighting((3, 2, 2)), 2 * coupled, coupled + coupled, coupled.gram):
        assert not operator.separable
        with pytest.raises(ValueError, match="couples its slices"):
            operator.slices(slice(0, 1))


def test_what_an_operator_does_not_know() -> None:
    operator = random_matrix(4, 5)
    y = torch.randn(4).double()
    assert operator.equivalent_problem(y) == (operator, y)
    assert operator.solve_normal(torch.zeros(5), 1.0) is None
    assert operator.mask is None
    with pytest.raises(ValueError, match="Matrix has no filtered adjoint"):
        operator.filtered_adjoint(y, "hann")


def test_a_norm_bound_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = random_matrix(4, 5)
    found = operator.norm_bound
    monkeypatch.setattr(Matrix, "_forward", None)
    assert operator.norm_bound == found == operator.H.norm_bound


@settings(deadline=None, max_examples=15)
@given(SIZES, SIZES, st.sampled_from([torch.float64, torch.complex128, torch.float32]))
def test_the_bound_from_a_random_start_is_one_and_not_far_off(rows: int, columns: int, dtype: torch.dtype) -> None:
    assert_norm_bound(random_matrix(rows, columns, dtype), loosest=1.2)


def test_bounds_leave_the_random_state_alone_and_are_the_same_again() -> None:
    torch.manual_seed(3)
    bounds = random_matrix(6, 4).norm_bound, random_matrix(6, 4).norm_bound
    drawn = torch.rand(3)
    torch.manual_seed(3)
    assert bounds[0] == bounds[1]
    assert torch.equal(torch.rand(3), drawn)


@settings(deadline=None, max_examples=40)
@given(SIZES, SIZES, SEEDS)
def test_perrons_bound_is_tight_without_negative_entries(rows: int, columns: int, seed: int) -> None:
    """Rows and columns of zeros included, as of rays that miss and pixels unseen."""
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.rand(rows, columns, dtype=torch.float64, generator=generator)
    matrix[torch.rand(rows, columns, generator=generator) < 0.3] = 0
    operator = Matrix(matrix)
    found = perron_bound(operator.gram, operator.domain, operator.dtype, operator.device)
    assert norm(operator) <= found * (1 + 1e-12)
    assert found <= 1.2 * norm(operator) + 1e-12


def test_nothing_has_the_norm_zero() -> None:
    nothing = Matrix(torch.zeros(3, 4))
    assert nothing.norm_bound == 0
    assert perron_bound(nothing.gram, (4,), torch.float32, nothing.device) == 0
    assert random_start_bound(nothing.gram, (4,), torch.float32, nothing.device) == 0


def test_results_are_tensors_of_their_own() -> None:
    operator = weighting()
    x, _ = double_pair(operator, 1)
    assert operator(x).data_ptr() != x.data_ptr()
