"""Siemens raw data, as twixtools gives them: from a stand-in of the package, and from a measured file where it is."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from physics.mr.cartesian import fft2c, ifft2c
from recon.errors import InputError
from recon.io.detect import describe
from recon.io.kspace.file import read_any_kspace, read_kspace
from recon.io.kspace.request import KSpaceRequest

ROWS, COLUMNS = 16, 12
MEASURED = Path(__file__).resolve().parents[4] / "shared/data/measured/mr/gre.dat"


def readout(data: np.ndarray, line: int, plane: int = 0, slice_: int = 0, *flags: str, **other: Any) -> SimpleNamespace:
    mdh = SimpleNamespace(CenterCol=other.pop("centre", ROWS // 2), CenterLin=COLUMNS // 2, CenterPar=2)
    counters = {"cLin": line, "cPar": plane, "cSlc": slice_, "cEco": 0, "cRep": 0, "cSet": 0, "cPhs": 0} | other
    return SimpleNamespace(data=data, mdh=mdh, get_active_flags=lambda: ["ONLINE", *flags], **counters)


def header(slices: int = 1) -> dict[str, Any]:
    each = [
        {"dReadoutFOV": 160.0, "dPhaseFOV": 240.0, "dThickness": 4.0, "sPosition": {"dTra": 5.0 * k}}
        for k in range(slices)
    ]
    kspace = {"lBaseResolution": ROWS // 2, "lPhaseEncodingLines": COLUMNS}
    return {"MeasYaps": {"sKSpace": kspace, "sSliceArray": {"asSlice": each}}}


@pytest.fixture
def scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write the readouts of a scan where a stand-in of twixtools finds them."""
    path = tmp_path / "scan.dat"
    path.write_bytes(b"raw")

    def write(readouts: list[Any], slices: int = 1, **meas: Any) -> Path:
        package: Any = ModuleType("twixtools")
        package.read_twix = lambda name: [{}, {"mdb": readouts, "hdr": header(slices) | {"Meas": meas}}]
        monkeypatch.setitem(sys.modules, "twixtools", package)
        return path

    return write


def lines(data: torch.Tensor, *flags: str, columns: range = range(COLUMNS), **other: Any) -> list[SimpleNamespace]:
    return [
        readout(plane[:, :, line].numpy(), line, 0, z, *flags, **other)
        for z, plane in enumerate(data)
        for line in columns
    ]


def kspace_of(slices: int, coils: int) -> torch.Tensor:
    return fft2c(torch.rand(slices, coils, ROWS, COLUMNS, generator=torch.Generator().manual_seed(0)) + 0j)


