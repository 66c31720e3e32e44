"""What the MR encodings have in common: AᴴA that is applied in one go, and coil sensitivities."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from physics.operator import LinearOperator


class EncodingWithGram(LinearOperator):
    """An encoding that applies AᴴA faster than by A and then Aᴴ."""

    @abstractmethod
    def apply_gram(self, x: Tensor) -> Tensor:
        """AᴴA x, (..., *domain) to the same."""

    @property
    def gram(self) -> LinearOperator:
        """AᴴA, applied by :meth:`apply_gram`."""
        return _Gram(self)


class _Gram(LinearOperator):
    def __init__(self, encoding: EncodingWithGram) -> None:
        self._encoding = encoding
        self.domain = self.range = encoding.domain
        self.dtype, self.device = encoding.dtype, encoding.device
        self.separable, self.slab_elements = encoding.separable, encoding.slab_elements

    def _slices(self, part: slice) -> LinearOperator:
        return self._encoding.slices(part).gram

    def _norm_bound(self) -> float:
        return self._encoding.norm_bound**2

    def _forward(self, x: Tensor) -> Tensor:
        return self._encoding.apply_gram(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._encoding.apply_gram(y)


def to_coils(x: Tensor, maps: Tensor | None) -> Tensor:
    """S x: (..., z, y, x) images to (..., z, coils, y, x), a view of ``x`` for one uniform coil (no maps)."""
    coils = x.unsqueeze(-3)
    return coils if maps is None else coils * maps


def from_coils(coils: Tensor, maps: Tensor | None) -> Tensor:
    """Sᴴ: (..., z, coils, y, x) coil images to (..., z, y, x)."""
    return coils.squeeze(-3) if maps is None else (coils * maps.conj()).sum(-3)


def largest_sensitivity(maps: Tensor | None) -> float:
    """‖S‖, the root of the largest Σ|S|² of a voxel; 1 for normalised maps or one uniform coil."""
    return 1.0 if maps is None else float(maps.abs().square().sum(1).amax().sqrt())


def check_maps(maps: Tensor | None, shape: tuple[int, ...], slices: int | None) -> None:
    """``ValueError`` unless maps are (z, coils, *shape) for so many slices (None: any number)."""
    if maps is None:
        return
    if maps.ndim != 4 or tuple(maps.shape[-2:]) != tuple(shape):
        raise ValueError(
            f"the coil sensitivity maps must be (z, coils, {shape[0]}, {shape[1]}), not {tuple(maps.shape)}"
        )
    if slices not in (None, len(maps)):
        raise ValueError(f"`slices` {slices}: the coil sensitivity maps have {len(maps)} slices")
