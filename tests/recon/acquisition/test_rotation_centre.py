"""Where the axis of rotation falls on the detector: found on drawn and measured scans, or said to be unknown."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from physics.ct.geometry import FanBeam, Geometry, ImageGrid, ParallelBeam, circular_angles
from physics.ct.projector import CTProjector
from recon.acquisition.import_projections import import_projections
from recon.acquisition.import_request import ImportRequest
from recon.acquisition.rotation_centre import find_offset, with_centre
from recon.errors import InputError
from recon.io.sinogram import Sinogram

DISTANCES = {"source_isocentre": 150.0, "source_detector": 270.0}
SCANS: dict[str, Geometry] = {
    "fan, 30 views": FanBeam(circular_angles(30), 1.0, 80, 2.7, **DISTANCES),
    "fan, short scan": FanBeam(circular_angles(36, 0, math.radians(230)), 1.0, 80, -4.4, **DISTANCES),
    "parallel, half a turn": ParallelBeam(circular_angles(24, 0, math.pi), 1.0, 80, -3.3),
}


def body(seed: int = 0) -> Tensor:
    """An ellipse with discs in it, (1, 160, 160)."""
    generator = np.random.default_rng(seed)
    y, x = np.meshgrid(*[np.linspace(-1, 1, 160)] * 2, indexing="ij")
    inside = (x / 0.7) ** 2 + (y / 0.5) ** 2 < 1
    image = 0.02 * inside
    for _ in range(10):
        cx, cy, r = *generator.uniform(-0.4, 0.4, 2), generator.uniform(0.04, 0.15)
        image = image + generator.uniform(-0.01, 0.015) * inside * ((x - cx) ** 2 + (y - cy) ** 2 < r**2)
    return torch.from_numpy(image).float()[None]


def views(geometry: Geometry) -> Tensor:
    size = 0.45 * (150 / 270 if isinstance(geometry, FanBeam) else 1.0)
    clean = CTProjector(geometry, ImageGrid((160, 160), (size, size)))(body())[0]
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    return clean + 0.01 * float(clean.max()) * noise


@pytest.mark.parametrize("name", SCANS)
def test_found_to_half_a_cell(name: str) -> None:
    truth = SCANS[name]
    found = find_offset(views(truth), replace(truth, offset=0.0))
    assert found.offset == pytest.approx(truth.offset, abs=0.3)


def test_a_sinogram_gets_its_centre_and_says_so() -> None:
    geometry = SCANS["parallel, half a turn"]
    data = views(geometry)[None]
    valid = torch.ones(1, *data.shape[1:], dtype=torch.bool)
    valid[:, :, 40] = False
    data[:, :, 40] = 0
    sinogram = Sinogram(data, replace(geometry, offset=0.0).to_dict(), (1, 80, 80), np.eye(4), valid=valid)
    found = with_centre(sinogram, "auto")
    assert found.geometry["offset"] == pytest.approx(-3.3, abs=0.5)
    assert "from the detector's middle, found from the data" in found.notices[-1]
    assert with_centre(sinogram, 3.3).geometry["offset"] == -3.3
    with pytest.raises(InputError, match="`centre` 50: not on the detector"):
        with_centre(sinogram, 50.0)


def test_what_the_data_do_not_tell() -> None:
    geometry = FanBeam(circular_angles(20, 0, math.radians(15)), 1.0, 80, 2.7, **DISTANCES)
    with pytest.raises(ValueError, match="do not tell where the axis of rotation is"):
        find_offset(views(geometry), geometry)


def test_a_measured_tooth_from_46_views(tmp_path: Path, shared: Path) -> None:
    """Its axis of rotation is known to fall on cell 296 of 0 to 639."""
    import h5py

    (tmp_path / "scanner.yaml").write_text("{type: parallel, pitch_mm: 1}")
    with h5py.File(shared / "data/measured/ct/tooth.h5") as whole, h5py.File(tmp_path / "tooth.h5", "w") as part:
        for name in ("data", "theta", "data_white", "data_dark"):
            values = whole[f"exchange/{name}"]
            part[f"exchange/{name}"] = values[::4] if name in ("data", "theta") else values[()]
    request = ImportRequest(
        (tmp_path / "tooth.h5",), geometry=str(tmp_path / "scanner.yaml"), rows=(0, 1), centre="auto"
    )
    found = import_projections(request)
    assert 319.5 - found.geometry["offset"] == pytest.approx(296, abs=0.5)


def test_a_measured_quarter_turn(shared: Path) -> None:
    """The scanner of the Helsinki challenge has no offset; a quarter turn tells that to three of 560 cells."""
    request = ImportRequest((shared / "data/measured/ct/tb_subsample_90.mat",), centre="auto", bin=4)
    assert abs(import_projections(request).geometry["offset"]) < 3 * 0.2
