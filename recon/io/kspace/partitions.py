"""k-space of a volume with two phase encodings as slices: the readout is always sampled in full, and is transformed."""

from __future__ import annotations

import numpy as np


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
    notice = "two phase encodings: the readout was transformed, and slices are perpendicular to it"
    return along_partitions(slices), (notice,)
