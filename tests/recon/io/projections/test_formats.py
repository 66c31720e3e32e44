"""Projections in every format that is read: there and back, what the files state, and one line for bad ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile

from physics.ct.geometry import FanBeam
from recon.errors import InputError
from recon.io.projections.read import read_frames, read_projections
from recon.io.sinogram import Sinogram, write_sinogram

VIEWS, ROWS, CELLS = 5, 3, 8
STACK = np.random.default_rng(0).random((VIEWS, ROWS, CELLS)).astype(np.float32)
ANGLES = np.arange(VIEWS) * 7.5


def write_npy(path: Path, data: np.ndarray) -> Path:
    np.save(path / "scan.npy", data)
    return path / "scan.npy"


def write_npz(path: Path, data: np.ndarray) -> Path:
    np.savez(path / "scan.npz", projections=data, angles=ANGLES, other=np.ones((4, 4)))
    return path / "scan.npz"


def write_mat5(path: Path, data: np.ndarray) -> Path:
    struct = {"sinogram": data, "parameters": {"angles": ANGLES, "name": "x", "many": [np.ones(2), "text"]}}
    scipy.io.savemat(path / "scan.mat", {"Scan": struct})
    return path / "scan.mat"


def write_mat73(path: Path, data: np.ndarray) -> Path:
    with h5py.File(path / "scan.mat", "w", userblock_size=512) as file:
        file["Scan/sinogram"] = data.T
        file["Scan/parameters/angles"] = ANGLES[:, None]
    content = bytearray((path / "scan.mat").read_bytes())
    content[:128] = b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\x00\x02IM"
    (path / "scan.mat").write_bytes(content)
    return path / "scan.mat"


def write_pages(path: Path, data: np.ndarray) -> Path:
    tifffile.imwrite(path / "scan.tif", data, photometric="minisblack")
    return path / "scan.tif"


def write_folder(path: Path, data: np.ndarray) -> Path:
    folder = path / "views"
    folder.mkdir()
    for number, view in enumerate(data):
        tifffile.imwrite(folder / f"view_{number + 7}.tif", view)  # 7 to 11: their names sort otherwise
    return folder


def write_plain_hdf5(path: Path, data: np.ndarray) -> Path:
    with h5py.File(path / "scan.h5", "w") as file:
        file["entry/data"] = data
    return path / "scan.h5"


FORMATS: dict[str, Callable[[Path, np.ndarray], Path]] = {
    "npy": write_npy,
    "npz": write_npz,
    "mat v5": write_mat5,
    "mat v7.3": write_mat73,
    "tiff pages": write_pages,
    "tiff folder": write_folder,
    "hdf5": write_plain_hdf5,
}


@pytest.mark.parametrize("name", FORMATS)
def test_there_and_back(tmp_path: Path, name: str) -> None:
    found = read_projections([FORMATS[name](tmp_path, STACK)])
    np.testing.assert_array_equal(found.data, STACK)
    assert found.axes is None
    if name in ("npz", "mat v5", "mat v7.3"):
        assert found.angles is not None
        np.testing.assert_allclose(np.degrees(found.angles), ANGLES)
        assert any("taken as degrees" in notice for notice in found.notices)
    else:
        assert found.angles is None


@pytest.mark.parametrize("name", ["npy", "npz", "mat v5", "mat v7.3", "tiff pages", "hdf5"])
def test_a_sinogram_of_one_row(tmp_path: Path, name: str) -> None:
    found = read_projections([FORMATS[name](tmp_path, STACK[:, 0])])
    np.testing.assert_array_equal(found.data, STACK[:, 0])


def test_tiff_files_are_taken_in_natural_order(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, STACK)
    found = read_projections(sorted(folder.iterdir()))
    np.testing.assert_array_equal(found.data, STACK)
    assert found.notices == ("the files are taken in the natural order of their names",)


def test_integers_know_their_ceiling(tmp_path: Path) -> None:
    counts = (STACK * 60000).astype(np.uint16)
    for name in ("npy", "tiff pages"):
        assert read_projections([FORMATS[name](tmp_path, counts)]).ceiling == 65535
    assert read_projections([write_npy(tmp_path, STACK)]).ceiling is None


def write_exchange(path: Path, **theta: Any) -> Path:
    with h5py.File(path, "w") as file:
        file["exchange/data"] = STACK
        file["exchange/data_white"] = STACK[:2] + 1
        file["exchange/data_dark"] = STACK[:2] * 0
        file["exchange/theta"] = theta.get("values", ANGLES)
        file["exchange/theta"].attrs["units"] = theta.get("unit", "degrees")
    return path


def test_data_exchange(tmp_path: Path) -> None:
    found = read_projections([write_exchange(tmp_path / "scan.h5")], rows=slice(1, 3))
    np.testing.assert_array_equal(found.data, STACK[:, 1:3])
    assert (found.axes, found.intensities) == ("vzc", True)
    assert found.flat is not None
    assert found.dark is not None
    np.testing.assert_array_equal(found.flat, STACK[:2, 1:3] + 1)
    assert found.dark.shape == (2, 2, CELLS)
    np.testing.assert_allclose(found.angles, np.radians(ANGLES))
    radians = read_projections([write_exchange(tmp_path / "scan.h5", values=np.radians(ANGLES), unit="rad")])
    np.testing.assert_allclose(radians.angles, np.radians(ANGLES))


def write_challenge(path: Path, **changes: Any) -> Path:
    """The layout of the Helsinki Tomography Challenge 2022."""
    parameters = {
        "distanceSourceOrigin": 410.66,
        "distanceSourceDetector": 553.74,
        "distanceUnit": "mm",
        "pixelSizePost": 0.2,
        "angles": ANGLES,
    }
    struct = {"type": "2D", "sinogram": STACK[:, 0].astype(float), "parameters": parameters | changes}
    scipy.io.savemat(path, {"CtDataLimited": struct})
    return path


def test_the_helsinki_challenge_states_its_geometry(tmp_path: Path) -> None:
    found = read_projections([write_challenge(tmp_path / "scan.mat")])
    assert found.geometry == FanBeam(
        tuple(np.radians(ANGLES).tolist()), 0.2, source_isocentre=410.66, source_detector=553.74
    )
    assert (found.axes, found.intensities) == ("vc", False)
    centimetres = write_challenge(tmp_path / "scan.mat", distanceSourceOrigin=41.066, distanceUnit="cm")
    geometry = read_projections([centimetres]).geometry
    assert isinstance(geometry, FanBeam)
    assert geometry.source_isocentre == pytest.approx(410.66)
    for changes, words in (
        ({"distanceUnit": "inch"}, "a unit of length 'inch'"),
        ({"pixelSizePost": [1.0, 2.0]}, "single numbers"),
        ({"distanceSourceDetector": 3.0}, "nearer to the isocentre"),
    ):
        with pytest.raises(InputError, match=words):
            read_projections([write_challenge(tmp_path / "scan.mat", **changes)])


def test_a_sinogram_of_the_suite(tmp_path: Path) -> None:
    import torch

    geometry = FanBeam(tuple(np.radians(ANGLES).tolist()), 1.0, CELLS)
    valid = torch.ones(1, VIEWS, CELLS, dtype=torch.bool)
    valid[0, 2, 3] = False
    data = torch.from_numpy(STACK.transpose(1, 0, 2).copy())
    sinogram = Sinogram(data, geometry.to_dict(), (ROWS, 4, 4), np.eye(4), {"noise": {"photons": 1e5}}, valid=valid)
    write_sinogram(tmp_path / "scan.h5", sinogram)
    found = read_projections([tmp_path / "scan.h5"])
    assert (found.geometry, found.axes, found.meta) == (geometry, "zvc", {"noise": {"photons": 1e5}})
    assert np.isnan(found.data[:, 2, 3]).all()
    assert np.isnan(found.data).sum() == ROWS


def test_arrays_by_their_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "scan.npz", a=STACK, b=STACK + 1, angles_rad=np.radians(ANGLES))
    path = tmp_path / "scan.npz"
    found = read_projections([path], "b")
    np.testing.assert_array_equal(found.data, STACK + 1)
    np.testing.assert_allclose(found.angles, np.radians(ANGLES))
    with pytest.raises(InputError, match=r"which array holds the projections\? name it by `variable`; it holds a \(5"):
        read_projections([path])
    with pytest.raises(InputError, match=r"`variable` c: .* has no such array"):
        read_projections([path], "c")


def test_frames(tmp_path: Path) -> None:
    from recon.io.projections.arrays import Arrays

    np.savez(tmp_path / "scan.npz", flats=STACK[:2], projections=STACK)
    arrays = Arrays(tmp_path / "scan.npz")
    assert float(read_frames("65000", "flat", None)) == 65000
    np.testing.assert_array_equal(read_frames("flats", "flat", arrays), STACK[:2])
    np.testing.assert_array_equal(read_frames(str(write_pages(tmp_path, STACK)), "flat", None), STACK)
    with pytest.raises(InputError, match="`flat` none: no such file, and no number"):
        read_frames("none", "flat", None)
    with pytest.raises(InputError, match="`dark` nan: NaN or infinity"):
        read_frames("nan", "dark", None)


def damage(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("name", ["npy", "npz", "mat v5", "mat v7.3", "tiff pages", "hdf5"])
def test_damaged_files_get_one_line(tmp_path: Path, name: str) -> None:
    path = FORMATS[name](tmp_path, np.random.default_rng(0).random((30, 20, 20)))
    damage(path)
    with pytest.raises(InputError) as caught:
        read_projections([path])
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_what_is_no_projections(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "number.npy", np.ones(3))
    tifffile.imwrite(tmp_path / "colour.tif", np.zeros((4, 5, 3), np.uint8), photometric="rgb")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5)))
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((4, 6)))
    for names, words in (
        (["text.txt"], "of no known kind"),
        (["none.npy"], "no such file"),
        (["empty"], "without TIFF files"),
        (["pickled.npy"], "pickled"),
        (["number.npy"], "no array of projections"),
        (["colour.tif"], "projections are grey"),
        (["a.tif", "b.tif"], "different sizes"),
        (["a.tif", "number.npy"], "must all be TIFF"),
    ):
        with pytest.raises(InputError, match=words):
            read_projections([tmp_path / name for name in names])
