"""What every linear operator must satisfy, whichever modality it belongs to, and the simplest one."""

from __future__ import annotations

import torch
from torch import Tensor

from physics.operator import LinearOperator


class Matrix(LinearOperator):
    """A dense matrix on vectors: the simplest operator there is."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix, self.dtype = matrix, matrix.dtype
        self.range, self.domain = (matrix.shape[0],), (matrix.shape[1],)
        self.is_complex = matrix.is_complex()

    def _forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix.T

    def _adjoint(self, y: Tensor) -> Tensor:
        return y @ self.matrix.conj()


def random_matrix(rows: int, columns: int, dtype: torch.dtype = torch.float64) -> Matrix:
    return Matrix(torch.randn(rows, columns, dtype=dtype, generator=torch.Generator().manual_seed(rows)))


def draw_pair(operator: LinearOperator, batch: tuple[int, ...], dtype: torch.dtype, seed: int) -> tuple[Tensor, Tensor]:
    """Random elements (*batch, *domain) and (*batch, *range) of the two spaces."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn((*batch, *operator.domain), dtype=dtype, generator=generator)
    return x, torch.randn((*batch, *operator.range), dtype=dtype, generator=generator)


def dot(a: Tensor, b: Tensor) -> complex:
    """⟨a, b⟩ over all axes."""
    return complex(torch.vdot(a.flatten(), b.flatten()))


def assert_adjoint(operator: LinearOperator, x: Tensor, y: Tensor, relative: float = 1e-6) -> None:
    """⟨Ax, y⟩ = ⟨x, Aᴴy⟩, relative to the norms that bound them."""
    image, back = operator(x), operator.adjoint(y)
    scale = max(float(image.norm() * y.norm()), float(x.norm() * back.norm()), torch.finfo(torch.float64).tiny)
    assert abs(dot(image, y) - dot(x, back)) <= relative * scale


def assert_gradient_is_adjoint(operator: LinearOperator, x: Tensor, y: Tensor) -> None:
    """The gradient of ½‖Ax − y‖² is Aᴴ(Ax − y)."""
    x = x.clone().requires_grad_()
    (0.5 * (operator(x) - y).abs().square().sum()).backward()
    expected = operator.adjoint(operator(x.detach()) - y)
    torch.testing.assert_close(x.grad, expected, rtol=1e-6, atol=1e-9 * (1 + float(expected.abs().max())))


def dense(operator: LinearOperator, dtype: torch.dtype) -> Tensor:
    """The operator as a (range, domain) matrix, column by column."""
    size = int(torch.tensor(operator.domain).prod())
    basis = torch.eye(size, dtype=dtype).reshape(size, *operator.domain)
    return operator(basis).reshape(size, -1).T
