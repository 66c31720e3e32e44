"""HDF5 files that reach into others, or declare what they do not hold: refused everywhere they are opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from datasets.sets.fastmri import FastMRIKnee
from recon.errors import InputError
from recon.io import checks
from recon.io.detect import describe, detect
from recon.io.hdf5 import member, open_hdf5
from recon.io.kspace.file import read_kspace
from recon.io.kspace.mask_file import read_mask_file
from recon.io.sinogram import read_sinogram

SECRET = np.arange(60, dtype=np.float32).reshape(3, 4, 5)


def external_link(file: h5py.File, name: str, secret: Path) -> None:
    file[name] = h5py.ExternalLink(str(secret), "/secret")


def soft_link_to_an_external_one(file: h5py.File, name: str, secret: Path) -> None:
    file["elsewhere"] = h5py.ExternalLink(str(secret), "/")
    file[name] = h5py.SoftLink("/elsewhere/secret")


def external_storage(file: h5py.File, name: str, secret: Path) -> None:
    file.create_dataset(name, SECRET.shape, "u1", external=[(str(secret), 0, SECRET.size)])


def virtual(file: h5py.File, name: str, secret: Path) -> None:
    layout = h5py.VirtualLayout(SECRET.shape, "f4")
    layout[:] = h5py.VirtualSource(str(secret), "secret", SECRET.shape)
    file.create_virtual_dataset(name, layout)


REACHING = {
    "external_link": (external_link, "link to another file"),
    "soft_then_external": (soft_link_to_an_external_one, "link to another file"),
    "external_storage": (external_storage, "lie in other files"),
    "virtual": (virtual, "lie in other files"),
}
READERS: dict[str, Callable[[Path], object]] = {
    "sinogram": read_sinogram,
    "kspace": read_kspace,
    "mask": lambda path: read_mask_file(path, (12, 5)),
}


@pytest.mark.parametrize("case", REACHING)
@pytest.mark.parametrize("name", READERS)
def test_nothing_of_another_file_is_read(tmp_path: Path, name: str, case: str) -> None:
    make, words = REACHING[case]
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["secret"] = SECRET
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        make(file, name, tmp_path / "secret.h5")
    with pytest.raises(InputError, match=words):
        READERS[name](tmp_path / "scan.h5")
    if name != "mask":
        assert words in (describe(tmp_path / "scan.h5").problem or "")


def test_groups_behind_external_links_are_not_looked_into(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file.create_group("dataset/xml")
        file.create_group("dataset/data")
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["dataset"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/dataset")
    with pytest.raises(InputError, match="it holds dataset"):
        detect(tmp_path / "scan.h5")


def test_a_reference_that_is_a_link_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "singlecoil_val").mkdir()
    with h5py.File(tmp_path / "singlecoil_val" / "a.h5", "w") as file:
        file["reconstruction_esc"] = h5py.ExternalLink("b.h5", "/secret")
    assert FastMRIKnee(tmp_path).cases()[0].details == {"reference": "no"}


def test_links_within_a_file_are_followed_unless_they_go_round(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/data"] = SECRET
        file["here"] = h5py.SoftLink("/group/data")
        file["round"] = h5py.SoftLink("/and")
        file["and"] = h5py.SoftLink("/round")
    with open_hdf5(tmp_path / "a.h5") as file:
        found = member(tmp_path / "a.h5", file, "here")
        assert isinstance(found, h5py.Dataset)
        np.testing.assert_array_equal(found[()], SECRET)
        with pytest.raises(InputError, match="round in a circle"):
            member(tmp_path / "a.h5", file, "round")


@pytest.mark.parametrize("chunks", [None, (1, 100, 100)])
def test_a_dataset_that_was_never_written_is_refused_before_it_is_read(tmp_path: Path, chunks: tuple[int, ...]) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("kspace", (10**6, 1000, 1000), "c8", chunks=chunks)
    with pytest.raises(InputError, match="never written whole"):
        read_kspace(tmp_path / "a.h5")


def test_a_dataset_that_unpacks_to_far_more_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "SMALL", 1 << 16)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("kspace", data=np.zeros((16, 64, 64), "c8"), compression="gzip", compression_opts=9)
    with pytest.raises(InputError, match="are no scan"):
        read_kspace(tmp_path / "a.h5")


def test_a_mask_larger_than_kspace_is_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", np.ones(100))
    np.savez(tmp_path / "mask.npz", mask=np.ones(100))
    with h5py.File(tmp_path / "mask.h5", "w") as file:
        file["mask"] = np.ones(100)
    for name in ("mask.npy", "mask.npz", "mask.h5"):
        with pytest.raises(InputError, match=r"the mask is \(100,\), but k-space is 4 × 5"):
            read_mask_file(tmp_path / name, (4, 5))
