"""Scans of continuous objects, by the service and the command line, and their model error taken off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_helpers import run_recon, write_mr

import recon
from datasets import open_dataset
from physics.noise import TransmissionNoise
from recon.acquisition.model_error import without_model_error
from recon.acquisition.spectrum import Spectrum
from recon.errors import InputError
from recon.run.load import load_case
from recon.scan.measurement import Scan
from recon.scan.volume import Volume


@pytest.fixture(scope="module")
def trunk() -> Volume:
    """A generated trunk of 8 slices."""
    volume = load_case(open_dataset("phantom:count=1,seed=7,size=8x48x48,spacing=4x8x8", None).cases()[0])
    assert isinstance(volume, Volume)
    return volume


@pytest.fixture(scope="module")
def corrected(trunk: Volume) -> Scan:
    """Its continuous scan, the model error taken off."""
    return recon.measure_ct(trunk)


def psnr(scan: Scan, **settings: object) -> float:
    outcome = recon.reconstruct(scan.measurement, scan.grid, "tv", truth=scan.truth, settings=settings)
    found = outcome.metrics["psnr"]
    assert found is not None
    return found


def test_the_crime_flatters_and_the_correction_gives_part_of_it_back(trunk: Volume, corrected: Scan) -> None:
    crime = recon.measure_ct(trunk, simulate="ideal")
    plain = recon.measure_ct(trunk, model_error="leave")
    assert any("inverse crime" in each for each in crime.measurement.protocol.sentences)
    assert not any("inverse crime" in each for each in plain.measurement.protocol.sentences)
    assert "model error" in corrected.measurement.protocol.sentences[-1]
    assert corrected.measurement.protocol.model_error is not None
    assert psnr(crime) > psnr(corrected) + 3 > psnr(plain) + 6


def test_total_variation_works_on_the_finer_grid_that_told_the_model_error(corrected: Scan) -> None:
    measurement = corrected.measurement
    assert measurement.finer is not None
    assert measurement.finer.shape == (8, 96, 96)
    part = measurement.slices(slice(2, 4)).finer
    assert part is not None
    assert part.shape == (2, 96, 96)
    assert psnr(corrected) > psnr(corrected, grid="result")


def test_nothing_finer_is_told_of_an_ideal_scan_or_one_that_is_left_alone(trunk: Volume) -> None:
    for how in ({"simulate": "ideal"}, {"model_error": "leave"}):
        scan = recon.measure_ct(trunk, **how)  # type: ignore[arg-type]
        assert scan.measurement.finer is None
        assert psnr(scan, iterations=5) == psnr(scan, iterations=5, grid="result")


def test_the_command_line_does_the_same(trunk: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recon.io.nifti.volume import write_volume

    monkeypatch.chdir(tmp_path)
    write_volume(tmp_path / "trunk.nii.gz", trunk)
    done = run_recon("svct", "trunk.nii.gz", "--method", "tv", "-o", "out")
    assert done.code == 0, done.err
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert 1e-4 < result["model_error"] < 0.1
    assert "model error of the pixels" in (tmp_path / "out" / "report.html").read_text()
    written = run_recon("simulate", "svct", "trunk.nii.gz", "-o", "scan.h5")
    assert written.code == 0, written.err
    crime = "inverse crime"
    assert run_recon("svct", "--sinogram", "scan.h5", "--method", "fbp", "-o", "read").code == 0
    assert crime not in (tmp_path / "read" / "report.html").read_text(), "what the file is of is kept"
    refused = run_recon("svct", "--sinogram", "scan.h5", "--simulate", "continuous", "-o", "no")
    assert refused.code == 2
    assert "--simulate" in refused.err


def test_mr_has_no_such_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scan = recon.measure_mr(recon.load(write_mr(Path("mr.nii.gz")), "MR"), "gauss1d", 2)
    with pytest.raises(InputError, match="`model_error` correct: is for CT"):
        without_model_error(scan)


def test_what_becomes_of_the_model_error_is_one_of_three_things(trunk: Volume) -> None:
    with pytest.raises(InputError, match="`model_error` away: must be one of auto, correct, leave"):
        recon.measure_ct(trunk, model_error="away")  # type: ignore[arg-type]


def test_a_method_is_told_of_noise_and_model_error_apart(trunk: Volume, corrected: Scan) -> None:
    quiet = corrected.measurement
    assert not quiet.noisy
    assert quiet.noise_variance is None
    noisy = recon.measure_ct(trunk, noise=TransmissionNoise(1e3)).measurement
    assert noisy.noisy
    assert noisy.noise_level > quiet.noise_level > 0


def test_a_beam_with_a_spectrum(trunk: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recon.io.nifti.volume import write_volume

    monkeypatch.chdir(tmp_path)
    write_volume(tmp_path / "trunk.nii.gz", trunk)
    beam = Spectrum((0.5, 0.5), (1.3, 0.8), (1.9, 0.6), "two energies")
    monkeypatch.setattr("recon.acquisition.spectrum.tube_spectrum", lambda voltage: beam)
    written = run_recon("simulate", "svct", "trunk.nii.gz", "--spectrum", "120", "-o", "hard.h5")
    assert written.code == 0, written.err
    assert "two energies" in written.err


def test_a_scanner_with_faults_on_a_coarser_grid(
    trunk: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recon.io.nifti.volume import write_volume

    monkeypatch.chdir(tmp_path)
    write_volume(tmp_path / "trunk.nii.gz", trunk)
    faults = ("--scatter", "0.05", "--gain-error", "0.01", "--dead-cells", "0.03", "--focal-spot", "1")
    arguments = ("trunk.nii.gz", *faults, "--grid", "24,24", "--photons", "1e5")
    written = run_recon("simulate", "svct", *arguments, "-o", "scan.h5")
    assert written.code == 0, written.err
    for words in ("scatter of 0.05", "gain errors of 0.01", "cells dead", "focal spot of 1 mm"):
        assert words in written.err
    read = run_recon(
        "svct", "--sinogram", "scan.h5", "--method", "tv", "--model-error", "leave", "-o", "read", "--json"
    )
    assert read.code == 0, read.err
    assert json.loads(read.out)["shape"][-2:] == [24, 24]
    for wrong, words in (
        (("--grid", "96,96"), "--grid 96,96: finer than the volume"),
        (("--simulate", "ideal", "--grid", "24,24"), "--grid: is for simulations of a continuous object"),
        (("--dead-cells", "2"), "--dead-cells 2: must be from 0 to 0.5"),
        (("--spectrum", "20"), "--spectrum 20: must be a tube voltage from 40 to 150 kV"),
    ):
        refused = run_recon("svct", "trunk.nii.gz", *wrong, "--method", "fbp", "-o", "no")
        assert refused.code == 2
        assert words in refused.err
