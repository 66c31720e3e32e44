"""What every linear operator must satisfy, whichever modality it belongs to, in one line each; and the simplest ones.

``assert_adjoint``, ``assert_linear``, ``assert_norm_bound`` and ``assert_transforms`` draw what they need in double
precision; ``assert_operator`` asserts them all, ``assert_slices`` what else a separable operator owes.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from physics.operator import LinearOperator


class Matrix(LinearOperator):
    """A dense matrix on vectors: the simplest operator there is."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix, self.dtype = matrix, matrix.dtype
        self.range, self.domain = (matrix.shape[0],), (matrix.shape[1],)

    def _forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix.T.to(x.dtype)

    def _adjoint(self, y: Tensor) -> Tensor:
        return y @ self.matrix.conj().to(y.dtype)


class Weighting(LinearOperator):
    """Weights of every voxel (z, y, x), which keep no slice from the others."""

    separable = True

    def __init__(self, weights: Tensor) -> None:
        self.weights, self.dtype = weights, weights.dtype
        self.domain = self.range = tuple(weights.shape)

    def _forward(self, x: Tensor) -> Tensor:
        return self.weights * x

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.weights.conj() * y

    def _slices(self, part: slice) -> Weighting:
        return Weighting(self.weights[part])

    def _norm_bound(self) -> float:
        return float(self.weights.abs().amax())


class Coupled(LinearOperator):
    """Differences between neighbouring slices (z, y, x): an operator that couples them, as a 3D geometry does."""

    def __init__(self, shape: tuple[int, int, int], dtype: torch.dtype = torch.float64) -> None:
        self.domain, self.dtype = shape, dtype
        self.range = (2 * shape[0], *shape[1:])

    def _forward(self, x: Tensor) -> Tensor:
        return torch.cat([x - x.roll(1, -3), x], -3)

    def _adjoint(self, y: Tensor) -> Tensor:
        first, second = y.chunk(2, -3)
        return first - first.roll(-1, -3) + second


def random_matrix(rows: int, columns: int, dtype: torch.dtype = torch.float64) -> Matrix:
    return Matrix(torch.randn(rows, columns, dtype=dtype, generator=torch.Generator().manual_seed(rows)))


def draw_pair(operator: LinearOperator, batch: tuple[int, ...], dtype: torch.dtype, seed: int) -> tuple[Tensor, Tensor]:
    """Random elements (*batch, *domain) and (*batch, *range) of the two spaces."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn((*batch, *operator.domain), dtype=dtype, generator=generator)
    return x, torch.randn((*batch, *operator.range), dtype=dtype, generator=generator)


def double_pair(operator: LinearOperator, seed: int, batch: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
    """Random elements of the two spaces in double precision."""
    return draw_pair(operator, batch, torch.promote_types(operator.dtype, torch.float64), seed)


def dot(a: Tensor, b: Tensor) -> complex:
    """⟨a, b⟩ over all axes."""
    return complex(torch.vdot(a.flatten(), b.flatten()))


def assert_operator(operator: LinearOperator, seed: int = 0, batch: tuple[int, ...] = ()) -> None:
    """All that a linear operator owes."""
    assert_adjoint(operator, seed, batch)
    assert_linear(operator, seed, batch)
    assert_norm_bound(operator)
    assert_transforms(operator, seed)


def assert_adjoint(operator: LinearOperator, seed: int = 0, batch: tuple[int, ...] = ()) -> None:
    """⟨Ax, y⟩ = ⟨x, Aᴴy⟩ to 1e-6, relative to the norms that bound them; both have their spaces' shapes."""
    x, y = double_pair(operator, seed, batch)
    image, back = operator(x), operator.adjoint(y)
    assert (image.shape, back.shape) == (y.shape, x.shape)
    scale = max(float(image.norm() * y.norm()), float(x.norm() * back.norm()), torch.finfo(torch.float64).tiny)
    assert abs(dot(image, y) - dot(x, back)) <= 1e-6 * scale


