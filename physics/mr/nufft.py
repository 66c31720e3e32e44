"""The non-uniform Fourier transform of centred images: sums of exponentials at any coordinates, fast.

By FINUFFT (Barnett, Magland & af Klinteberg 2019) where it is installed, else by sigpy's, five to ten times slower with
the same accuracy. Both are accurate to :data:`ACCURACY`, and adjoint to one another up to rounding.
"""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import torch
from torch import Tensor

ACCURACY = {torch.complex64: 3e-6, torch.complex128: 1e-9}
"""Relative error that FINUFFT is asked for; sigpy's is 6e-6 with the width and oversampling below."""

COARSE = 1e-4
"""Relative error that is enough for weights, such as those of density compensation."""

_SIGPY = {"width": 6, "oversamp": 2.0}


class Nufft:
    """The transform x → Σ x(n) exp(−2πi k·n) / √N over the voxels n of (y, x) images, and its adjoint.

    Voxel n // 2 of an axis is at 0. With coordinates on the grid it is the centred orthonormal FFT.

    Args:
        coordinates: (points, 2) coordinates along y and x in cycles per voxel.
        shape: (y, x) of the images.
        back_end: ``"finufft"`` or ``"sigpy"``; None: the first of them that is installed.
        accuracy: relative error that FINUFFT is asked for; None: that of :data:`ACCURACY`.
    """

    def __init__(
        self,
        coordinates: Tensor,
        shape: tuple[int, int],
        back_end: str | None = None,
        accuracy: float | None = None,
    ) -> None:
        self.shape = shape
        self._points = coordinates.detach().cpu().double().numpy()
        self._scale = 1 / math.sqrt(shape[0] * shape[1])
        self.back_end, self._accuracy = back_end or fastest_back_end(), accuracy

    def forward(self, images: Tensor) -> Tensor:
        """(n, y, x) complex images to (n, points)."""
        values = images.detach().cpu().contiguous().numpy()
        found = self._finufft(values, 2) if self.back_end == "finufft" else self._sigpy(values)
        return torch.from_numpy(found).to(images.device, images.dtype) * self._scale

    def adjoint(self, samples: Tensor) -> Tensor:
        """(n, points) complex samples to (n, y, x)."""
        values = samples.detach().cpu().contiguous().numpy()
        found = self._finufft(values, 1) if self.back_end == "finufft" else self._sigpy_adjoint(values)
        return torch.from_numpy(found).to(samples.device, samples.dtype) * self._scale

    def _finufft(self, values: np.ndarray, kind: int) -> np.ndarray:
        import finufft

        real = values.real.dtype
        y, x = (np.ascontiguousarray(2 * np.pi * axis, dtype=real) for axis in self._points.T)
        accuracy = self._accuracy or ACCURACY[torch.complex64 if real == np.float32 else torch.complex128]
        # A grid only a quarter finer is four times faster, and as exact as that where little is asked for.
        options = {"eps": accuracy, "upsampfac": 1.25 if accuracy >= COARSE else 2.0}
        if kind == 2:
            return np.asarray(finufft.nufft2d2(y, x, values, isign=-1, **options)).reshape(len(values), -1)
        found = finufft.nufft2d1(y, x, values, self.shape, isign=1, **options)
        return np.asarray(found).reshape(len(values), *self.shape)

    def _sigpy(self, values: np.ndarray) -> np.ndarray:
        import sigpy

        return np.asarray(sigpy.nufft(values, self._sigpy_points(), **_SIGPY)) / self._scale

    def _sigpy_adjoint(self, values: np.ndarray) -> np.ndarray:
        import sigpy

        shape = (len(values), *self.shape)
        return np.asarray(sigpy.nufft_adjoint(values, self._sigpy_points(), shape, **_SIGPY)) / self._scale

    def _sigpy_points(self) -> np.ndarray:
        return self._points * np.asarray(self.shape)


def fastest_back_end() -> str:
    """The first of the back ends that is installed."""
    return "finufft" if importlib.util.find_spec("finufft") else "sigpy"
