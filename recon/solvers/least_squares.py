"""½‖Ax − b‖² for solvers that go by its gradient: through A and Aᴴ, or through AᴴA where that is faster.

‖Ax − b‖² = ‖b‖² − ⟨x, Aᴴb⟩ + ⟨x, AᴴAx − Aᴴb⟩ takes inner products only, once the gradient is known, where the
definition takes another transform. But it is a difference of almost equal numbers where little is left, and no measure
then.
"""

from __future__ import annotations

import torch
from torch import Tensor

from physics.operator import LinearOperator
from recon.solvers.slabs import norm

_TRUSTED = 1e-5
"""Share of the energy of the data above which inner products tell that of the residual; they are right to 1e-6."""


class LeastSquares:
    """½‖Ax − b‖².

    Args:
        operator: A.
        data: b, (*range).

    Attributes:
        rhs: Aᴴb.
    """

    def __init__(self, operator: LinearOperator, data: Tensor) -> None:
        self._operator, self._data = operator, data
        self._gram, self._energy = operator.gram, _inner(data, data)
        # In double precision, since the adjoint of a transform off the grid is not as exact as AᴴA by convolution.
        exact = operator.adjoint(data.to(torch.complex128) if operator.fast_gram else data)
        self._exact, self.rhs = exact, exact.to(data.dtype)

    def gradient(self, x: Tensor) -> tuple[Tensor, float]:
        """Aᴴ(Ax − b), and ‖Ax − b‖."""
        if self._operator.fast_gram:
            gradient = self._gram(x) - self.rhs
            return gradient, self.residual(x, gradient)
        residual = self._operator(x).sub_(self._data)
        return self._operator.adjoint(residual), norm(residual)

    def residual(self, x: Tensor, gradient: Tensor) -> float:
        """‖Ax − b‖ of an estimate whose gradient is known."""
        square = self._energy - _inner(x, self._exact) + _inner(x, gradient)
        return square**0.5 if square > _TRUSTED * self._energy else norm(self._operator(x) - self._data)


def _inner(a: Tensor, b: Tensor) -> float:
    """Re⟨a, b⟩ in double precision, for differences of almost equal numbers."""
    return float((torch.view_as_real(a).double() * torch.view_as_real(b)).sum())
