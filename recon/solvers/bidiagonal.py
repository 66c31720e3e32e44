"""The residuals of all Tikhonov weights from one sequence of products.

Golub and Kahan's bidiagonalisation of an operator, begun at the data, makes an orthonormal basis in which the least
squares problem with any weight is a small one (LSQR: Paige and Saunders 1982, ACM Trans Math Softw 8:43). After as many
steps its solutions are those of conjugate gradients on the normal equations, for every weight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from recon.solvers.krylov import inner, safe_ratio


class Axes(NamedTuple):
    """Number of trailing axes of one problem of a batch: of its images and of its data."""

    domain: int
    range: int


@dataclass(frozen=True)
class Bidiagonal:
    """A lower bidiagonal matrix B for each problem of a batch, with A V = U B and y = β₁ U e₁.

    Attributes:
        first: (problems,) β₁, the norm of the data.
        matrix: (problems, steps + 1, steps) B, float64.
    """

    first: Tensor
    matrix: Tensor

    def residual_power(self, damping: float) -> float:
        """Σ ‖A x − y‖² over all problems, x the minimiser of ‖A x − y‖² + damping ‖x‖² in the span of V.

        Args:
            damping: the weight, above 0.
        """
        transposed = self.matrix.mT
        data = torch.zeros_like(self.matrix[:, :, 0])
        data[:, 0] = self.first
        normal = transposed @ self.matrix + damping * torch.eye(self.matrix.shape[2], dtype=self.matrix.dtype)
        solved = torch.linalg.solve(normal, transposed @ data[:, :, None])
        return float((self.matrix @ solved - data[:, :, None]).square().sum())


def bidiagonalised(
    apply: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor], data: Tensor, steps: int, axes: Axes
) -> Bidiagonal:
    """Golub and Kahan's bidiagonalisation of A, begun at y.

    Args:
        apply: A.
        adjoint: its adjoint for the real part of the inner product.
        data: y, (..., range).
        steps: number of steps, each of one product with A and one with its adjoint.
        axes: number of trailing axes that make one problem, of the domain and of the range; the others are a batch.
    """
    left, first = _normalised(data, axes.range)
    right, alpha = _normalised(adjoint(left), axes.domain)
    diagonal, below = [alpha], list[Tensor]()
    for step in range(steps):
        if step:
            right, alpha = _normalised(adjoint(left) - _spread(below[-1], right, axes.domain) * right, axes.domain)
            diagonal.append(alpha)
        left, beta = _normalised(apply(right) - _spread(alpha, left, axes.range) * left, axes.range)
        below.append(beta)
    matrix = torch.zeros(len(first), steps + 1, steps, dtype=torch.float64)
    each = torch.arange(steps)
    matrix[:, each, each], matrix[:, each + 1, each] = (
        torch.stack(part, 1).double().cpu() for part in (diagonal, below)
    )
    return Bidiagonal(first.double().cpu(), matrix)


def _normalised(vector: Tensor, axes: int) -> tuple[Tensor, Tensor]:
    """Vectors of length 1, 0 where a vector is 0, and their lengths (problems,)."""
    length = inner(vector, vector, axes).sqrt()
    return vector * safe_ratio(torch.ones_like(length), length), length.flatten()


def _spread(factors: Tensor, vector: Tensor, axes: int) -> Tensor:
    """Factors (problems,) in a shape that scales the vectors of a batch."""
    return factors.reshape(*vector.shape[:-axes], *[1] * axes)
