"""Masks of zeros and ones in files."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from recon.errors import InputError
from recon.io.kspace.mask_file import read_mask_file

MASK = np.random.default_rng(0).random((10, 24)) < 0.3


@pytest.mark.parametrize("name", ["mask.npy", "mask.npz", "other.npz", "mask.h5", "mask"])
@pytest.mark.parametrize("columns_only", [False, True])
def test_a_mask_from_a_file(tmp_path: Path, name: str, columns_only: bool) -> None:
    stored = (MASK[0] if columns_only else MASK).astype(np.float32)
    path = tmp_path / name
    if name.endswith(".npz"):
        np.savez(path, **{path.stem: stored})
    elif name.endswith(".npy"):
        np.save(path, stored)
    else:
        with h5py.File(path, "w") as file:
            file["mask"] = stored
    np.testing.assert_array_equal(read_mask_file(path, MASK.shape), stored)  # type: ignore[arg-type]


def test_files_that_are_no_masks(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("mask")
    np.savez(tmp_path / "two.npz", a=np.ones(3), b=np.ones(3))
    np.save(tmp_path / "pickled.npy", np.array([None]), allow_pickle=True)
    os.mkfifo(tmp_path / "pipe.npy")
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    for name, words in (
        ("missing.npy", "no such file"),
        ("text.h5", "not a readable"),
        ("two.npz", "no array called 'mask'"),
        ("pickled.npy", "not a readable"),
        ("pipe.npy", "a pipe or device"),
        ("empty.h5", "no dataset 'mask'"),
    ):
        with pytest.raises(InputError, match=words):
            read_mask_file(tmp_path / name, (6, 8))