def assert_linear(operator: LinearOperator, seed: int = 0, batch: tuple[int, ...] = ()) -> None:
    """A(x + c z) = Ax + c Az, x is neither overwritten nor handed through, the gradient of ½‖Ax − y‖² is Aᴴ(Ax − y)."""
    x, y = double_pair(operator, seed, batch)
    z, before, factor = double_pair(operator, seed + 1, batch)[0], x.clone(), 0.5 - 1.5j if operator.is_complex else 0.5
    image = operator(x)
    tolerance = {"rtol": 1e-6, "atol": 1e-9 * (1 + float(image.abs().amax()) if image.numel() else 1)}
    torch.testing.assert_close(operator(x + factor * z), image + factor * operator(z), **tolerance)
    image += 1
    assert torch.equal(x, before)
    x.requires_grad_()
    (0.5 * (operator(x) - y).abs().square().sum()).backward()
    expected = operator.adjoint(operator(x.detach()) - y)
    largest = float(expected.abs().amax()) if expected.numel() else 0.0
    torch.testing.assert_close(x.grad, expected, rtol=1e-6, atol=1e-9 * (1 + largest))


def assert_transforms(operator: LinearOperator, seed: int = 0) -> None:
    """``torch.func``, copies, empty batches and tensors of other types, as a linear map has them."""
    x, y = double_pair(operator, seed, (2,))
    image, back = operator(x), operator.adjoint(y)
    close = {"rtol": 1e-5, "atol": 1e-6 * (1 + float(image.abs().amax()) if image.numel() else 1)}
    torch.testing.assert_close(torch.func.vmap(operator, in_dims=1, out_dims=1)(x.movedim(0, 1)).movedim(1, 0), image)
    torch.testing.assert_close(torch.func.jvp(operator, (x,), (x,))[1], image)
    torch.testing.assert_close(torch.func.vjp(operator, x)[1](y)[0], back)
    each = torch.func.vmap(torch.func.grad(lambda one, other: dot_real(operator(one), other)))(x, y)
    torch.testing.assert_close(each, back)
    torch.testing.assert_close(copy.deepcopy(operator)(x), image)
    assert operator(x[:0]).shape == (0, *operator.range)
    assert operator.adjoint(y[:0]).shape == (0, *operator.domain)
    for kind in (torch.float16, torch.float32, torch.float64, torch.uint8, torch.bool, torch.complex128):
        other = (3 * x[0].real.abs()).to(kind)
        found = operator(other)
        assert found.dtype == torch.promote_types(kind, operator.dtype)
        torch.testing.assert_close(
            found, operator(other.to(torch.promote_types(kind, x.dtype))).to(found.dtype), **close
        )


def dot_real(a: Tensor, b: Tensor) -> Tensor:
    """Re⟨a, b⟩, whose gradient in ``a`` is ``b``."""
    return (a.conj() * b).real.sum() if a.is_complex() else (a * b).sum()


def assert_norm_bound(operator: LinearOperator, loosest: float | None = None) -> None:
    """‖A‖ is not above ``norm_bound``, of A and of Aᴴ; with ``loosest``, nor is the bound above so many times ‖A‖."""
    exact = norm(operator)
    assert exact <= operator.norm_bound * (1 + 1e-6)
    assert operator.H.norm_bound == operator.norm_bound
    if loosest is not None:
        assert operator.norm_bound <= loosest * exact


def assert_slices(operator: LinearOperator) -> None:
    """Each slice of a separable operator is an operator, and does to its slice what the whole does."""
    x, y = double_pair(operator, 3)
    for part in (slice(0, 1), slice(-2, None), slice(None)):
        some = operator.slices(part)
        assert (some.domain, some.range) == (tuple(x[part].shape), tuple(y[part].shape))
        torch.testing.assert_close(some(x[part]), operator(x)[part], rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(some.adjoint(y[part]), operator.adjoint(y)[part], rtol=1e-10, atol=1e-10)


def norm(operator: LinearOperator) -> float:
    """‖A‖ by singular values, in double precision: in single, those of a unitary matrix are up to 1e-6 too large."""
    matrix = dense(operator, torch.promote_types(operator.dtype, torch.float64))
    return float(torch.linalg.matrix_norm(matrix, 2)) if matrix.numel() else 0.0


def dense(operator: LinearOperator, dtype: torch.dtype) -> Tensor:
    """The operator as a (range, domain) matrix, column by column."""
    size = math.prod(operator.domain)
    basis = torch.eye(size, dtype=dtype).reshape(size, *operator.domain)
    return operator(basis).reshape(size, -1).T
