"""k-space in .npy and .npz files, and in our own format."""

from __future__ import annotations

import io
import itertools
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from physics.mr.cartesian import fft2c, ifft2c
from recon.errors import InputError
from recon.io.kspace import read_kspace, write_kspace
from recon.scan.kspace import KSpace

SIZES = {"z": 2, "c": 3, "y": 12, "x": 10}


def centred(*shape: int) -> torch.Tensor:
    """k-space of positive random images: its strongest sample is the zero frequency."""
    return fft2c(torch.rand(*shape, generator=torch.Generator().manual_seed(0)).to(torch.complex64))


ORDERS = ["".join(p) for n in (2, 3, 4) for p in itertools.permutations("zcyx", n) if {"y", "x"} <= set(p)]


@pytest.mark.parametrize("order", ORDERS)
def test_every_axis_order_ends_as_zcyx(tmp_path: Path, order: str) -> None:
    full = centred(*(SIZES[axis] if axis in order else 1 for axis in "zcyx"))
    names = [axis for axis in "zcyx" if axis in order]
    squeezed = full.reshape([SIZES[axis] for axis in names]).numpy()
    np.save(tmp_path / "k.npy", squeezed.transpose([names.index(axis) for axis in order]))
    kspace = read_kspace(tmp_path / "k.npy", order)
    assert torch.equal(kspace.data, full)
    assert kspace.mask is None
    assert kspace.meta["spacing_known"] is False


@pytest.mark.parametrize("form", ["yx", "x", "1x"])
def test_an_npz_mask_is_applied_and_must_fit(tmp_path: Path, form: str) -> None:
    full = centred(2, 3, 12, 10)
    columns = np.arange(10) % 3 == 2
    mask = {"yx": np.broadcast_to(columns, (12, 10)), "x": columns, "1x": columns[None]}[form]
    np.savez(tmp_path / "k.npz", kspace=full.numpy(), mask=mask)
    kspace = read_kspace(tmp_path / "k.npz", "zcyx")
    assert kspace.mask is not None
    assert torch.equal(kspace.mask, torch.from_numpy(np.broadcast_to(columns, (12, 10)).copy()))
    assert torch.equal(kspace.data, full * kspace.mask)
    assert kspace.meta["positions_outside_mask_set_to_zero"] == 12 * 7
    for wrong in (np.ones(9), np.ones((10, 12)), np.ones((2, 12, 10)), np.float64(1)):
        np.savez(tmp_path / "k.npz", kspace=full.numpy(), mask=wrong)
        with pytest.raises(InputError, match="the mask is"):
            read_kspace(tmp_path / "k.npz", "zcyx")
    for wrong, words in ((np.full(10, 0.5), "0 and 1"), (np.zeros(10), "empty")):
        np.savez(tmp_path / "k.npz", kspace=full.numpy(), mask=wrong)
        with pytest.raises(InputError, match=words):
            read_kspace(tmp_path / "k.npz", "zcyx")


def test_a_mask_follows_the_order_of_the_axes(tmp_path: Path) -> None:
    full = centred(1, 1, 12, 10)
    mask = torch.rand(12, 10) < 0.5
    mask[6, 5] = True
    np.savez(tmp_path / "k.npz", kspace=full[0, 0].numpy().T, mask=mask.numpy().T)
    kspace = read_kspace(tmp_path / "k.npz", "xy")
    assert kspace.mask is not None
    assert torch.equal(kspace.mask, mask)


def test_zeros_inside_mean_undersampled_and_zeros_at_the_edge_mean_padded(tmp_path: Path) -> None:
    full = centred(1, 2, 12, 10)
    full[..., :2] = full[..., -1:] = 0
    np.save(tmp_path / "k.npy", full.numpy())
    assert read_kspace(tmp_path / "k.npy", "zcyx").mask is None
    full[..., 4] = 0
    np.save(tmp_path / "k.npy", full.numpy())
    kspace = read_kspace(tmp_path / "k.npy", "zcyx")
    assert kspace.mask is not None
    assert kspace.mask.all(0).tolist() == [False, False, True, True, False, True, True, True, True, False]
    assert kspace.meta["mask_from"] == "samples that are zero"


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("exploded"),)  # type: ignore[return-value]


def saved(array: object) -> Callable[[Path], object]:
    return lambda path: np.save(path, array, allow_pickle=True)  # type: ignore[arg-type]


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