def test_slices_with_readouts_of_other_kinds(scan: Any) -> None:
    data = kspace_of(2, 3)
    other = [readout(100 * np.ones((3, ROWS), complex), 0, 0, 0, flag) for flag in ("NOISEADJSCAN", "PHASESTABSCAN")]
    kspace = read_kspace(scan([*lines(data), *other], slices=2))
    torch.testing.assert_close(kspace.data, data)
    assert kspace.mask is None
    assert kspace.image_shape == (ROWS // 2, COLUMNS)
    np.testing.assert_allclose(np.linalg.norm(kspace.affine[:3, :3], axis=0), [20, 20, 5])
    assert kspace.meta["readouts_left_out"] == 2


def test_undersampled_lines_with_calibration_lines_apart(scan: Any) -> None:
    data = kspace_of(1, 3)
    readouts = lines(data, columns=range(0, COLUMNS, 2)) + lines(data, "PATREFSCAN", columns=range(4, 8))
    kspace = read_kspace(scan(readouts))
    assert kspace.mask is not None
    assert kspace.mask.all(0).tolist() == [line % 2 == 0 for line in range(COLUMNS)]
    assert kspace.calibration is not None
    torch.testing.assert_close(kspace.calibration[..., 4:8], data[..., 4:8])


def test_an_asymmetric_echo_goes_to_its_place(scan: Any) -> None:
    data = kspace_of(1, 2)
    data[:, :, :5] = 0
    cut = [readout(data[0, :, 5:, line].numpy(), line, centre=ROWS // 2 - 5) for line in range(COLUMNS)]
    kspace = read_kspace(scan(cut))
    torch.testing.assert_close(kspace.data, data)
    assert kspace.partial_fourier


def shifted(line: np.ndarray, offset: float, slope: float) -> np.ndarray:
    """A line (coils, ROWS) with a linear phase of its profile."""
    profile = np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(line, axes=-1), norm="ortho"), axes=-1)
    profile = profile * np.exp(1j * (offset + slope * (np.arange(ROWS) - ROWS // 2)))
    return np.fft.fftshift(np.fft.fft(np.fft.ifftshift(profile, axes=-1), norm="ortho"), axes=-1)


@pytest.mark.parametrize("regridded", [False, True])
def test_echo_planar_lines_are_turned_and_their_phase_corrected(scan: Any, regridded: bool) -> None:
    data = kspace_of(2, 3)
    readouts = []
    for z, plane in enumerate(data.numpy()):
        plan = [(COLUMNS // 2, k % 2, "PHASCOR") for k in range(3)] + [(k, k % 2, "ONLINE") for k in range(COLUMNS)]
        for step, backwards, flag in plan:
            line = shifted(plane[:, :, step], 0.5, 0.2 + 0.1 * z)[:, ::-1] if backwards else plane[:, :, step]
            readouts.append(readout(line, step, 0, z, flag, *(["REFLECT"] if backwards else [])))
    # A gradient that is flat while samples are taken changes nothing.
    times = {"alRegridRampupTime": 10, "alRegridFlattopTime": 160, "alRegridRampdownTime": 10}
    sampling = {"alRegridMode": [2], "alRegridDelaySamplesTime": [10], "aflRegridADCDuration": [160.0]}
    path = scan(readouts, slices=2, **(times | sampling if regridded else {}))
    kspace = read_kspace(path)
    torch.testing.assert_close(kspace.data, data, rtol=1e-3, atol=1e-3)
    assert "phase corrected by 6 reference lines" in kspace.notices[0]
    assert ("ramps" in kspace.notices[0]) == regridded
    assert kspace.meta["readouts_left_out"] == 0


def test_one_contrast_and_the_average_of_repetitions(scan: Any) -> None:
    data = kspace_of(1, 2)
    readouts = [
        each
        for contrast in range(2)
        for repetition in range(3)
        for each in lines((1 + contrast) * (1 + repetition) * data, cEco=contrast, cRep=repetition)
    ]
    found = read_any_kspace(scan(readouts), KSpaceRequest(contrast=1, repetition="average"))
    torch.testing.assert_close(found.data, 4 * data)
    assert found.meta["readouts_left_out"] == 3 * COLUMNS
    torch.testing.assert_close(read_any_kspace(scan(readouts), KSpaceRequest(contrast=0, repetition=2)).data, 3 * data)
    with pytest.raises(InputError, match=r"`contrast` 2: .* has 0, 1"):
        read_any_kspace(scan(readouts), KSpaceRequest(contrast=2, repetition=0))


@pytest.mark.parametrize(
    ("readouts", "message"),
    [
        (lines(kspace_of(1, 1), "REFLECT"), "echo-planar readouts without reference lines"),
        (
            [*lines(kspace_of(1, 1)), readout(np.ones((1, ROWS), complex), 0, cRep=1)],
            "2 different values of repetition; choose one with `repetition`: 0, 1, or average",
        ),
        ([readout(np.ones((1, ROWS), complex), 0, 0, 0, "NOISEADJSCAN")], "none of the 1 readouts"),
        ([*lines(kspace_of(1, 1)), readout(np.ones((1, ROWS), complex), 40)], "does not fit the header's matrix"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(scan: Any, readouts: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_kspace(scan(readouts))


def test_without_the_extra_the_message_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "twixtools", None)
    (tmp_path / "scan.dat").write_bytes(b"raw")
    with pytest.raises(InputError, match="install it with 'pip install twixtools'"):
        read_kspace(tmp_path / "scan.dat")


@pytest.mark.skipif(importlib.util.find_spec("twixtools") is None, reason="twixtools is not installed")
@pytest.mark.skipif(not MEASURED.exists(), reason="the measured file is not here")
def test_a_measured_file() -> None:
    kspace = read_kspace(MEASURED)
    assert kspace.data.shape == (1, 2, 320, 160)
    assert kspace.image_shape == (160, 160)
    assert describe(MEASURED).spacing_mm == pytest.approx((1.25, 1.25, 4.0))
    image = ifft2c(kspace.data).abs().square().sum(1).sqrt()[0]
    assert float(image[80:240].mean()) > 3 * float(image[:20].mean())
