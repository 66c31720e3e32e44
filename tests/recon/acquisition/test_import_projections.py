"""From files of other programs to a sinogram: what comes out is what was measured, and what was assumed is said."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

import recon
from physics.ct.field_of_view import ray_distances, seen_radius
from physics.ct.geometry import FanBeam, Geometry, ImageGrid, ParallelBeam, circular_angles, geometry_from_dict
from physics.ct.projector import CTProjector
from recon.acquisition.import_projections import import_projections
from recon.acquisition.import_request import ImportRequest
from recon.errors import InputError
from recon.io.sinogram import read_sinogram, write_sinogram

ANGLES = circular_angles(24)
SCANNER = FanBeam(ANGLES, 1.5, 40, 0.6, source_isocentre=200, source_detector=300)
YAML = """
type: fan
source_isocentre_mm: 200
source_detector_mm: 300
pitch_mm: 1.5
offset_mm: 0.6
angles: {views: 24}
"""
SINOGRAM = CTProjector(SCANNER, ImageGrid((16, 16), (1.5, 1.5)), slices=2)(
    0.05 * torch.rand(2, 16, 16, generator=torch.Generator().manual_seed(0))
).numpy()


def request(path: Path, data: np.ndarray, yaml: str | None = YAML, **statements: Any) -> ImportRequest:
    np.save(path / "scan.npy", data)
    if yaml is not None:
        (path / "scanner.yaml").write_text(yaml)
        statements["geometry"] = str(path / "scanner.yaml")
    return ImportRequest((path / "scan.npy",), **statements)


def test_line_integrals_of_several_rows(tmp_path: Path) -> None:
    found = import_projections(request(tmp_path, SINOGRAM, grid=(16, 16), pixel=1.5, slice_spacing=2.0))
    np.testing.assert_array_equal(found.data.numpy(), SINOGRAM)
    assert geometry_from_dict(found.geometry) == SCANNER
    assert found.shape == (2, 16, 16)
    np.testing.assert_allclose(np.linalg.norm(found.affine[:3, :3], axis=0), [1.5, 1.5, 2.0])
    assert found.valid is None
    assert any("(rows, views, cells)" in notice for notice in found.notices)
    assert any("a fan beam of its own" in notice for notice in found.notices)


def test_the_package_exports_it(tmp_path: Path) -> None:
    wanted = request(tmp_path, SINOGRAM)
    found = recon.import_projections(recon.ImportRequest(wanted.paths, geometry=wanted.geometry))
    np.testing.assert_array_equal(found.data.numpy(), SINOGRAM)
    assert {"ImportRequest", "import_projections"} <= set(recon.__all__)


def test_what_was_assumed_is_said(tmp_path: Path) -> None:
    found = import_projections(request(tmp_path, SINOGRAM[0]))
    said = " ".join(found.notices)
    assert "pixels of 1 mm, a cell at the isocentre" in said
    assert f"a grid of {found.shape[1]} x {found.shape[2]} pixels" in said
    assert found.shape[1] == round(2 * seen_radius(SCANNER))


def test_counts_with_flats_and_darks(tmp_path: Path) -> None:
    counts = np.round(100 + 60000 * np.exp(-SINOGRAM)).astype(np.uint16).transpose(1, 0, 2)  # views, rows, cells
    np.save(tmp_path / "flat.npy", np.full((5, 2, 40), 60100, np.uint16))
    wanted = request(tmp_path, counts, flat=str(tmp_path / "flat.npy"), dark="100")
    found = import_projections(wanted)
    np.testing.assert_allclose(found.data.numpy(), SINOGRAM, atol=1e-4)
    picked = import_projections(request(tmp_path, counts, flat=str(tmp_path / "flat.npy"), dark="100", rows=(1, 2)))
    np.testing.assert_allclose(picked.data.numpy(), SINOGRAM[1:], atol=1e-4)


def test_data_exchange_with_a_dead_cell(tmp_path: Path) -> None:
    counts = (100 + 60000 * np.exp(-SINOGRAM)).transpose(1, 0, 2)
    flat = np.random.default_rng(0).normal(60100, 240, (10, 2, 40))
    flat[:, :, 7], counts[:, :, 7] = 100, 100
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["exchange/data"], file["exchange/data_white"] = counts.astype(np.float32), flat
        file["exchange/data_dark"], file["exchange/theta"] = np.full((3, 2, 40), 100.0), np.degrees(ANGLES)
    (tmp_path / "scanner.yaml").write_text(YAML.replace("angles: {views: 24}", ""))
    found = import_projections(ImportRequest((tmp_path / "scan.h5",), geometry=str(tmp_path / "scanner.yaml")))
    assert found.valid is not None
    assert found.valid.shape == (1, 24, 40)
    assert not found.valid[:, :, 7].any()
    assert int((~found.valid).sum()) == 24
    seen = found.valid.expand(found.data.shape)
    np.testing.assert_allclose(found.data[seen], torch.from_numpy(SINOGRAM)[seen], atol=0.01)
    np.testing.assert_allclose(geometry_from_dict(found.geometry).angles, ANGLES, atol=1e-12)
    rows = ImportRequest((tmp_path / "scan.h5",), geometry=str(tmp_path / "scanner.yaml"), rows=(1, 2))
    np.testing.assert_array_equal(import_projections(rows).data, found.data[1:])
    with pytest.raises(InputError, match=r"`rows` 1:4: .* has 2 detector rows"):
        import_projections(replace(rows, rows=(1, 4)))
    assert 4e4 < found.meta["flats"]["photons"] < 9e4
    assert found.meta["simulated"] is False


@pytest.mark.parametrize("unit", [None, "degrees", "radians"])
def test_angles_from_a_list(tmp_path: Path, unit: Any) -> None:
    values = np.array(ANGLES) if unit == "radians" else np.degrees(ANGLES)
    (tmp_path / "angles.csv").write_text("\n".join(map(repr, values.tolist())))
    yaml = YAML.replace("views: 24", "views: 3")
    wanted = request(tmp_path, SINOGRAM, yaml, angles=str(tmp_path / "angles.csv"), angle_unit=unit)
    np.testing.assert_allclose(geometry_from_dict(import_projections(wanted).geometry).angles, ANGLES)


def test_a_unit_of_angles_that_are_not_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`angle_unit` radians: no angles are read"):
        import_projections(request(tmp_path, SINOGRAM, YAML.replace("views: 24", "views: 3"), angle_unit="radians"))


def test_angles_beside_the_data(tmp_path: Path) -> None:
    np.savez(tmp_path / "scan.npz", sinogram=SINOGRAM, theta=np.degrees(ANGLES), mine=np.degrees(ANGLES)[::-1])
    (tmp_path / "scanner.yaml").write_text(YAML.replace("angles: {views: 24}", ""))
    plain = ImportRequest((tmp_path / "scan.npz",), geometry=str(tmp_path / "scanner.yaml"))
    np.testing.assert_allclose(geometry_from_dict(import_projections(plain).geometry).angles, ANGLES)
    named = ImportRequest((tmp_path / "scan.npz",), geometry=str(tmp_path / "scanner.yaml"), angles="mine")
    np.testing.assert_allclose(geometry_from_dict(import_projections(named).geometry).angles, ANGLES[::-1])
    (tmp_path / "scanner.yaml").write_text(YAML.replace("views: 24", "views: 24, start_deg: 5"))
    assert any("differ from those beside the data" in each for each in import_projections(plain).notices)
    np.savez(tmp_path / "scan.npz", sinogram=SINOGRAM, theta=np.array(ANGLES))
    (tmp_path / "scanner.yaml").write_text(YAML.replace("angles: {views: 24}", ""))
    with pytest.raises(InputError, match="look like radians"):
        import_projections(plain)
    stated = import_projections(replace(plain, angle_unit="radians"))
    np.testing.assert_allclose(geometry_from_dict(stated.geometry).angles, ANGLES)


def test_bins_keep_every_ray_in_its_place(tmp_path: Path) -> None:
    found = import_projections(request(tmp_path, SINOGRAM, bin=3))
    geometry = geometry_from_dict(found.geometry)
    assert (geometry.cells, geometry.pitch) == (13, 4.5)
    middle = SCANNER.cell_positions()[:39].reshape(13, 3).mean(1)
    np.testing.assert_allclose(geometry.cell_positions(), middle)
    np.testing.assert_allclose(found.data, SINOGRAM[..., :39].reshape(2, 24, 13, 3).mean(-1), rtol=1e-5)


def test_a_stated_centre_replaces_the_offset(tmp_path: Path) -> None:
    found = import_projections(request(tmp_path, SINOGRAM, centre=-4.5, bin=1))
    geometry = geometry_from_dict(found.geometry)
    assert geometry.offset == 4.5
    assert geometry.cell_positions()[int(39 / 2 - 3)] == pytest.approx(-0.75)
    with pytest.raises(InputError, match="`centre` 31: not on the detector, which is 60 mm wide"):
        import_projections(request(tmp_path, SINOGRAM, centre=31.0))


def test_nan_is_a_missing_ray_and_survives_the_file(tmp_path: Path) -> None:
    data = SINOGRAM.copy()
    data[1, 5, 20] = np.nan
    found = import_projections(request(tmp_path, data))
    write_sinogram(tmp_path / "scan.h5", found)
    back = read_sinogram(tmp_path / "scan.h5")
    assert back.valid is not None
    np.testing.assert_array_equal(back.valid.numpy(), ~np.isnan(data))


def test_a_sinogram_of_the_suite_again(tmp_path: Path) -> None:
    first = import_projections(request(tmp_path, SINOGRAM, grid=(16, 16), pixel=1.5))
    write_sinogram(tmp_path / "first.h5", first)
    again = import_projections(ImportRequest((tmp_path / "first.h5",), grid=(16, 16), pixel=1.5))
    np.testing.assert_array_equal(again.data, first.data)
    assert again.geometry == first.geometry


def test_bins_of_a_scan_of_known_noise_count_more_photons(tmp_path: Path) -> None:
    first = import_projections(request(tmp_path, SINOGRAM))
    write_sinogram(tmp_path / "first.h5", replace(first, meta={"noise": {"photons": 1e5, "electronic": 10.0}}))
    again = import_projections(ImportRequest((tmp_path / "first.h5",), bin=4))
    assert again.meta["noise"] == {"photons": 4e5, "electronic": 20.0}


def test_rings_are_taken_off_around_missing_rays(tmp_path: Path) -> None:
    data = SINOGRAM.copy()
    data[:, 5, 20] = np.nan
    gains = 0.05 * np.random.default_rng(0).standard_normal(40).astype(np.float32)
    found = import_projections(request(tmp_path, data + gains, rings=True))
    assert found.meta["rings_removed"] is True
    assert not found.data[:, 5, 20].any()
    seen = ~np.isnan(data)
    assert np.abs((found.data.numpy() - data)[seen]).std() < 0.05
    with pytest.raises(InputError, match="`rings`: rings are told from at least 8 views"):
        import_projections(request(tmp_path, data[:, ::4], YAML.replace("24", "6"), rings=True))


BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no geometry": (SINOGRAM, {"yaml": None}, "`geometry`: .* does not state the scanner's"),
    "transposed": (SINOGRAM[0].T, {}, "looks transposed"),
    "other views": (SINOGRAM[0][:20], {}, "no axis of its shape"),
    "counts": (60000 * np.exp(-SINOGRAM[0]), {}, "look like counts.*`minus_log` and a `flat`"),
    "counts without a flat": (60000 * np.exp(-SINOGRAM[0]), {"minus_log": True}, "no `flat` to divide them by"),
    "negative": (-SINOGRAM[0], {}, "negative altogether"),
    "constant": (np.full((24, 40), 2.0), {}, "there is nothing in it"),
    "complex": (SINOGRAM[0] + 1j, {}, "no array of projections"),
    "flat for line integrals": (SINOGRAM[0], {"flat": "5", "minus_log": False}, "are for counts"),
    "flat of another size": (60000 * np.exp(-SINOGRAM[0]), {"flat": "FLAT"}, r"`flat`: shape \(7,\)"),
    "rows": (SINOGRAM, {"rows": (1, 9)}, "`rows` 1:9: .* has 2 detector rows"),
    "bin": (SINOGRAM, {"bin": 41}, "`bin` 41: the detector has 40 cells"),
    "off the grid": (SINOGRAM, {"yaml": YAML.replace("offset_mm: 0.6", "offset_mm: 100")}, "no ray comes nearer"),
    "grid at the source": (SINOGRAM, {"pixel": 60.0, "grid": (9, 9)}, "reach the source"),
    "bad axes": (SINOGRAM, {"axes": "xy"}, "`axes` xy: must name"),
    "no such angles": (SINOGRAM, {"angles": "none.csv"}, "`angles` none.csv: "),
}


@pytest.mark.parametrize("case", BAD)
def test_one_line_for_what_cannot_be(tmp_path: Path, case: str) -> None:
    data, statements, words = BAD[case]
    np.save(tmp_path / "flat.npy", np.ones(7))
    if statements.get("flat") == "FLAT":
        statements = statements | {"flat": str(tmp_path / "flat.npy")}
    with pytest.raises(InputError, match=words) as caught:
        import_projections(request(tmp_path, data, **statements))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        ({"bin": 0}, "`bin` 0"),
        ({"rows": (3, 3)}, "`rows` 3:3"),
        ({"pixel": -1.0}, "`pixel` -1"),
        ({"grid": (0, 4)}, "`grid` 0,4"),
    ],
)
def test_statements_that_cannot_be(statements: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ImportRequest((Path("scan.npy"),), **statements)


def test_an_object_that_is_larger_than_the_grid_is_doubted(tmp_path: Path) -> None:
    found = import_projections(request(tmp_path, SINOGRAM, grid=(4, 4), pixel=1.5))
    assert any("the object may be larger" in notice for notice in found.notices)


@pytest.mark.parametrize(
    ("geometry", "radius"),
    [
        (ParallelBeam(circular_angles(30, 0, math.pi), 1.0, 10), 5.0),
        (ParallelBeam(circular_angles(30, 0, math.pi), 1.0, 10, 2.0), 3.0),
        (ParallelBeam(circular_angles(30), 1.0, 10, 2.0), 7.0),
        (ParallelBeam(circular_angles(30), 1.0, 10, 8.0), 0.0),
    ],
)
def test_what_a_scanner_sees(geometry: Geometry, radius: float) -> None:
    assert seen_radius(geometry) == pytest.approx(radius)


def test_rays_of_a_fan_pass_nearer_than_their_cells() -> None:
    distance = ray_distances(FanBeam(ANGLES, 10.0, 3, source_isocentre=100, source_detector=200))
    np.testing.assert_allclose(distance, [-100 * math.sin(math.atan(0.05)), 0, 100 * math.sin(math.atan(0.05))])
