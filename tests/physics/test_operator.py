"""The operator base class: shapes, adjoints, compositions and gradients, on a plain matrix."""

from __future__ import annotations

import pytest
import torch
from operators import assert_adjoint, assert_gradient_is_adjoint, dense, draw_pair, random_matrix


@pytest.fixture(params=[torch.float64, torch.complex128], ids=["real", "complex"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_leading_axes_are_a_batch(dtype: torch.dtype, batch: tuple[int, ...]) -> None:
    operator = random_matrix(4, 5, dtype)
    x, y = draw_pair(operator, batch, dtype, 1)
    assert operator(x).shape == (*batch, 4)
    assert operator.adjoint(y).shape == (*batch, 5)
    assert_adjoint(operator, x, y)
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


def test_gradients_pass_through_adjoints_and_compositions(dtype: torch.dtype) -> None:
    operator = random_matrix(3, 4, dtype) @ random_matrix(4, 5, dtype)
    for linear in (operator, operator.H, operator.gram):
        assert_gradient_is_adjoint(linear, *draw_pair(linear, (2,), dtype, 2))
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
