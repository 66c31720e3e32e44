"""k-space in .npy and .npz files, and in our own format."""

from __future__ import annotations

import io
import itertools
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from physics.mr.cartesian import fft2c, ifft2c
from priors.weights import matlab_size
from priors.weights.matconvnet import load_matconvnet
from recon.errors import InputError
from recon.io import checks
from recon.io.detect import describe
from recon.io.kspace.file import read_kspace, write_kspace
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


def test_zeros_here_and_there_are_values(tmp_path: Path) -> None:
    full = centred(1, 2, 32, 32)
    full[..., 3, 5] = full[..., 20, 9] = 0
    np.save(tmp_path / "k.npy", full.numpy())
    kspace = read_kspace(tmp_path / "k.npy", "zcyx")
    assert (kspace.mask, kspace.acquired) == (None, None)


@pytest.mark.parametrize(("axis", "name"), [(0, "slices"), (1, "coils")])
@pytest.mark.parametrize("stated", [False, True])
def test_a_mask_a_slice_or_coil_is_never_united(tmp_path: Path, axis: int, name: str, stated: bool) -> None:
    full = centred(4, 4, 24, 20)
    for k in range(4):
        other = torch.arange(20) % 4 != k
        other[8:12] = False
        full.select(axis, k)[..., other] = 0
    arrays = {"kspace": full.numpy()} | ({"mask": np.ones(20)} if stated else {})
    np.savez(tmp_path / "k.npz", **arrays)
    with pytest.raises(InputError, match=f"the {name} are sampled at different places"):
        read_kspace(tmp_path / "k.npz", "zcyx")


def test_dead_coils_and_empty_slices_are_no_masks(tmp_path: Path) -> None:
    full = centred(3, 4, 24, 20)
    full[:, 1] = 0
    full[2] = 0
    np.save(tmp_path / "k.npy", full.numpy())
    kspace = read_kspace(tmp_path / "k.npy", "zcyx")
    assert (kspace.mask, kspace.acquired) == (None, None)


@pytest.mark.parametrize("axis", [-1, -2])
def test_partial_fourier_is_recognised(tmp_path: Path, axis: int) -> None:
    full = centred(2, 3, 40, 40)
    full.narrow(axis, 0, 14)[:] = 0
    np.save(tmp_path / "k.npy", full.numpy())
    kspace = read_kspace(tmp_path / "k.npy", "zcyx")
    assert kspace.mask is None
    assert kspace.partial_fourier
    assert kspace.acquired is not None
    assert kspace.acquired.float().mean() == pytest.approx(26 / 40)
    assert "partial Fourier" in kspace.notices[-1]


def test_padding_is_told_apart(tmp_path: Path) -> None:
    full = centred(2, 1, 40, 40)
    full[..., :6] = full[..., 34:] = 0
    np.save(tmp_path / "k.npy", full.numpy())
    kspace = read_kspace(tmp_path / "k.npy", "zcyx")
    assert (kspace.mask, kspace.partial_fourier) == (None, False)
    assert kspace.acquired is not None
    assert kspace.acquired.all(0).nonzero().flatten().tolist() == list(range(6, 34))
    assert "the padding counts as no sample" in kspace.notices[-1]


@pytest.mark.parametrize(("axis", "name"), [(-1, "x"), (-2, "y")])
def test_one_axis_that_was_not_shifted_is_named(tmp_path: Path, axis: int, name: str) -> None:
    np.save(tmp_path / "k.npy", np.fft.ifftshift(DATA, axis))
    with pytest.raises(InputError, match=f"at the edge of axis {name}"):
        read_kspace(tmp_path / "k.npy", "zcyx")


def body(slices: int) -> torch.Tensor:
    """A ball in air: its 3D k-space is strongest in the middle, as that of every body is."""
    z, y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in (slices, 24, 20)), indexing="ij")
    return ((x - 0.1) ** 2 + y**2 + (0.7 * z) ** 2 < 0.6).to(torch.complex64)


def test_partitions_are_not_taken_for_slices(tmp_path: Path) -> None:
    image = body(8)
    volume = torch.fft.fftshift(torch.fft.fft(torch.fft.ifftshift(fft2c(image), dim=0), dim=0, norm="ortho"), dim=0)
    np.save(tmp_path / "k.npy", volume.numpy())
    with pytest.raises(InputError, match=r"no slices; name that axis p"):
        read_kspace(tmp_path / "k.npy", "zyx")
    kspace = read_kspace(tmp_path / "k.npy", "pyx")
    torch.testing.assert_close(kspace.data[:, 0], fft2c(image), atol=1e-5, rtol=1e-5)
    np.save(tmp_path / "slices.npy", fft2c(image).numpy())
    assert read_kspace(tmp_path / "slices.npy", "zyx").data.shape == (8, 1, 24, 20)


