"""3D k-space as slices: an axis along which it is sampled in full is transformed, and the others make slices.

A readout always is such an axis, so that scans with two phase encodings, undersampled along both, become slices
perpendicular to the readout, each with the mask of the two phase encodings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recon.errors import InputError

_ZERO_FILLED = "the readout is asymmetric: it was zero-filled before it was transformed"
_TRANSFORMED = "two phase encodings: the readout was transformed, and slices are perpendicular to it"


def along_partitions(data: np.ndarray) -> np.ndarray:
    """Centred orthonormal inverse FFT along the first axis: fully sampled partitions become slices."""
    image = np.fft.ifft(np.fft.ifftshift(data, axes=0), axis=0, norm="ortho")
    return np.fft.fftshift(image, axes=0).astype(np.complex64)


def slices_of_volume(kspace: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """(coils, readout, first, second phase encoding) as (readout, coils, first, second), and what was done in words.

    Of a readout of one sample, which was transformed already, the one slice is taken as it is.
    """
    slices = np.ascontiguousarray(kspace.swapaxes(0, 1))
    if len(slices) == 1:
        return slices, ()
    return along_partitions(slices), (_TRANSFORMED,)


@dataclass(frozen=True)
class Separation:
    """How 3D k-space (kz, coils, ky, kx) becomes slices.

    Attributes:
        axis: the axis that is transformed: 0 kz, 1 ky, 2 kx.
        sampled: bool over the other two axes, what every slice is sampled at.
        notices: what is done, in words.
    """

    axis: int
    sampled: np.ndarray
    notices: tuple[str, ...] = ()

    def slices(self, data: np.ndarray) -> np.ndarray:
        """(kz, coils, ky, kx) as (slices, coils, ·, ·), the other two axes in their order."""
        order = {0: (0, 1, 2, 3), 1: (2, 1, 0, 3), 2: (3, 1, 0, 2)}[self.axis]
        return np.ascontiguousarray(along_partitions(data.transpose(order)))


def separation_of(path: Path, sampled: np.ndarray, readout: int = 1) -> Separation:
    """The axis along which samples (kz, ky, kx) are complete: the partitions, the readout, or the third.

    Args:
        path: the file, for messages.
        sampled: bool, True where there are samples.
        readout: axis of the readout, which may be asymmetric: 1 or 2.

    Raises:
        InputError: undersampled along all three axes.
    """
    third = 3 - readout
    for axis in (0, readout, third):
        every = np.asarray(sampled.all(axis))
        if (sampled.any(axis) == every).all():
            return Separation(axis, every, () if axis == 0 else (_TRANSFORMED,))
    lines, taken = np.asarray(sampled.any(readout)), np.asarray(sampled.any(tuple({0, 1, 2} - {readout})))
    product = np.expand_dims(lines, readout) & taken.reshape([-1 if k == readout else 1 for k in range(3)])
    if (product == sampled).all():
        return Separation(readout, lines, (_TRANSFORMED, _ZERO_FILLED))
    raise InputError(
        f"{path}: 3D k-space that is undersampled along all three axes; the readout, one of them at least, must be "
        "sampled alike in every line"
    )


def central(values: np.ndarray, count: int) -> np.ndarray:
    """The central slices (the first axis), where a readout is oversampled."""
    first = (len(values) - count) // 2
    return values[first : first + count]
