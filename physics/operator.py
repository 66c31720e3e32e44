"""Linear operators on torch tensors, with their exact adjoints.

An operator maps the trailing axes of its input (its *domain*) to the trailing axes of its output
(its *range*); leading axes are a batch. Subclasses write ``_forward`` and ``_adjoint``; calling an
operator is differentiable, because the gradient of a linear map is its adjoint.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

Shape = tuple[int, ...]


class LinearOperator(ABC):
    """A linear map ``A`` between spaces of tensors.

    Attributes:
        domain: trailing shape that ``forward`` takes.
        range: trailing shape that ``forward`` returns.
        is_complex: whether the two spaces are complex.
    """

    domain: Shape
    range: Shape
    is_complex: bool = False

    @abstractmethod
    def _forward(self, x: Tensor) -> Tensor:
        """A x, for an ``x`` whose shape has been checked."""

    @abstractmethod
    def _adjoint(self, y: Tensor) -> Tensor:
        """Aᴴ y, for a ``y`` whose shape has been checked."""

    def __call__(self, x: Tensor) -> Tensor:
        """A x, shape (..., *range); ``ValueError`` if ``x`` is not (..., *domain)."""
        self._check(x, self.domain, "domain")
        return _Apply.apply(x, self)

    def forward(self, x: Tensor) -> Tensor:
        """A x: the same as calling the operator."""
        return self(x)

    def adjoint(self, y: Tensor) -> Tensor:
        """Aᴴ y, shape (..., *domain); ``ValueError`` if ``y`` is not (..., *range)."""
        self._check(y, self.range, "range")
        return _Apply.apply(y, self.H)

    @property
    def H(self) -> LinearOperator:  # noqa: N802 - the mathematical name
        """The adjoint operator."""
        return _Adjoint(self)

    @property
    def gram(self) -> LinearOperator:
        """AᴴA."""
        return self.H @ self

    def __matmul__(self, other: LinearOperator) -> LinearOperator:
        """The composition ``x -> self(other(x))``."""
        return _Composition(self, other)

    def _check(self, x: Tensor, shape: Shape, name: str) -> None:
        if tuple(x.shape[x.ndim - len(shape) :]) != shape:
            raise ValueError(
                f"{type(self).__name__}: the {name} is (..., {', '.join(map(str, shape))}), "
                f"the tensor is {tuple(x.shape)}"
            )


class _Apply(torch.autograd.Function):
    """Applies an operator; the backward pass is its adjoint (for complex tensors too: torch's
    gradient of a real loss is the conjugate Wirtinger derivative, which Aᴴ transports)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, operator: LinearOperator) -> Tensor:
        ctx.operator = operator
        return operator._forward(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.operator.adjoint(gradient), None


class _Adjoint(LinearOperator):
    def __init__(self, operator: LinearOperator) -> None:
        self.operator = operator
        self.domain, self.range = operator.range, operator.domain
        self.is_complex = operator.is_complex

    def _forward(self, x: Tensor) -> Tensor:
        return self.operator._adjoint(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.operator._forward(y)

    @property
    def H(self) -> LinearOperator:  # noqa: N802
        return self.operator


class _Composition(LinearOperator):
    def __init__(self, outer: LinearOperator, inner: LinearOperator) -> None:
        if outer.domain != inner.range:
            raise ValueError(f"cannot compose: the outer domain {outer.domain} is not the inner range {inner.range}")
        self.outer, self.inner = outer, inner
        self.domain, self.range = inner.domain, outer.range
        self.is_complex = outer.is_complex or inner.is_complex

    def _forward(self, x: Tensor) -> Tensor:
        return self.outer._forward(self.inner._forward(x))

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.inner._adjoint(self.outer._adjoint(y))
