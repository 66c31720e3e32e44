"""From a volume or a sinogram file to a CT measurement."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from physics.ct.geometry import FanBeam, ImageGrid, ParallelBeam, circular_angles, golden_angles
from physics.ct.projector import CTProjector
from physics.noise import TransmissionNoise
from recon.acquisition.ct import choose_geometry, measured_ct, simulate_ct, sinogram_of
from recon.errors import InputError
from recon.io.sinogram import Sinogram, read_sinogram, write_sinogram
from recon.scan.units import MU_WATER
from recon.scan.volume import Volume

GEOMETRY = FanBeam(circular_angles(10), 4.0, offset=1.0)


@pytest.fixture
def volume() -> Volume:
    """A cylinder of water with bone, 40 slices of 12 × 16 pixels of 4 × 3 mm, in padding at −2000 HU."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 12), torch.linspace(-1, 1, 16), indexing="ij")
    plane = torch.where(x**2 + y**2 < 0.6, 0.0, -2000.0)
    data = plane.expand(40, 12, 16).clone()
    data[:, 5, 8] = torch.linspace(0, 1000, 40)[:]
    affine = np.diag([3.0, 4.0, 2.5, 1.0])
    affine[:3, 3] = [-20, 5, 100]
    return Volume(data, affine, "CT")


def degrees(geometry: FanBeam | ParallelBeam) -> np.ndarray:
    return np.degrees(geometry.angles)


def test_a_preset_stays_as_it_is() -> None:
    assert choose_geometry() == choose_geometry("paper40")
    assert choose_geometry("limited90").views == 90


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"views": 4}, [0, 90, 180, 270]),
        ({"geometry": "limited90", "views": 3}, [0, 30, 60]),
        ({"views": 3, "arc": 180.0}, [0, 60, 120]),
        ({"geometry": "sparse20", "arc": 100.0}, np.arange(20) * 5),
        ({"views": 2, "start": 45.0}, [45, 225]),
        ({"geometry": "limited90", "start": -10.0}, np.arange(90) - 10),
        ({"views": 7, "order": "golden"}, np.degrees(golden_angles(7))),
        ({"order": "golden", "start": 30.0}, np.degrees(golden_angles(40, math.pi / 6))),
    ],
)
def test_angles_are_replaced(arguments: dict[str, object], expected: list[float]) -> None:
    geometry = choose_geometry(**arguments)  # type: ignore[arg-type]
    np.testing.assert_allclose(degrees(geometry), expected, atol=1e-9)
    assert (geometry.pitch, geometry.offset, geometry.cells) == (1.2858, 0.0, None)