@pytest.mark.parametrize("names", [("re", "im"), ("real", "imag"), ("r", "i"), None])
def test_pairs_of_real_and_imaginary_part(tmp_path: Path, names: tuple[str, str] | None) -> None:
    if names is None:
        stored = np.stack([DATA.real, DATA.imag], -1)
    else:
        stored = np.zeros(DATA.shape, [(names[0], "<f4"), (names[1], "<f4")])
        stored[names[0]], stored[names[1]] = DATA.real, DATA.imag
    np.save(tmp_path / "k.npy", stored)
    kspace = read_kspace(tmp_path / "k.npy", "zcyx")
    np.testing.assert_array_equal(kspace.data, DATA)
    assert ("last axis" in kspace.notices[0]) == (names is None)


def test_matlab_files(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "five.mat", {"kspace": DATA, "note": "text"}, do_compression=True)
    with h5py.File(tmp_path / "seven.mat", "w", userblock_size=512) as file:
        pairs = np.zeros(DATA.shape[::-1], [("real", "<f8"), ("imag", "<f8")])
        pairs["real"], pairs["imag"] = DATA.T.real, DATA.T.imag
        file["kspace"] = pairs
    with (tmp_path / "seven.mat").open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
    for name in ("five.mat", "seven.mat"):
        assert describe(tmp_path / name).format == "MATLAB"
        np.testing.assert_array_equal(read_kspace(tmp_path / name, "zcyx").data, DATA)
    scipy.io.savemat(tmp_path / "real.mat", {"kspace": DATA.real})
    with pytest.raises(InputError, match="k-space is complex"):
        read_kspace(tmp_path / "real.mat", "zcyx")
    whole = (tmp_path / "five.mat").read_bytes()
    (tmp_path / "five.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"five\.mat"):
        read_kspace(tmp_path / "five.mat", "zcyx")


def test_a_structured_array_is_described(tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", np.zeros((4, 4), [("re", "<f4"), ("im", "<f4")]))
    assert describe(tmp_path / "k.npy").kind.startswith("k-space")
    np.save(tmp_path / "k.npy", np.zeros((4, 4), [("a", "<f4"), ("b", "<i4")]))
    assert "no complex array" in (describe(tmp_path / "k.npy").problem or "")
    np.savez(tmp_path / "two.npz", one=DATA, two=DATA)
    assert "which array is the k-space" in (describe(tmp_path / "two.npz").problem or "")


def test_archives_are_bounded_before_they_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "zeros.npz", kspace=np.zeros((64, 64, 64), np.complex64))
    header = npy(np.zeros((1000, 1000), np.complex64))[:128]
    with zipfile.ZipFile(tmp_path / "lying.npz", "w") as archive:
        archive.writestr("kspace.npy", header + b"\0" * 64)
    with zipfile.ZipFile(tmp_path / "many.npz", "w") as archive:
        for k in range(101):
            archive.writestr(f"a{k}.npy", npy(np.zeros(1)))
    (tmp_path / "short.npy").write_bytes(header)
    monkeypatch.setattr(checks, "SMALL", 1 << 16)
    for name, words in (
        ("zeros.npz", "are no scan"),
        ("lying.npz", "it says 8000000 bytes"),
        ("many.npz", "holds 101 arrays"),
        ("short.npy", "it says 8000000 bytes"),
    ):
        with pytest.raises(InputError, match=words):
            read_kspace(tmp_path / name, "zyx")
        assert words in (describe(tmp_path / name).problem or "")


def test_a_matlab_file_is_bounded_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scipy.io.savemat(tmp_path / "zeros.mat", {"kspace": np.zeros((64, 64, 64), complex)}, do_compression=True)
    monkeypatch.setattr(matlab_size, "_SMALL", 1 << 16)
    with pytest.raises(InputError, match="no array packs so well"):
        read_kspace(tmp_path / "zeros.mat", "zyx")
    with pytest.raises(ValueError, match="no array packs so well"):
        load_matconvnet(tmp_path / "zeros.mat")


@pytest.mark.parametrize("columns", [range(4, 36, 3), range(12, 28)])
def test_what_a_stated_mask_leaves_out_at_the_edges_is_no_padding(tmp_path: Path, columns: range) -> None:
    mask = np.zeros(40, bool)
    mask[columns] = True
    full = centred(2, 1, 40, 40) * torch.from_numpy(mask)
    np.savez(tmp_path / "k.npz", kspace=full.numpy(), mask=mask)
    kspace = read_kspace(tmp_path / "k.npz", "zcyx")
    assert kspace.mask is not None
    np.testing.assert_array_equal(kspace.mask.numpy(), np.broadcast_to(mask, (40, 40)))
    assert (kspace.acquired, kspace.partial_fourier) == (None, False)


def test_a_stated_mask_that_samples_padding_betrays_it(tmp_path: Path) -> None:
    full = centred(2, 1, 40, 40)
    full[..., :6] = full[..., 34:] = 0
    np.savez(tmp_path / "k.npz", kspace=full.numpy(), mask=np.arange(40) % 3 == 0)
    kspace = read_kspace(tmp_path / "k.npz", "zcyx")
    assert kspace.acquired is not None
    assert kspace.acquired.all(0).nonzero().flatten().tolist() == list(range(6, 34))
    assert kspace.mask is not None
    assert kspace.mask.all(0).nonzero().flatten().tolist() == list(range(6, 34, 3))
