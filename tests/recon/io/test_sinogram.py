"""Sinograms in HDF5: there and back, and one line for every bad file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from physics.ct.geometry import FanBeam, ParallelBeam, circular_angles, geometry_from_dict
from physics.ct.protocol import protocol_values
from recon.errors import InputError
from recon.io.sinogram import Sinogram, read_sinogram, write_sinogram


def example(views: int = 5, cells: int = 9, slices: int = 3, kind: type = FanBeam) -> Sinogram:
    geometry = kind(circular_angles(views), pitch=1.25, cells=cells, offset=0.3)
    affine = np.array([[1.5, 0, 0, -7], [0, 1.25, 0, 3.5], [0, 0, 4, 100], [0, 0, 0, 1]])
    data = torch.rand(slices, views, cells, generator=torch.Generator().manual_seed(1))
    return Sinogram(data, geometry.to_dict(), (slices, 12, 14), affine, {"noise": {"photons": 1e5}, "seed": 3})


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 6), st.integers(2, 9), st.integers(1, 4), st.sampled_from([FanBeam, ParallelBeam]))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, views: int, cells: int, slices: int, kind: type) -> None:
    sinogram = example(views, cells, slices, kind)
    path = tmp_path_factory.mktemp("sinogram") / "scan.h5"
    write_sinogram(path, sinogram)
    back = read_sinogram(path)
    torch.testing.assert_close(back.data, sinogram.data, rtol=0, atol=0)
    assert geometry_from_dict(back.geometry) == geometry_from_dict(sinogram.geometry)
    assert (back.shape, back.meta) == (sinogram.shape, sinogram.meta)
    np.testing.assert_array_equal(back.affine, sinogram.affine)
    with h5py.File(path) as file:
        np.testing.assert_allclose(file.attrs["spacing_mm"], [4, 1.25, 1.5])
        assert file.attrs["version"] == 2


def write_version_1(path: Path, sinogram: Sinogram) -> None:
    """The layout of earlier files, word for word."""
    with h5py.File(path, "w") as file:
        file["sinogram"] = sinogram.data.numpy()
        file.attrs["format"], file.attrs["version"] = "recon-sinogram", 1
        file.attrs["geometry"], file.attrs["meta"] = json.dumps(sinogram.geometry), json.dumps(sinogram.meta)
        file.attrs["shape"], file.attrs["affine"] = sinogram.shape, sinogram.affine
        file.attrs["spacing"] = np.linalg.norm(sinogram.affine[:3, :3], axis=0)[::-1]


def test_earlier_files_stay_readable(tmp_path: Path) -> None:
    sinogram = example()
    write_version_1(tmp_path / "scan.h5", sinogram)
    back = read_sinogram(tmp_path / "scan.h5")
    assert torch.equal(back.data, sinogram.data)
    assert (back.geometry, back.shape, back.meta) == (sinogram.geometry, sinogram.shape, sinogram.meta)
    np.testing.assert_array_equal(back.affine, sinogram.affine)


def write_by_hand(path: Path, data: np.ndarray, geometry: dict[str, object], **attributes: object) -> None:
    with h5py.File(path, "w") as file:
        file["sinogram"] = data
        file.attrs["geometry"] = json.dumps(geometry)
        for name, value in attributes.items():
            file.attrs[name] = value


@pytest.mark.parametrize(("unit", "millimetres"), [("um", 1e-3), ("mm", 1.0), ("cm", 10.0), ("m", 1e3)])
def test_the_end_of_a_key_is_its_unit(tmp_path: Path, unit: str, millimetres: float) -> None:
    data = np.random.default_rng(0).random((5, 9))
    geometry = {"type": "parallel", f"pitch_{unit}": 1.25 / millimetres, "angles": [0, 30, 60, 90, 120]}
    spacing = {f"spacing_{unit}": np.array([4, 1.25, 1.5]) / millimetres}
    write_by_hand(tmp_path / "scan.h5", data, geometry, shape=[1, 12, 14], **spacing)
    back = read_sinogram(tmp_path / "scan.h5")
    assert back.data.shape == (1, 5, 9)
    assert back.geometry["pitch"] == pytest.approx(1.25, rel=1e-12)
    np.testing.assert_allclose(np.linalg.norm(back.affine[:3, :3], axis=0), [1.5, 1.25, 4])
    np.testing.assert_allclose(back.affine @ [6.5, 5.5, 0, 1], [0, 0, 0, 1], atol=1e-9)


def test_missing_rays_are_nan_or_not_valid(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    write_sinogram(path, example())
    mask = np.ones((5, 9), np.uint8)
    mask[:, 4] = 0
    with h5py.File(path, "r+") as file:
        data = file["sinogram"][()]
        data[:, 2, 1] = np.nan
        file["sinogram"][...] = data
        file["valid"] = mask
    back = read_sinogram(path)
    mask[2, 1] = 0
    assert back.valid is not None
    np.testing.assert_array_equal(back.valid.numpy(), mask[None].astype(bool))
    assert not back.data[:, :, 4].any()
    assert "0.133 of the rays were not measured" in back.notices[0]
    write_sinogram(tmp_path / "again.h5", back)
    again = read_sinogram(tmp_path / "again.h5")
    assert again.valid is not None
    assert torch.equal(again.valid, back.valid)
    assert torch.equal(again.data, back.data)


def test_missing_rays_of_single_slices(tmp_path: Path) -> None:
    sinogram = example()
    sinogram.data[1, 2, 3] = np.nan
    write_sinogram(tmp_path / "scan.h5", sinogram)
    back = read_sinogram(tmp_path / "scan.h5")
    assert back.valid is not None
    assert back.valid.shape == (3, 5, 9)
    assert int((~back.valid).sum()) == 1


def test_undecided_cells_take_those_of_the_data(tmp_path: Path) -> None:
    sinogram = example()
    sinogram.geometry["cells"] = None
    write_sinogram(tmp_path / "scan.h5", sinogram)
    back = read_sinogram(tmp_path / "scan.h5")
    assert geometry_from_dict(back.geometry).cells == 9


def attribute(name: str, value: object) -> Callable[[h5py.File], None]:
    return lambda file: file.attrs.__setitem__(name, value)


def values(array: np.ndarray) -> Callable[[h5py.File], None]:
    def replace(file: h5py.File) -> None:
        del file["sinogram"]
        file["sinogram"] = array

    return replace


def dataset(name: str, array: np.ndarray) -> Callable[[h5py.File], None]:
    return lambda file: file.__setitem__(name, array)


def parallel(**changes: object) -> str:
    angles = [0.1 * k for k in range(5)]
    geometry = {"type": "parallel", "angles_rad": angles, "pitch_mm": 1.0, "cells": 9, "offset_mm": 0.0}
    return json.dumps(geometry | changes)


BAD: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "no_data": (lambda file: file.__delitem__("sinogram"), "no dataset 'sinogram'"),
    "no_geometry": (lambda file: file.attrs.__delitem__("geometry"), "no attribute 'geometry'"),
    "no_grid": (lambda file: file.attrs.__delitem__("shape"), "'shape'"),
    "no_affine": (
        lambda file: [file.attrs.__delitem__(name) for name in ("affine_mm", "spacing_mm")],
        "'affine_mm'",
    ),
    "broken_json": (attribute("geometry", "{"), "no valid JSON"),
    "unknown_geometry": (attribute("geometry", '{"type": "star"}'), "type: parallel"),
    "incomplete_geometry": (attribute("geometry", '{"type": "fan"}'), "'pitch_mm' is missing"),
    "infinite_angle": (
        attribute("geometry", '{"type": "parallel", "angles": [Infinity], "pitch_mm": 1}'),
        "finite angles",
    ),
    "degrees": (attribute("geometry", parallel(angles_rad=[99.0 * k for k in range(5)])), "must be radians"),
    "broken_cells": (attribute("geometry", parallel(cells=9.5)), "must be a whole number"),
    "booleans": (attribute("geometry", parallel(pitch_mm=True)), "must be a number"),
    "type_list": (attribute("geometry", parallel(type=["fan"])), "needs 'type: fan'"),
    "tiny_pitch": (attribute("geometry", parallel(pitch_mm=1e-30)), "a pitch of 1e-30 mm"),
    "complex_affine": (attribute("affine_mm", np.eye(4) + 1j), "'affine_mm' must be"),
    "fewer_angles": (
        attribute("geometry", json.dumps(protocol_values(geometry_from_dict(example(4).geometry)))),
        "4 views",
    ),
    "fewer_cells": (
        attribute("geometry", json.dumps(protocol_values(geometry_from_dict(example(5, 8).geometry)))),
        "of 8 cells",
    ),
    "other_slices": (attribute("shape", [7, 12, 14]), "7 slices"),
    "spacing_disagrees": (attribute("spacing_mm", [1, 1, 1]), "the affine says"),
    "sheared": (attribute("affine_mm", np.eye(4) + np.eye(4, k=1)), "sheared"),
    "version": (attribute("version", 3), "version 3"),
    "other_format": (attribute("format", "x"), "format"),
    "nan": (values(np.full((3, 5, 9), np.nan)), "no ray of the sinogram"),
    "infinite": (values(np.full((3, 5, 9), np.inf)), "135 of 135 values"),
    "spacing_twice": (attribute("spacing_cm", [1, 1, 1]), "'spacing' is given twice, in mm and in cm"),
    "valid_shape": (dataset("valid", np.ones((5, 8))), "'valid' is (1, 5, 8)"),
    "valid_numbers": (dataset("valid", np.full((5, 9), 2)), "'valid' must be 1"),
    "nothing_valid": (dataset("valid", np.zeros((5, 9))), "no ray of the sinogram"),
    "zero": (values(np.zeros((3, 5, 9))), "constant"),
    "complex": (values(np.ones((3, 5, 9), complex)), "real numbers are needed"),
    "text": (values(np.array(["a"], object)), "real numbers are needed"),
    "flat": (values(np.ones(9)), "the sinogram is (9,)"),
    "scalar": (values(np.array(1.0)), "the sinogram is ()"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_get_one_line(tmp_path: Path, case: str) -> None:
    spoil, words = BAD[case]
    path = tmp_path / "scan.h5"
    write_sinogram(path, example())
    with h5py.File(path, "r+") as file:
        spoil(file)
    with pytest.raises(InputError) as caught:
        read_sinogram(path)
    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_hdf5_and_truncated(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    write_sinogram(path, example())
    whole = path.read_bytes()
    for content, words in (
        (b"hello", "not an HDF5"),
        (b"", "empty"),
        (whole[:-100], "truncated"),
        (whole[:50], "truncated"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=words):
            read_sinogram(path)
    with pytest.raises(InputError, match="no such file"):
        read_sinogram(tmp_path / "none.h5")
