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
        np.testing.assert_allclose(file.attrs["spacing"], [4, 1.25, 1.5])


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


def parallel(**changes: object) -> str:
    geometry = {"type": "parallel", "angles": [0.1 * k for k in range(5)], "pitch": 1.0, "cells": 9, "offset": 0.0}
    return json.dumps(geometry | changes)


BAD: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "no_data": (lambda file: file.__delitem__("sinogram"), "no dataset 'sinogram'"),
    "no_geometry": (lambda file: file.attrs.__delitem__("geometry"), "no attribute 'geometry'"),
    "no_grid": (lambda file: file.attrs.__delitem__("shape"), "'shape'"),
    "no_affine": (lambda file: file.attrs.__delitem__("affine"), "'affine'"),
    "broken_json": (attribute("geometry", "{"), "no valid JSON"),
    "unknown_geometry": (attribute("geometry", '{"type": "cone"}'), "parallel or fan"),
    "incomplete_geometry": (attribute("geometry", '{"type": "fan"}'), "incomplete"),
    "infinite_angle": (
        attribute("geometry", '{"type": "parallel", "angles": [Infinity], "pitch": 1}'),
        "finite angles",
    ),
    "degrees": (attribute("geometry", parallel(angles=[9.0 * k for k in range(40)])), "must be radians"),
    "broken_cells": (attribute("geometry", parallel(cells=9.5)), "must be a whole number"),
    "booleans": (attribute("geometry", parallel(angles=[True] * 5)), "no numbers"),
    "type_list": (attribute("geometry", parallel(type=["fan"])), "'type' must be a name"),
    "tiny_pitch": (attribute("geometry", parallel(pitch=1e-30)), "a pitch of 1e-30 mm"),
    "complex_affine": (attribute("affine", np.eye(4) + 1j), "'affine' must be"),
    "fewer_angles": (attribute("geometry", json.dumps(example(4).geometry)), "4 views"),
    "fewer_cells": (attribute("geometry", json.dumps(example(5, 8).geometry)), "of 8 cells"),
    "other_slices": (attribute("shape", [7, 12, 14]), "7 slices"),
    "spacing_disagrees": (attribute("spacing", [1, 1, 1]), "the affine says"),
    "sheared": (attribute("affine", np.eye(4) + np.eye(4, k=1)), "sheared"),
    "version": (attribute("version", 2), "version 2"),
    "other_format": (attribute("format", "x"), "format"),
    "nan": (values(np.full((3, 5, 9), np.nan)), "135 of 135 values"),
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