def test_a_file_keeps_its_detector(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("type: parallel\npitch_mm: 2\ncells: 9\noffset_mm: 3\nangles: [0, 10, 50]\n")
    np.testing.assert_allclose(degrees(choose_geometry(str(path))), [0, 10, 50])
    chosen = choose_geometry(str(path), views=4, arc=180)
    assert chosen == ParallelBeam(circular_angles(4, 0, math.pi), 2.0, 9, 3.0)
    with pytest.raises(InputError, match=r"`views`: this geometry's views are not evenly spread.*`arc`"):
        choose_geometry(str(path), views=4)


@pytest.mark.parametrize(
    ("angles", "arguments", "expected"),
    [
        ("{views: 4, start_deg: 75, arc_deg: 90}", {"views": 3}, [75, 105, 135]),
        ("{views: 4, start_deg: 75, arc_deg: 90}", {"arc": 60.0}, [75, 90, 105, 120]),
        ("{views: 4, start_deg: 80, arc_deg: 80}", {"start": 0.0}, [0, 20, 40, 60]),
        ("{views: 2, start_deg: 75, arc_deg: 90}", {"order": "golden"}, np.degrees(golden_angles(2, math.radians(75)))),
        ("{views: 5, order: golden}", {"order": "uniform", "arc": 100.0}, [0, 20, 40, 60, 80]),
    ],
)
def test_what_is_not_said_stays_as_the_geometry_has_it(
    tmp_path: Path, angles: str, arguments: dict[str, object], expected: list[float]
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"type: parallel\npitch_mm: 2\nangles: {angles}\n")
    np.testing.assert_allclose(degrees(choose_geometry(str(path), **arguments)), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"geometry": "paper4O"}, "`geometry` paper4O: neither a preset"),
        ({"views": 0}, "`views`: views must be at least 1, not 0"),
        ({"views": 0, "order": "golden"}, "`views`: views must be at least 1, not 0"),
        ({"arc": 400.0}, "`views`, `arc`: the arc must be above 0 and at most 360 degrees, not 400"),
        ({"arc": -5.0}, "`arc`: the arc"),
        ({"arc": math.nan}, "`arc`: the arc"),
        ({"start": math.inf}, "`start` inf"),
        ({"order": "golden", "arc": 90.0}, "`arc`: golden-angle views cover the full circle"),
    ],
)
def test_impossible_geometries(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as raised:
        choose_geometry(**arguments)  # type: ignore[arg-type]
    assert message in str(raised.value)


def test_a_simulation_is_the_projector_of_the_attenuation(volume: Volume) -> None:
    """Padding below −1000 HU is air: as attenuation it is 0, never negative."""
    measurement = simulate_ct(volume, GEOMETRY)
    projector = measurement.operator
    assert isinstance(projector, CTProjector)
    assert projector.grid == ImageGrid((12, 16), (4.0, 3.0))
    attenuation = MU_WATER * (1 + volume.data.clamp_min(-1000) / 1000)
    torch.testing.assert_close(measurement.y, projector(attenuation))
    assert measurement.y.shape == (40, 10, projector.geometry.cells)
    assert (measurement.y >= 0).all()
    assert float(measurement.y.max()) == pytest.approx(MU_WATER * 40, rel=0.3), "tens of mm of water"
    assert measurement.sigma is None
    assert measurement.spacing == pytest.approx((2.5, 4.0, 3.0))


def test_a_name_and_a_number_of_views(volume: Volume) -> None:
    assert simulate_ct(volume).y.shape[1] == 40
    assert simulate_ct(volume, "limited90", 5).operator.geometry.angles == circular_angles(5, 0, math.pi / 2)  # type: ignore[attr-defined]
    turned = replace(GEOMETRY, angles=circular_angles(10, 0.3, math.pi))
    assert simulate_ct(volume, turned, 4).operator.geometry.angles == pytest.approx(circular_angles(4, 0.3, math.pi))  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="views must be at least 1"):
        simulate_ct(volume, GEOMETRY, 0)


def test_a_geometry_that_does_not_fit(volume: Volume) -> None:
    metres = replace(volume, affine=volume.affine @ np.diag([50.0, 50.0, 1.0, 1.0]))
    with pytest.raises(InputError, match=r"the geometry does not fit the volume: .* is the spacing in millimetres\?"):
        simulate_ct(metres, GEOMETRY)


