"""``benchmarks calibrate``: from a head and validation volumes to a head whose standard deviation is calibrated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from tiny_prior import make_head, write_prior

from benchmarks.cli import main
from benchmarks.quality.calibrate import _unseen, _widening
from datasets.cache import Cache
from physics.ct.geometry import FanBeam, circular_angles
from priors.weights.card import read_card
from priors.weights.seen import salted
from recon.acquisition.ct import simulate_ct
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.io.nifti.volume import write_volume
from recon.learned.task import Task
from recon.run.outcome import reconstruct
from recon.run.save import save
from recon.training.sources import load_split, parse_data

GEOMETRY = FanBeam(circular_angles(24), pitch=6.0)
DATA = {"dataset": "phantom:count=12,size=16x24x20,spacing=6x10x12", "modality": "CT", "class": "CTChestAbdomen"}


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head that changes nothing yet, its prior in the same folder."""
    folder = write_prior(tmp_path_factory.mktemp("prior"))
    return make_head(folder, folder, Task(CTAcquisition(GEOMETRY, photons=(1e5, 1e6)), ("sirt",)), joints=0.0)


def test_a_calibrated_head_holds_what_it_claims(head: Path, tmp_path: Path) -> None:
    listed, out = tmp_path / "data.yaml", tmp_path / "calibrated.safetensors"
    listed.write_text(yaml.safe_dump([DATA]))
    command = [
        "calibrate",
        str(head),
        "--prior",
        str(head.parent),
        "--data",
        str(listed),
        "--samples",
        "2",
        "-o",
        str(out),
    ]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "90 %" in result.output
    card = read_card(out)
    assert card.sha256 == read_card(head).sha256
    assert set(card.extra["calibration"]) == {"noise-free", "noisy"}
    assert card.extra["calibration"]["noise-free"]["factor"] >= 0
    told = {line.split(", ")[0] for line in result.output.splitlines() if ", nois" in line}
    assert card.extra["calibrated_on"] == sorted(salted(case, card.extra["salt"]) for case in told)
    assert "noise-free: factor" in result.output
    assert card.extra["calibrated_on"]
    refused = CliRunner().invoke(main, command)
    assert refused.exit_code == 2
    assert "exists" in refused.output

    volume = load_split(parse_data(str(listed), "folder", None, None), "val", Cache(tmp_path / "c"), print)[0]
    case = volume.volume.volume()
    settings = {"weights": str(out), "prior": str(head.parent), "samples": "2", "steps": "2"}
    outcome = reconstruct(simulate_ct(case, GEOMETRY), case, "meddiffusion", truth=case, settings=settings)
    held = outcome.metrics["coverage_90"]
    assert held is not None
    assert 0.75 < held <= 1
    path = tmp_path / "case.nii.gz"
    write_volume(path, case)
    save(tmp_path / "out", outcome)
    assert json.loads((tmp_path / "out" / "result.json").read_text())["metrics"]["coverage_90"] == held
    assert "intervals of nominal size contain the ground truth" in (tmp_path / "out" / "report.html").read_text()


def three_cases() -> list[tuple[np.ndarray, np.ndarray]]:
    """Errors and spreads; the third case errs twice as much as the others."""
    random = np.random.default_rng(0)
    spreads = random.uniform(0.5, 1.5, (3, 20_000)).astype(np.float32)
    return [
        (scale * own * random.standard_normal(own.shape).astype(np.float32), own)
        for scale, own in zip((1, 1, 2), spreads, strict=True)
    ]


def test_left_out_cases_are_judged_by_the_others() -> None:
    cases = three_cases()
    as_they_are = {"noisy": 1.0, "noise-free": 1.0}
    assert _unseen({"noisy": cases[:1]}, as_they_are) == {}
    assert _unseen({"noisy": cases[:2]}, as_they_are)[0.9] == pytest.approx(0.9, abs=0.02)
    # 0.9 of a normal distribution lies within 1.645 standard deviations, 0.59 within half as many
    assert _unseen({"noisy": cases, "noise-free": cases[:2]}, as_they_are)[0.9] == pytest.approx(0.59, abs=0.02)


def test_deviations_are_widened_until_no_case_left_out_falls_far_short() -> None:
    cases = three_cases()
    assert _widening(cases[:1]) == 1, "no other case to learn it from"
    assert _widening(cases[:2]) == 1, "each holds what the other says"
    factor = _widening(cases)
    assert factor == pytest.approx(2 * 1.44 / 1.645, rel=0.03), "0.85 lies within 1.44"
    assert _unseen({"noisy": cases}, {"noisy": factor})[0.9] == pytest.approx(0.85, abs=0.005)


@pytest.mark.parametrize(
    ("change", "line"),
    [({"modality": "MR", "class": "MRT1Brain"}, "'phantom' is CT, not MR"), ({"path": "no"}, "does not exist")],
)
def test_data_that_do_not_fit_are_one_line(head: Path, tmp_path: Path, change: dict[str, str], line: str) -> None:
    listed = tmp_path / "data.yaml"
    listed.write_text(yaml.safe_dump([DATA | change]))
    result = CliRunner().invoke(main, ["calibrate", str(head), "--data", str(listed), "-o", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert line in result.output
    assert not (tmp_path / "out").exists()
