"""The Python API does what the command line does: doubts, choice of the method, memory guard, one-line errors."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from cli_helpers import body, kspace, run_recon, write_ct, write_dicom, write_mr
from pydicom.uid import ParametricMapStorage

import recon
from recon.errors import InputError, RunError
from recon.methods import get_method
from recon.run import memory
from recon.run.choose import choose_method
from recon.run.reported import settings_text
from recon.scan.measurement import ProgressEvent, Protocol, Reconstruction
from recon.scan.volume import Volume

GEOMETRY = "sparse20"


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def no_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """No head is installed."""
    monkeypatch.setattr("recon.diffusion.controlnet_head.entries", list)


@pytest.fixture
def scaled() -> Path:
    """A CT scaled to [0, 1]."""
    return write_ct(Path("unit.nii"), ((body() + 1000) / 1700).astype(np.float32))


def volume(path: Path, modality: Any = "CT", **given: Any) -> Volume:
    """What ``recon.load`` makes of a file with a volume."""
    loaded = recon.load(path, modality, **given)
    assert isinstance(loaded, Volume)
    return loaded


def small_ct() -> Volume:
    """A CT volume in HU, 4 slices of 28 x 32."""
    return volume(write_ct(Path("ct.nii.gz")))


def test_a_ct_scaled_to_one_is_noted_whoever_reconstructs_it(scaled: Path) -> None:
    case = volume(scaled)
    outcome = recon.reconstruct(recon.simulate_ct(case, GEOMETRY), case, "fbp", truth=case)
    (notice,) = outcome.notices
    assert "look like [0, 1], not HU" in notice
    assert notice in recon.save("out", outcome)["notices"]
    assert "look like [0, 1], not HU" in Path("out/report.html").read_text(encoding="utf-8")
    assert run_recon("svct", scaled, "--geometry", GEOMETRY, "--method", "fbp", "-o", "cli").code == 0
    assert json.loads(Path("cli/result.json").read_text())["notices"] == [notice]


def test_the_conversion_is_an_argument_of_load(scaled: Path) -> None:
    converted = volume(scaled, intensity="unit")
    assert float(converted.data.min()) == pytest.approx(-1000)
    assert float(converted.data.max()) == pytest.approx(1000)
    assert "mapped to -1000 to 1000 HU" in converted.notices[0]
    assert volume(scaled, intensity="hu").notices == ()


def test_the_sample_says_that_it_is_one() -> None:
    loaded = recon.load(None, "CT")
    assert isinstance(loaded, Volume)
    assert loaded.notices[0].startswith("sample data: LIDC-IDRI-0001")


def test_an_undershoot_of_a_magnitude_is_noted_and_a_ct_refused() -> None:
    ringing = write_ct(Path("ringing.nii"), np.maximum(body() + 1000, -20).astype(np.int16) - 20)
    assert "values down to -20" in volume(ringing, "MR").notices[0]
    with pytest.raises(InputError, match="no MR magnitude"):
        recon.load(write_ct(Path("ct.nii.gz")), "MR")


@pytest.mark.parametrize(
    ("path", "modality", "given", "message"),
    [
        ("ct.nii.gz", "PET", {}, "`modality` PET: must be one of CT, MR"),
        ("", "CT", {}, "`path`: must name a file or folder; it is empty"),
        ("ct.nii.gz", "CT", {"intensity": "grey"}, "`intensity` grey: must be one of auto, hu, unit, byte"),
        ("mr.nii.gz", "MR", {"intensity": "hu"}, "`intensity` hu: is for CT volumes"),
        ("sinogram.h5", "CT", {"intensity": "hu"}, "`intensity` hu: is for CT volumes"),
        ("none.nii.gz", "CT", {}, "no such file"),
    ],
)
def test_what_load_refuses(path: str, modality: Any, given: dict[str, Any], message: str) -> None:
    write_ct(Path("ct.nii.gz"))
    write_mr(Path("mr.nii.gz"))
    assert run_recon("simulate", "svct", "ct.nii.gz", "-q").code == 0
    with pytest.raises(InputError) as raised:
        recon.load(path, modality, **given)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_scans_of_the_wrong_modality_are_refused() -> None:
    ct, mr = small_ct(), volume(write_mr(Path("mr.nii.gz")), "MR")
    for simulate, wrong in ((recon.simulate_mr, ct), (recon.simulate_ct, mr), (recon.measure_mr, ct)):
        with pytest.raises(InputError, match=r"^`volume`: a volume of (CT|MR); this simulates (CT|MR) scans"):
            simulate(wrong)
    with pytest.raises(InputError, match="`volume`: must be a Volume; measure_mr takes measured data"):
        recon.simulate_mr("mr.nii.gz")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`noise` 2: must be a fraction"):
        recon.simulate_mr(mr, noise=2)


def test_volumes_that_do_not_go_with_the_measurement_are_refused() -> None:
    ct, mr = small_ct(), volume(write_mr(Path("mr.nii.gz")), "MR")
    scan = recon.simulate_ct(ct, GEOMETRY)
    short = Volume(ct.data[:2], ct.affine, "CT")
    for grid, truth, message in (
        (mr, None, "`grid`: a volume of MR, but the measurement is CT"),
        (short, None, "`grid`: 2 slices, but the measurement has 4"),
        (ct, short, "`truth`: 2 x 28 x 32 voxels"),
    ):
        with pytest.raises(InputError, match=message):
            recon.reconstruct(scan, grid, "fbp", truth=truth)


def test_measured_data_become_a_scan() -> None:
    write_ct(Path("ct.nii.gz"))
    assert run_recon("simulate", "svct", "ct.nii.gz", "-q").code == 0
    scan = recon.measure_ct(recon.load("sinogram.h5", "CT"))  # type: ignore[arg-type]
    outcome = recon.reconstruct(scan.measurement, scan.grid, "fbp")
    assert scan.truth is None
    assert outcome.result.data.shape == (4, 28, 32)
    with pytest.raises(InputError, match="`geometry`: a sinogram brings its own"):
        recon.measure_ct(recon.load("sinogram.h5", "CT"), GEOMETRY)  # type: ignore[arg-type]
    np.save("k.npy", kspace())
    full = recon.measure_mr(recon.load("k.npy", "MR", axes="zyx"), "gauss1d", 2.0)  # type: ignore[arg-type]
    assert full.truth is not None
    assert recon.reconstruct(full.measurement, full.grid, "zero-filled", truth=full.truth).metrics["psnr"]


@pytest.mark.usefixtures("no_head")
def test_auto_takes_tv_where_no_head_fits_and_says_why() -> None:
    case = small_ct()
    outcome = recon.reconstruct(recon.simulate_ct(case, GEOMETRY), case, settings={"iterations": 3})
    assert outcome.method == "tv"
    assert outcome.settings == {"iterations": 3}
    assert outcome.notices == ("`method` tv was taken, not meddiffusion: no ControlNet head for CT is installed",)


@pytest.mark.usefixtures("no_head")
def test_auto_with_a_head_or_its_prior_is_meddiffusion() -> None:
    for settings in ({"weights": "head.safetensors"}, {"prior": "starter"}):
        assert choose_method("auto", Protocol(geometry={}), "CT", settings) == ("meddiffusion", ())
    assert choose_method("sirt", Protocol(), "CT", {"weights": "x"}) == ("sirt", ())


def test_auto_takes_meddiffusion_where_a_shipped_head_fits() -> None:
    case = small_ct()
    for geometry, method in (("paper40", "meddiffusion"), ("limited90", "meddiffusion"), ("cone180", "tv")):
        chosen, why = choose_method("auto", recon.simulate_ct(case, geometry).protocol, "CT", {})
        assert chosen == method
        assert bool(why) == (method == "tv")


def test_a_reconstruction_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    case = small_ct()
    scan = recon.simulate_ct(case, GEOMETRY)
    monkeypatch.setattr(memory, "available_bytes", lambda: 123_000_000)
    for run in (lambda: recon.reconstruct(scan, case, "fbp"), lambda: recon.simulate_ct(case, GEOMETRY)):
        with pytest.raises(InputError, match=r"needs about 0\.5 GB of memory and 0\.1 GB are free"):
            run()


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_memory_that_runs_out_is_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*given: object) -> Reconstruction:
        raise error

    case = small_ct()
    scan = recon.simulate_ct(case, GEOMETRY)
    monkeypatch.setattr("recon.methods.ct_sirt.METHOD", replace(get_method("CT", "sirt"), run=run))
    with pytest.raises(RunError, match=r"^out of memory"):
        recon.reconstruct(scan, case, "sirt")


def test_stages_carry_the_method_and_residuals_only_where_there_are_some() -> None:
    case, events = small_ct(), []
    scan = recon.simulate_ct(case, GEOMETRY)
    recon.reconstruct(scan, case, "sirt+dc", settings={"iterations": 3}, progress=events.append)
    steps: list[ProgressEvent] = events
    assert [event.stage for event in steps[:3]] == ["sirt+dc: iterations"] * 3
    assert all(event.residual and event.residual > 0 for event in steps[:3])
    assert {event.stage for event in steps[3:]} == {"sirt+dc: data consistency"}
    assert steps[-1].residual is None


def test_wrong_settings_name_the_parameter() -> None:
    case = small_ct()
    scan = recon.simulate_ct(case, GEOMETRY)
    with pytest.raises(InputError) as raised:
        recon.reconstruct(scan, case, "tv", settings={"iteration": 3})
    assert raised.value.parameter == "iteration"
    assert "did you mean iterations?" in str(raised.value)
    with pytest.raises(InputError, match="`iterations`=0: must be an integer of 1 or more"):
        recon.reconstruct(scan, case, "tv", settings={"iterations": 0})


def test_a_report_lists_no_setting_without_a_value() -> None:
    of_method = {"settings": {"steps": 2}, "settings_resolved": {"steps": 2, "weights": "", "gain": None, "detail": 0}}
    assert settings_text(of_method) == "steps=2; defaults gain=auto, detail=0"


def test_dicom_is_refused_before_anything_is_written() -> None:
    case = small_ct()
    outcome = recon.reconstruct(recon.simulate_ct(case, GEOMETRY), case, "fbp")
    with pytest.raises(InputError, match="`dicom`"):
        recon.save("out", outcome, dicom=True)
    assert not Path("out").exists()


def test_the_deviation_of_a_dicom_result_is_a_parametric_map() -> None:
    write_dicom(Path("series"))
    case = volume(Path("series"))
    outcome = recon.reconstruct(recon.simulate_ct(case, GEOMETRY), case, "fbp")
    spread = case.like(torch.rand(case.data.shape, generator=torch.Generator().manual_seed(0)))
    recon.save("out", replace(outcome, std=spread), dicom=True)
    (written,) = Path("out/dicom-std").iterdir()
    assert pydicom.dcmread(written, stop_before_pixels=True).SOPClassUID == ParametricMapStorage
    torch.testing.assert_close(volume(Path("out/dicom-std")).data, spread.data)
    assert volume(Path("out/dicom")).data.shape == case.data.shape


def test_notices_are_told_once() -> None:
    case = small_ct()
    noted = Volume(case.data, case.affine, "CT", notices=("mind this",))
    scan = recon.simulate_ct(case, GEOMETRY)
    outcome = recon.reconstruct(scan, noted, "fbp", truth=noted, notices=("and that", "mind this"))
    assert outcome.all_notices == ("mind this", "and that")
    assert noted.like(torch.zeros_like(noted.data)).notices == ("mind this",)


def test_the_api_is_listed_and_typed() -> None:
    shown = [name for name in dir(recon) if not name.startswith("_")]
    assert shown == sorted(name for name in recon.__all__ if not name.startswith("_"))
    assert all(getattr(recon, name) for name in recon.__all__)
    assert recon.__version__[0].isdigit() or recon.__version__ == "unknown"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        recon.nothing  # type: ignore[attr-defined]  # noqa: B018
    root = Path(recon.__file__).parents[1]
    for package in ("recon", "physics", "priors", "datasets", "benchmarks"):
        assert (root / package / "py.typed").is_file()


def test_importing_it_imports_nothing_heavy() -> None:
    code = "import sys, recon; assert not {'torch', 'numpy', 'pydantic', 'click'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(recon.__file__).parents[1])
