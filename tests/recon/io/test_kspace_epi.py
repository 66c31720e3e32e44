"""Echo-planar raw data: a phantom read in both directions, with delays and on ramps, and its ghost before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ismrmrd
import numpy as np
import pytest
import torch

from physics.mr.cartesian import ifft2c
from recon.errors import InputError
from recon.io.detect import describe
from recon.io.kspace import ismrmrd_epi
from recon.io.kspace.epi import GhostPhase, LineGrid, Ramp, ghost_phase
from recon.io.kspace.file import read_kspace

ROWS, COLUMNS, COILS = 32, 24, 3
RAMP = Ramp(up=120.0, flat=200.0, down=120.0, delay=30.0, dwell=380.0 / 48, samples=48)
DELAY, OFFSET = 0.35, 0.6
"""Of backward readouts: shift of the echo in steps of k, and phase in radians."""


def body() -> np.ndarray:
    """(coils, y, x) images of an ellipse in the middle half of x, so that its ghost falls beside it."""
    y, x = np.linspace(-1, 1, ROWS), np.linspace(-1, 1, COLUMNS)
    ellipse = 1 / (1 + np.exp(25 * (np.hypot(y[:, None] / 0.7, x / 0.4) - 1)))
    return np.stack([ellipse * (1 + 0.5 * k * y[:, None]) * np.exp(1j * k) for k in range(COILS)])


def positions(ramp: Ramp | None) -> np.ndarray:
    """Places along k of the samples of a forward readout, by numerical integration of the gradient."""
    if ramp is None:
        return np.arange(ROWS) - ROWS // 2
    fine = np.linspace(0, ramp.up + ramp.flat + ramp.down, 200001)
    gradient = np.minimum(1, np.minimum(fine / ramp.up, (fine[-1] - fine) / ramp.down))
    area = np.concatenate([[0], np.cumsum((gradient[1:] + gradient[:-1]) / 2 * np.diff(fine))])
    middles = np.interp(ramp.delay + ramp.dwell * (np.arange(ramp.samples) + 0.5), fine, area)
    start, stop = np.interp([ramp.delay, ramp.delay + ramp.samples * ramp.dwell], fine, area)
    return (middles - middles[ramp.samples // 2]) * ROWS / (stop - start)


def readout(step: int, backwards: bool, ramp: Ramp | None, slice_: int = 0) -> np.ndarray:
    """(coils, samples) in the order of time, of the phase encoding ``step``."""
    y, x = np.arange(ROWS) - ROWS // 2, np.arange(COLUMNS) - COLUMNS // 2
    place = positions(ramp)
    if backwards:
        place = DELAY * (1 + slice_) - place
    waves = np.exp(-2j * np.pi * np.outer(place, y) / ROWS)
    profile = body() @ np.exp(-2j * np.pi * (step - COLUMNS // 2) * x / COLUMNS)
    line = profile @ waves.T / np.sqrt(ROWS * COLUMNS)
    return line * np.exp(1j * OFFSET) if backwards else line


def header(ramp: Ramp | None) -> bytes:
    space = (
        f"<matrixSize><x>{ROWS}</x><y>{COLUMNS}</y><z>1</z></matrixSize>"
        "<fieldOfView_mm><x>240</x><y>200</y><z>4</z></fieldOfView_mm>"
    )
    longs = {} if ramp is None else {"rampUpTime": ramp.up, "flatTopTime": ramp.flat, "rampDownTime": ramp.down}
    longs |= {} if ramp is None else {"acqDelayTime": ramp.delay, "numSamples": ramp.samples}
    entries = "".join(
        f"<userParameterLong><name>{name}</name><value>{value:g}</value></userParameterLong>"
        for name, value in longs.items()
    )
    dwell = "" if ramp is None else f"<name>dwellTime</name><value>{ramp.dwell}</value>"
    description = (
        f"<trajectoryDescription><identifier>ConventionalEPI</identifier>{entries}<userParameterDouble>{dwell}"
        "</userParameterDouble></trajectoryDescription>"
        if ramp
        else ""
    )
    return (
        '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>'
        f"<encodedSpace>{space}</encodedSpace><reconSpace>{space}</reconSpace>"
        f"<trajectory>epi</trajectory>{description}<encodingLimits><kspace_encoding_step_1><minimum>0</minimum>"
        f"<maximum>{COLUMNS - 1}</maximum><center>{COLUMNS // 2}</center></kspace_encoding_step_1></encodingLimits>"
        "</encoding></ismrmrdHeader>"
    ).encode()


def write(path: Path, ramp: Ramp | None = None, slices: int = 1, references: int = 3) -> Path:
    """Reference lines without phase encoding, forwards and backwards in turn, and then all lines of the image."""
    lines = []
    for slice_ in range(slices):
        plan = [(COLUMNS // 2, k % 2 == 1, True) for k in range(references)]
        plan += [(step, step % 2 == 1, False) for step in range(COLUMNS)]
        for step, backwards, reference in plan:
            values = readout(step, backwards, ramp, slice_)
            line = ismrmrd.Acquisition()
            line.resize(values.shape[1], values.shape[0])
            line.data[:] = values.astype(np.complex64)
            line.center_sample = values.shape[1] // 2
            line.idx.kspace_encode_step_1, line.idx.slice = step, slice_
            line.position = (0.0, 0.0, 4.0 * slice_)
            line.read_dir, line.phase_dir, line.slice_dir = (0, 1, 0), (1, 0, 0), (0, 0, 1)
            if backwards:
                line.setFlag(ismrmrd.ACQ_IS_REVERSE)
            if reference:
                line.setFlag(ismrmrd.ACQ_IS_PHASECORR_DATA)
            lines.append(line)
    with ismrmrd.Dataset(str(path), "dataset", mode="w") as dataset:
        dataset.write_xml_header(header(ramp))
        for line in lines:
            dataset.append_acquisition(line)
    return path


def ghost(kspace: torch.Tensor) -> float:
    """Root mean square beside the ellipse, half a field of view away, over that within."""
    image = ifft2c(kspace).abs()
    inside = torch.from_numpy(np.abs(body()).sum(0)) > 0.5
    beside = inside.roll(COLUMNS // 2, -1) & ~inside
    return float(image[..., beside].square().mean().sqrt() / image[..., inside].square().mean().sqrt())


@pytest.mark.parametrize("ramp", [None, RAMP], ids=["flat", "ramp"])
def test_the_ghost_is_gone_and_the_image_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ramp: Ramp | None
) -> None:
    path = write(tmp_path / "epi.h5", ramp)
    kspace = read_kspace(path)
    assert kspace.mask is None
    after = ghost(kspace.data)
    expected = torch.from_numpy(np.abs(body()))[None]
    error = float((ifft2c(kspace.data).abs() - expected).norm() / expected.norm())
    monkeypatch.setattr(ismrmrd_epi, "ghost_phase", lambda *lines: GhostPhase(0.0, 0.0))
    before = ghost(read_kspace(path).data)
    assert before > 0.2
    assert after < 0.03 < before / 10
    assert error < 0.03
    assert kspace.meta["readouts_left_out"] == 0
    assert "phase corrected by 3 reference lines" in kspace.notices[0]
    assert ("ramps" in kspace.notices[0]) == (ramp is not None)


def test_every_slice_has_its_own_phase(tmp_path: Path) -> None:
    assert ghost(read_kspace(write(tmp_path / "epi.h5", slices=2)).data) < 0.03


@pytest.mark.parametrize("references", [0, 1])
def test_without_reference_lines_it_is_refused(tmp_path: Path, references: int) -> None:
    path = write(tmp_path / "epi.h5", references=references)
    with pytest.raises(InputError, match="without reference lines") as caught:
        read_kspace(path)
    assert "\n" not in str(caught.value)
    assert describe(path).problem is not None


@pytest.mark.parametrize(
    ("change", "message"), [({"dwell": 30.0}, "a gradient that cannot be"), ({"samples": 40}, "states 40")]
)
def test_a_description_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "epi.h5", RAMP)
    stated = Ramp(**{**vars(RAMP), **change})
    with ismrmrd.Dataset(str(path), "dataset", mode="r+") as dataset:
        dataset.write_xml_header(header(stated))
    with pytest.raises(InputError, match=message):
        read_kspace(path)


def test_samples_on_the_flat_top_alone_stay_where_they_are() -> None:
    flat = Ramp(up=100.0, flat=320.0, down=100.0, delay=100.0, dwell=10.0, samples=32)
    np.testing.assert_allclose(flat.positions(ROWS), np.arange(ROWS) - ROWS // 2, atol=1e-9)
    line = np.random.default_rng(0).standard_normal((2, ROWS)) + 0j
    np.testing.assert_allclose(LineGrid(ROWS, flat).on_grid(line, backwards=False), line, atol=1e-5)


@pytest.mark.parametrize("slope", [-0.4, 0.0, 0.25])
def test_the_phase_is_found(slope: float) -> None:
    profile = np.exp(-(np.linspace(-2, 2, ROWS) ** 2)) * (1 + 1j * np.linspace(0, 1, ROWS))
    x = np.arange(ROWS) - ROWS // 2

    def line(values: np.ndarray) -> np.ndarray:
        return np.fft.fftshift(np.fft.fft(np.fft.ifftshift(values), norm="ortho"))[None]

    found = ghost_phase(line(profile)[None], line(profile * np.exp(1j * (1.1 + slope * x)))[None])
    assert (found.offset, found.slope) == (pytest.approx(1.1, abs=1e-5), pytest.approx(slope, abs=1e-5))