def test_noise_follows_the_seed(volume: Volume) -> None:
    noise = TransmissionNoise(1e4, 5.0)
    clean = simulate_ct(volume, GEOMETRY)
    first, same, other = (simulate_ct(volume, GEOMETRY, noise=noise, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.y, same.y)
    assert not torch.equal(first.y, other.y)
    assert isinstance(first.sigma, torch.Tensor)
    standardised = (first.y - clean.y) / first.sigma
    assert float(standardised.std()) == pytest.approx(1, abs=0.03)
    assert float(standardised.mean()) == pytest.approx(0, abs=0.05)


def test_the_protocol_says_what_was_done(volume: Volume) -> None:
    protocol = simulate_ct(volume, GEOMETRY, noise=TransmissionNoise(1e4, 5.0)).protocol
    text = " ".join(protocol.sentences)
    for words in ("Fan beam", "10 views", "simulated", "Poisson noise of 10000 photons", "Scatter and beam hardening"):
        assert words in text
    assert protocol.noise == {"photons": 1e4, "electronic": 5.0}
    assert protocol.geometry is not None
    json.dumps(protocol.geometry)
    assert protocol.geometry["description"] in text.replace("Fan", "fan")
    assert "No noise was added." in simulate_ct(volume, GEOMETRY).protocol.sentences


@pytest.mark.parametrize("noise", [None, TransmissionNoise(1e4, 5.0)], ids=["noise-free", "noisy"])
def test_a_sinogram_file_is_the_same_measurement(tmp_path: Path, volume: Volume, noise: TransmissionNoise) -> None:
    simulated = simulate_ct(volume, GEOMETRY, noise=noise)
    write_sinogram(tmp_path / "scan.h5", sinogram_of(simulated, volume, 0))
    measured, grid = measured_ct(read_sinogram(tmp_path / "scan.h5"))
    assert torch.equal(measured.y, simulated.y)
    assert measured.operator.geometry == simulated.operator.geometry  # type: ignore[attr-defined]
    assert measured.spacing == pytest.approx(simulated.spacing)
    assert grid.data.shape == volume.data.shape
    np.testing.assert_allclose(grid.affine, volume.affine)
    torch.testing.assert_close(measured.operator.adjoint(measured.y), simulated.operator.adjoint(simulated.y))
    if noise is None:
        assert measured.sigma is None
    else:
        torch.testing.assert_close(measured.sigma, simulated.sigma)
        assert measured.protocol.noise == simulated.protocol.noise


@pytest.fixture
def scan(volume: Volume) -> Sinogram:
    """A measured scan: nothing is known but the data."""
    sinogram = sinogram_of(simulate_ct(volume, GEOMETRY), volume, 0)
    return replace(sinogram, meta={})


def test_stated_noise_is_that_of_the_user_then_of_the_file(scan: Sinogram) -> None:
    of_file = measured_ct(replace(scan, meta={"noise": {"photons": 500}}))[0]
    assert of_file.protocol.noise == {"photons": 500.0, "electronic": 0.0}
    of_user = measured_ct(replace(scan, meta={"noise": {"photons": 500}}), TransmissionNoise(2e4))[0]
    assert of_user.protocol.noise == {"photons": 2e4, "electronic": 0.0}
    torch.testing.assert_close(of_user.sigma, TransmissionNoise(2e4).standard_deviation(scan.data))


def test_a_real_scan_is_not_called_simulated(scan: Sinogram) -> None:
    text = " ".join(measured_ct(scan)[0].protocol.sentences)
    assert "there is no ground truth" in text
    assert "Nothing is known of its noise" in text
    assert "simulated" not in text


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        ({"photons": 0}, "photons per cell must be between"),
        ({"photons": "many"}, "`sinogram`"),
        ({"electronic": 3}, "its noise must state 'photons'"),
        ({"photons": None}, "its noise must state 'photons'"),
        (["photons"], "its noise must state 'photons'"),
        ("strong", "its noise must state 'photons'"),
    ],
)
def test_a_files_impossible_noise_is_one_line(scan: Sinogram, noise: object, message: str) -> None:
    with pytest.raises(InputError, match="`sinogram`") as raised:
        measured_ct(replace(scan, meta={"noise": noise}))
    assert message in str(raised.value)


def test_a_files_impossible_geometry_is_one_line(scan: Sinogram) -> None:
    with pytest.raises(InputError, match="`sinogram`: geometry type must be parallel or fan"):
        measured_ct(replace(scan, geometry=scan.geometry | {"type": "star"}))
    with pytest.raises(InputError, match="reach the source"):
        measured_ct(replace(scan, geometry=scan.geometry | {"source_isocentre": 10.0}))
