"""3D k-space in arrays and plain HDF5: which axis is transformed, and what the slices are sampled at."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from physics.mr.cartesian import ifft2c
from physics.mr.cartesian_3d import fft3c
from recon.errors import InputError
from recon.io.kspace.file import read_kspace
from recon.io.kspace.partitions import separation_of
from recon.io.kspace.support import support_of

SHAPE = (8, 2, 12, 10)


def volume() -> tuple[torch.Tensor, np.ndarray]:
    """An image (z, coils, y, x) and its 3D k-space."""
    image = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)) + 0j
    return image, fft3c(image).numpy()


@pytest.mark.parametrize("suffix", [".npy", ".h5"])
@pytest.mark.parametrize("readout", [1, 2])
def test_partitions_that_are_undersampled(tmp_path: Path, suffix: str, readout: int) -> None:
    """The mask is that of the partitions and the phase encoding, and slices lie along the readout."""
    image, kspace = volume()
    phase = 3 - readout
    mask = np.random.default_rng(0).random((8, SHAPE[phase + 1])) < 0.5
    mask[3:6, 4:7] = True
    stored = kspace * np.expand_dims(mask, readout)[:, None]
    path = tmp_path / f"k{suffix}"
    if suffix == ".npy":
        np.save(path, stored.transpose(1, 0, 2, 3))
    else:
        with h5py.File(path, "w") as file:
            file["kspace"] = stored.transpose(1, 0, 2, 3)
    found = read_kspace(path, "cpyx")
    assert found.data.shape == (SHAPE[readout + 1], 2, 8, SHAPE[phase + 1])
    assert found.mask is not None
    np.testing.assert_array_equal(found.mask.numpy(), mask)
    whole = torch.from_numpy(kspace)
    np.save(tmp_path / "whole.npy", whole.numpy())
    complete = read_kspace(tmp_path / "whole.npy", "pcyx")
    torch.testing.assert_close(ifft2c(complete.data), image, atol=1e-5, rtol=1e-4)


def test_slices_beside_an_object_without_noise_are_sampled_as_the_others(tmp_path: Path) -> None:
    """Their samples are zero or a rounding error, by chance."""
    image = torch.zeros(8, 1, 16, 64, dtype=torch.complex64)
    image[..., 31:33] = torch.rand(8, 1, 16, 2, generator=torch.Generator().manual_seed(0))
    mask = np.random.default_rng(0).random((8, 16)) < 0.6
    mask[3:6, 6:11] = True
    np.save(tmp_path / "k.npy", fft3c(image).numpy() * mask[:, None, :, None])
    found = read_kspace(tmp_path / "k.npy", "pcyx")
    assert found.mask is not None
    np.testing.assert_array_equal(found.mask.numpy(), mask)


def test_zeros_tell_of_a_mask_a_slice_unless_slices_come_of_a_transform() -> None:
    data = np.ones((2, 1, 6, 8), np.complex64)
    data[1, ..., ::2] = 0
    with pytest.raises(InputError, match="the slices are sampled at different places"):
        support_of(Path("k.npy"), data, None)
    assert support_of(Path("k.npy"), data, None, alike=True).mask is None


def test_plain_hdf5_without_axes_says_what_to_do(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "k.h5", "w") as file:
        z, y, x = (np.arange(n) - n // 2 for n in (8, 12, 10))
        file["kspace"] = np.exp(-(z[:, None, None] ** 2) - (y[:, None] / 4) ** 2 - (x / 4) ** 2)[:, None] + 0j
    with pytest.raises(InputError, match="name that axis p in `axes`"):
        read_kspace(tmp_path / "k.h5")
    assert read_kspace(tmp_path / "k.h5", "pcyx").data.shape == (8, 1, 12, 10)
    with pytest.raises(InputError, match="`axes` cyx: names 3 axes"):
        read_kspace(tmp_path / "k.h5", "cyx")


def test_which_axis_separates() -> None:
    generator = np.random.default_rng(0)
    lines, path = generator.random((6, 7)) < 0.5, Path("k.npy")
    lines[0, 0] = True
    for axis in (0, 1, 2):
        found = separation_of(path, np.repeat(np.expand_dims(lines, axis), 5, axis))
        assert found.axis == axis
        np.testing.assert_array_equal(found.sampled, lines)
    echo = np.arange(5) > 1
    found = separation_of(path, lines[:, None] & echo[:, None])
    assert found.axis == 1
    assert "zero-filled" in " ".join(found.notices)
    with pytest.raises(InputError, match="undersampled along all three axes"):
        separation_of(path, generator.random((6, 7, 8)) < 0.5)
