"""The contract of linear operators: maps on torch tensors that know their spaces, adjoint, norm and slices.

**Shapes.** An operator maps a tensor of its ``domain`` to one of its ``range``, and both state the full shape of one
scan. An image is (z, y, x), even if it has one slice. CT data are (z, views, cells), MR data (z, coils, y, x), even of
one coil. Axes in front of these are a batch of scans that are mapped alike.

**To add an operator**, derive from :class:`LinearOperator`, set ``domain``, ``range``, ``dtype`` and ``device``, and
write ``_forward`` and ``_adjoint``. Both return new tensors, neither their argument nor a view of it. All else follows:
calls that check shapes, gradients through torch (the gradient of a linear map is its adjoint) and ``torch.func``
(``vjp``, ``jvp``, ``vmap``), ``A.H``, ``A @ B``, ``A + B``, ``A - B``, ``2 * A``, ``-A``, ``A.gram`` and
``A.norm_bound``. A real operator maps complex tensors part by part, and a complex one takes real tensors for complex
ones. Tensors of another precision, or of whole numbers, are mapped in the type that torch promotes both to, so that
``_forward`` and ``_adjoint`` must take any real (or complex) type that is at least as precise as ``dtype``.

**Slices.** A stack of slices of which each has its own data is ``separable``: axis 0 of the domain and axis 0 of the
range are the same slices, and ``A.slices(part)`` is the operator of some of them, which shares what A holds. A 3D
geometry is not separable: ``slices`` raises ``ValueError``, and solvers take the volume as one problem.

**What an operator may know.** Where it knows better than the base class, it overrides: ``mask``, which data were
measured; ``completed``, the same with what was not measured filled in; ``keeping``, a part of its data; ``unmasked``,
all data; ``views``, the operator of some views; ``_norm_bound``; ``equivalent_problem``, a cheaper form to iterate on;
``solve_normal``, the regularised inverse in closed form; ``direct``, a first image; ``filtered_adjoint``, a direct
reconstruction; ``slab_elements``, how much it likes at once.
Nothing outside of this package asks which class an operator is of.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from numbers import Complex, Real
from typing import Any

import torch
from torch import Tensor

from physics.norm import random_start_bound

Shape = tuple[int, ...]


class LinearOperator(ABC):
    """A linear map ``A`` between spaces of tensors; see the module's docstring for the contract.

    Attributes:
        domain: shape of an image, the trailing axes that ``forward`` takes.
        range: shape of the data, the trailing axes that ``forward`` returns.
        dtype: type of the elements of both spaces that A is made for, complex where the spaces are complex.
        device: device of the tensors that A takes.
        separable: whether A is a stack of independent slices, axis 0 of domain and range alike.
        mask: True where data were measured, broadcastable to ``range``, where A is zero elsewhere; None: everywhere.
        slab_elements: most elements of the slices of a slab that an iterative solver shall take at once.
        fast_gram: whether ``gram`` is much faster than A and then Aᴴ.
    """

    domain: Shape
    range: Shape
    dtype: torch.dtype = torch.float32
    device: torch.device = torch.device("cpu")
    separable: bool = False
    mask: Tensor | None = None
    slab_elements: int = 2**23
    fast_gram: bool = False
    _norm: float | None = None

    @abstractmethod
    def _forward(self, x: Tensor) -> Tensor:
        """A x, for an ``x`` whose shape has been checked."""

    @abstractmethod
    def _adjoint(self, y: Tensor) -> Tensor:
        """Aᴴ y, for a ``y`` whose shape has been checked."""

    def _slices(self, part: slice) -> LinearOperator:
        """A restricted to some slices; separable operators write it."""
        raise NotImplementedError

    def _norm_bound(self) -> float:
        """An upper bound of ‖A‖; operators that know a better one write it."""
        return random_start_bound(self.gram, self.domain, self.dtype, self.device)

    @property
    def is_complex(self) -> bool:
        """Whether the two spaces are complex."""
        return self.dtype.is_complex

    @property
    def norm_bound(self) -> float:
        """An upper bound of ‖A‖, computed once; by default from :func:`physics.norm.random_start_bound`."""
        if self._norm is None:
            self._norm = self._norm_bound()
        return self._norm

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

    def slices(self, part: slice) -> LinearOperator:
        """The operator of some slices alone, which shares what A holds.

        Raises:
            ValueError: the operator is not separable.
        """
        if not self.separable:
            raise ValueError(f"{type(self).__name__} couples its slices and cannot be restricted to some of them")
        return self._slices(part)

    def keeping(self, kept: Tensor) -> LinearOperator:
        """The operator of a part of the data, zero in place of the others; its ``mask`` is that part.

        Args:
            kept: bool, True where data are kept, of the shape of the trailing axes of one slice's data.
        """
        return _Kept(kept if self.mask is None else kept & self.mask, self.range, self.dtype) @ self

    def unmasked(self) -> LinearOperator:
        """The operator of all data, those outside of its mask too; A itself where nothing is left out.

        Raises:
            ValueError: the operator does not know the data that it leaves out.
        """
        if self.mask is None:
            return self
        raise ValueError(f"{type(self).__name__} does not know the data outside of its mask")

    def views(self, part: slice) -> LinearOperator:
        """The operator of some views alone, data (..., views, cells) of which only those of ``part`` are left.

        Raises:
            ValueError: the operator's data are not views.
        """
        raise ValueError(f"{type(self).__name__} has no views of which some could be taken alone")

    def equivalent_problem(self, y: Tensor) -> tuple[LinearOperator, Tensor]:
        """An operator B and data b with BᴴB = AᴴA, Bᴴb = Aᴴy and ‖Bx − b‖ = ‖Ax − y‖ for every x, where iterations
        may cost less; by default A and y themselves.

        Args:
            y: data (*range), zero where nothing was measured.
        """
        return self, y

    def completed(self, y: Tensor) -> tuple[LinearOperator, Tensor]:
        """An operator of all data, and ``y`` with what was not measured filled in, for direct reconstruction and
        networks that know no mask; by default A and y themselves.

        Args:
            y: data (*range), zero where nothing was measured.
        """
        return self, y

    def solve_normal(self, rhs: Tensor, weight: Tensor | float) -> Tensor | None:
        """The solution x of (AᴴA + weight) x = rhs where it has a closed form, differentiable in both; else None.

        Args:
            rhs: right-hand side, (*domain).
            weight: number above 0.
        """
        return None

    def direct(self, y: Tensor) -> Tensor:
        """A first image (*domain) at the scale of the image itself, in one step; by default Aᴴy.

        Args:
            y: data (*range), zero where nothing was measured.
        """
        return self.adjoint(y)

    def filtered_adjoint(self, y: Tensor, window: str) -> Tensor:
        """A direct reconstruction (*domain): the adjoint of filtered data.

        Args:
            y: data (*range).
            window: name of the filter's apodisation.

        Raises:
            ValueError: the operator has no such reconstruction, or not this window.
        """
        raise ValueError(f"{type(self).__name__} has no filtered adjoint (filtered backprojection)")

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

    def __add__(self, other: LinearOperator) -> LinearOperator:
        """The sum ``x -> self(x) + other(x)``."""
        return _Sum(self, other)

    def __sub__(self, other: LinearOperator) -> LinearOperator:
        """The difference ``x -> self(x) - other(x)``."""
        return _Sum(self, -other)

    def __mul__(self, factor: complex) -> LinearOperator:
        """The operator times a number, whose adjoint is Aᴴ times the conjugate number."""
        return _Scaled(factor, self) if isinstance(factor, Complex) else NotImplemented

    __rmul__ = __mul__

    def __neg__(self) -> LinearOperator:
        """The operator times -1."""
        return _Scaled(-1, self)

    def _check(self, x: Tensor, shape: Shape, name: str) -> None:
        if tuple(x.shape[x.ndim - len(shape) :]) != shape:
            raise ValueError(
                f"{type(self).__name__}: the {name} is (..., {', '.join(map(str, shape))}), "
                f"the tensor is {tuple(x.shape)}"
            )


class _Apply(torch.autograd.Function):
    """Applies an operator, under autograd and the transforms of ``torch.func`` alike.

    The backward pass is the adjoint (for complex tensors too: torch's gradient of a real loss is the conjugate
    Wirtinger derivative, which Aᴴ transports), the forward derivative is A itself, and vmap's axis is an axis of the
    batch.
    """

    @staticmethod
    def forward(x: Tensor, operator: LinearOperator) -> Tensor:
        return apply_to(operator, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, LinearOperator], output: Tensor) -> None:
        x, ctx.operator = inputs
        ctx.real = not x.is_complex()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        found = ctx.operator.adjoint(gradient)
        return (found.real if ctx.real and found.is_complex() else found), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        return _Apply.apply(tangent, ctx.operator)

    @staticmethod
    def vmap(info: Any, axes: tuple[int, None], x: Tensor, operator: LinearOperator) -> tuple[Tensor, int]:
        return _Apply.apply(x.movedim(axes[0], 0), operator), 0


def apply_to(operator: LinearOperator, x: Tensor) -> Tensor:
    """A x without a check of its shape and without a gradient, for operators that are made of others."""
    return _in_type(operator._forward, x, operator.dtype, operator.domain, operator.range)


def apply_adjoint(operator: LinearOperator, y: Tensor) -> Tensor:
    """Aᴴ y without a check of its shape and without a gradient, for operators that are made of others."""
    return _in_type(operator._adjoint, y, operator.dtype, operator.range, operator.domain)


def _in_type(apply: Callable[[Tensor], Tensor], x: Tensor, dtype: torch.dtype, start: Shape, end: Shape) -> Tensor:
    """A map from ``start`` to ``end`` that is made for ``dtype``, of tensors of any type and batch.

    The result has the type that torch promotes both types to. A real map takes complex tensors part by part, and a
    complex map takes real tensors for complex ones. An empty batch is not sent to the map: Fourier transforms refuse
    it.
    """
    kind = torch.promote_types(x.dtype, dtype)
    batch = x.shape[: x.ndim - len(start)]
    if 0 in batch:
        return x.new_zeros((*batch, *end), dtype=kind)
    if dtype.is_complex or not kind.is_complex:
        return apply(x.to(kind))
    return torch.complex(*(apply(part.contiguous().to(kind.to_real())) for part in (x.real, x.imag)))


class _Adjoint(LinearOperator):
    def __init__(self, operator: LinearOperator) -> None:
        self.operator = operator
        self.domain, self.range = operator.range, operator.domain
        self.dtype, self.device, self.separable = operator.dtype, operator.device, operator.separable

    def _forward(self, x: Tensor) -> Tensor:
        return self.operator._adjoint(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.operator._forward(y)

    def _slices(self, part: slice) -> LinearOperator:
        return self.operator.slices(part).H

    def _norm_bound(self) -> float:
        return self.operator.norm_bound

    @property
    def H(self) -> LinearOperator:  # noqa: N802
        return self.operator


class _Composition(LinearOperator):
    def __init__(self, outer: LinearOperator, inner: LinearOperator) -> None:
        if outer.domain != inner.range:
            raise ValueError(f"cannot compose: the outer domain {outer.domain} is not the inner range {inner.range}")
        self.outer, self.inner = outer, inner
        self.domain, self.range = inner.domain, outer.range
        self.dtype, self.device = torch.promote_types(outer.dtype, inner.dtype), inner.device
        self.separable, self.mask = outer.separable and inner.separable, outer.mask
        self.slab_elements = min(outer.slab_elements, inner.slab_elements)

    def _forward(self, x: Tensor) -> Tensor:
        return apply_to(self.outer, apply_to(self.inner, x))

    def _adjoint(self, y: Tensor) -> Tensor:
        return apply_adjoint(self.inner, apply_adjoint(self.outer, y))

    def _slices(self, part: slice) -> LinearOperator:
        return self.outer.slices(part) @ self.inner.slices(part)

    def views(self, part: slice) -> LinearOperator:
        return self.outer.views(part) @ self.inner

    def unmasked(self) -> LinearOperator:
        return self.inner.unmasked() if isinstance(self.outer, _Kept) else super().unmasked()

    def _norm_bound(self) -> float:
        return self.outer.norm_bound * self.inner.norm_bound


class _Kept(LinearOperator):
    """Sets data to zero where a mask is False."""

    separable = True
    mask: Tensor

    def __init__(self, mask: Tensor, shape: Shape, dtype: torch.dtype) -> None:
        if mask.dtype != torch.bool or tuple(shape[len(shape) - mask.ndim :]) != tuple(mask.shape):
            raise ValueError(f"a mask {mask.dtype} {tuple(mask.shape)} does not fit data {shape}; it must be bool")
        self.mask, self.domain, self.range = mask, shape, shape
        self.dtype, self.device = dtype, mask.device

    def _forward(self, x: Tensor) -> Tensor:
        return x * self.mask

    def _adjoint(self, y: Tensor) -> Tensor:
        return y * self.mask

    def _slices(self, part: slice) -> _Kept:
        return _Kept(self.mask, (len(range(*part.indices(self.domain[0]))), *self.domain[1:]), self.dtype)

    def _norm_bound(self) -> float:
        return 1.0


class _Sum(LinearOperator):
    def __init__(self, first: LinearOperator, second: LinearOperator) -> None:
        for name in ("domain", "range"):
            one, other = getattr(first, name), getattr(second, name)
            if one != other:
                raise ValueError(f"cannot add: one {name} is {one}, the other {other}")
        self.first, self.second = first, second
        self.domain, self.range, self.device = first.domain, first.range, first.device
        self.dtype = torch.promote_types(first.dtype, second.dtype)
        self.separable = first.separable and second.separable
        self.slab_elements = min(first.slab_elements, second.slab_elements)
        if first.mask is not None and second.mask is not None:
            self.mask = first.mask | second.mask

    def _forward(self, x: Tensor) -> Tensor:
        return apply_to(self.first, x) + apply_to(self.second, x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return apply_adjoint(self.first, y) + apply_adjoint(self.second, y)

    def _slices(self, part: slice) -> LinearOperator:
        return self.first.slices(part) + self.second.slices(part)

    def views(self, part: slice) -> LinearOperator:
        return self.first.views(part) + self.second.views(part)

    def _norm_bound(self) -> float:
        return self.first.norm_bound + self.second.norm_bound


class _Scaled(LinearOperator):
    def __init__(self, factor: complex, operator: LinearOperator) -> None:
        self.factor, self.operator = factor if isinstance(factor, Real) else complex(factor), operator
        self.domain, self.range, self.device = operator.domain, operator.range, operator.device
        self.dtype = operator.dtype
        if not isinstance(factor, Real):
            self.dtype = torch.promote_types(operator.dtype, torch.complex64)
        self.separable, self.mask, self.slab_elements = operator.separable, operator.mask, operator.slab_elements

    def _forward(self, x: Tensor) -> Tensor:
        return self.factor * apply_to(self.operator, x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.factor.conjugate() * apply_adjoint(self.operator, y)

    def _slices(self, part: slice) -> LinearOperator:
        return self.factor * self.operator.slices(part)

    def views(self, part: slice) -> LinearOperator:
        return self.factor * self.operator.views(part)

    def _norm_bound(self) -> float:
        return abs(self.factor) * self.operator.norm_bound