DATA = centred(2, 3, 12, 10).numpy()
SPOILT = DATA.copy()
SPOILT[0, 0, 0, :2] = np.nan
BAD: dict[str, tuple[Callable[[Path], object], str | None, str]] = {
    "no_axes": (saved(DATA), None, "shape (2, 3, 12, 10) needs its axis order: give `axes`, such as `axes` zcyx"),
    "too_few_axes": (saved(DATA), "cyx", "names 3 axes"),
    "no_x": (saved(DATA), "zcyy", "must hold y and x"),
    "unknown_axis": (saved(DATA), "tcyx", "must hold y and x"),
    "real": (saved(DATA.real), "zcyx", "array of float32"),
    "nan": (saved(SPOILT), "zcyx", "2 of 720 values"),
    "zero": (saved(DATA * 0), "zcyx", "zero everywhere"),
    "corner": (saved(np.fft.ifftshift(DATA, (-2, -1))), "zcyx", "np.fft.fftshift"),
    "pickled": (saved(np.array([Bomb()], object)), "x", "not a readable"),
    "truncated": (lambda p: p.write_bytes(npy(DATA)[:-9]), "zcyx", "not a readable"),
    "not_a_zip": (lambda p: p.write_bytes(b"PK\x03\x04rubbish"), "zcyx", "not a readable"),
    "raw_pickle": (lambda p: p.write_bytes(pickle.dumps(Bomb())), "zcyx", "no k-space file"),
    "empty": (Path.touch, "zcyx", "empty"),
    "missing": (lambda p: None, "zcyx", "no such file"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_get_one_line_and_run_no_code(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make, axes, words = BAD[case]
    make(tmp_path / "k.npy")
    with pytest.raises(InputError) as caught:
        read_kspace(tmp_path / "k.npy", axes)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "exploded").exists()


def test_an_npz_with_several_candidates_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "k.npz", one=DATA, two=DATA)
    with pytest.raises(InputError, match=r"which array.*one .*two"):
        read_kspace(tmp_path / "k.npz", "zcyx")
    np.savez(tmp_path / "k.npz", sensitivities=DATA.real, measured=DATA)
    assert read_kspace(tmp_path / "k.npz", "zcyx").data.shape == DATA.shape


def test_a_damaged_npz_is_refused_or_whole(tmp_path: Path) -> None:
    path = tmp_path / "k.npz"
    np.savez_compressed(path, kspace=DATA)
    whole = path.read_bytes()
    for offset in range(0, len(whole), 41):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0xFF]) + whole[offset + 1 :])
        try:
            kspace = read_kspace(path, "zcyx")
        except InputError:
            continue
        np.testing.assert_array_equal(kspace.data, DATA)


def test_the_real_eight_coil_brain(shared: Path) -> None:
    path = shared / "data/mr/test/brain_8ch_kspace.npz"
    kspace = read_kspace(path, "cyx")
    assert kspace.data.shape == (1, 8, 230, 180)
    image = ifft2c(kspace.data).abs().square().sum(1).sqrt()[0]
    centre, corner = image[90:140, 65:115].mean(), image[:15, :15].mean()
    assert centre > 4 * corner  # a head in the middle of the picture: the k-space was centred


@settings(deadline=None, max_examples=20)
@given(
    st.integers(1, 3), st.integers(1, 3), st.tuples(st.integers(4, 9), st.integers(4, 9)), st.booleans(), st.booleans()
)
def test_own_format_round_trip(
    tmp_path_factory: pytest.TempPathFactory, z: int, coils: int, matrix: tuple[int, int], masked: bool, cropped: bool
) -> None:
    path = tmp_path_factory.mktemp("own") / "k.h5"
    y, x = matrix
    mask = torch.arange(x).expand(y, x) % 2 == 1 if masked else None
    image_shape = (y - 1, x - 1) if cropped else None
    affine = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]])
    kspace = KSpace(
        data=centred(z, coils, y, x) * (1 if mask is None else mask),
        affine=affine,
        mask=mask,
        image_shape=image_shape,
        reference=torch.rand(z, *(image_shape or (y, x))),
        meta={"simulated": True, "seed": 4, "spacing_known": True},
    )
    write_kspace(path, kspace)
    back = read_kspace(path)
    assert torch.equal(back.data, kspace.data)
    assert back.reference is not None
    assert torch.equal(back.reference, kspace.reference)  # type: ignore[arg-type]
    assert (back.mask is None) == (mask is None)
    assert mask is None or torch.equal(back.mask, mask)  # type: ignore[arg-type]
    assert back.image_shape == image_shape
    np.testing.assert_array_equal(back.affine, affine)
    assert {**kspace.meta, **back.meta} == back.meta
    with h5py.File(path) as file:
        assert file["kspace"].ndim == (3 if coils == 1 else 4)  # fastMRI's layout
        assert ("reconstruction_esc" in file) == (coils == 1)


def test_own_format_bad_files(tmp_path: Path) -> None:
    path = tmp_path / "k.h5"
    kspace = KSpace(centred(2, 1, 12, 10), np.eye(4))
    changes: list[tuple[Callable[[h5py.File], None], str]] = [
        (lambda f: f.attrs.__delitem__("affine"), "'affine'"),
        (lambda f: f.attrs.__setitem__("affine", np.zeros((4, 4))), "voxel size"),
        (lambda f: f.attrs.__setitem__("version", 9), "version 9"),
        (lambda f: f.attrs.__setitem__("image_shape", "x"), "image_shape"),
        (lambda f: f.create_dataset("mask", data=np.ones(9)), "the mask is"),
        (lambda f: f.create_dataset("reconstruction_esc", data=np.random.rand(1, 12, 10)), "reference image"),
        (lambda f: f.__delitem__("kspace"), "no dataset 'kspace'"),
    ]
    for change, words in changes:
        write_kspace(path, kspace)
        with h5py.File(path, "r+") as file:
            change(file)
        with pytest.raises(InputError, match=words):
            read_kspace(path)
    write_kspace(path, kspace)
    with pytest.raises(InputError, match="states its axes itself"):
        read_kspace(path, "zyx")
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InputError, match="truncated"):
        read_kspace(path)
