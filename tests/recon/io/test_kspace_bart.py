"""BART's pairs of files, written from known images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from physics.mr.cartesian import fft2c, ifft2c
from recon.errors import InputError
from recon.io.detect import describe
from recon.io.kspace.file import read_any_kspace, read_kspace
from recon.io.kspace.request import KSpaceRequest


def write(path: Path, array: np.ndarray, dimensions: tuple[int, ...] | None = None) -> Path:
    stated = dimensions or array.shape
    path.with_suffix(".hdr").write_text(f"# Dimensions\n{' '.join(map(str, stated))} \n# Command\nfft 7 a b\n")
    array.astype(np.complex64).ravel(order="F").tofile(path.with_suffix(".cfl"))
    return path.with_suffix(".cfl")


def image(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) + 0j


def test_slices_and_coils(tmp_path: Path) -> None:
    data = fft2c(image(3, 2, 12, 10))
    stored = data.permute(2, 3, 1, 0).numpy().reshape(12, 10, 1, 2, *([1] * 9), 3)
    path = write(tmp_path / "scan.cfl", stored)
    for name in (path, path.with_suffix(".hdr")):
        torch.testing.assert_close(read_kspace(name).data, data)
    kspace = read_kspace(path)
    assert kspace.mask is None
    assert kspace.meta["spacing_known"] is False
    assert describe(path).format == "BART .cfl"


def test_two_phase_encodings_become_slices_along_the_readout(tmp_path: Path) -> None:
    volume = image(2, 8, 12, 10)  # coils, readout, first and second phase encoding
    along_readout = np.fft.fftshift(np.fft.fft(np.fft.ifftshift(volume, axes=1), axis=1, norm="ortho"), axes=1)
    stored = fft2c(torch.from_numpy(along_readout)).numpy()
    mask = np.random.default_rng(0).random((12, 10)) < 0.5
    mask[5:7, 4:6] = True
    path = write(tmp_path / "volume.cfl", (stored * mask).transpose(1, 2, 3, 0))
    kspace = read_kspace(path)
    assert kspace.data.shape == (8, 2, 12, 10)
    assert kspace.mask is not None
    np.testing.assert_array_equal(kspace.mask.numpy(), mask)
    whole = read_kspace(write(tmp_path / "whole.cfl", stored.transpose(1, 2, 3, 0)))
    np.testing.assert_allclose(ifft2c(whole.data).real, volume.transpose(0, 1).real, atol=1e-5)
    assert any("slices are perpendicular to it" in notice for notice in whole.notices)


def test_one_echo_and_the_average_of_time_frames(tmp_path: Path) -> None:
    data = fft2c(image(1, 2, 12, 10))
    stored = data.permute(2, 3, 1, 0).numpy().reshape(12, 10, 1, 2, 1, 1, *([1] * 4), 1)
    several = np.concatenate([stored, 2 * stored], axis=5)
    several = np.concatenate([several, 3 * several], axis=10)
    path = write(tmp_path / "scan.cfl", several)
    found = read_any_kspace(path, KSpaceRequest(contrast=1, repetition="average"))
    torch.testing.assert_close(found.data, 4 * data)
    with pytest.raises(InputError, match="2 different values of contrast; choose one with `contrast`"):
        read_kspace(path)


@pytest.mark.parametrize(
    ("dimensions", "message"),
    [
        ((12, 10, 1, 4), "bytes, but scan.hdr states"),
        ((12, 10, 1, 1, 1, 2), "2 different values of contrast"),
        ((12, 0), "numbers above 0"),
        ((1 << 30, 1 << 30), "bytes, but scan.hdr states"),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, dimensions: tuple[int, ...], message: str) -> None:
    path = write(tmp_path / "scan.cfl", fft2c(image(12, 20)).numpy(), dimensions)
    with pytest.raises(InputError, match=message):
        read_kspace(path)


def test_a_header_alone_or_of_another_kind(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.cfl", fft2c(image(12, 20)).numpy())
    path.with_suffix(".hdr").write_text("nothing")
    with pytest.raises(InputError, match="no BART header"):
        read_kspace(path)
    path.with_suffix(".hdr").unlink()
    with pytest.raises(InputError, match="no such file"):
        read_kspace(path)
