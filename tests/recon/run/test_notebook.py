"""What a notebook shows of volumes, sinograms and outcomes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import body, write_ct, write_mr

import recon
from recon.errors import InputError
from recon.run.outcome import Outcome


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    case = recon.load(write_ct(tmp_path_factory.mktemp("case") / "case.nii.gz"), "CT")
    scan = recon.measure_ct(case, "paper40")
    return recon.reconstruct(scan.measurement, scan.grid, "cgls", truth=scan.truth, settings={"iterations": 5})


def test_a_volume_shows_its_planes_and_facts(tmp_path: Path) -> None:
    text = recon.load(write_ct(tmp_path / "case.nii.gz"), "CT")._repr_html_()
    assert re.findall(r"<figcaption>(\w+)<", text) == ["axial", "coronal", "sagittal"]
    assert "3 x 2 x 2 mm" in text
    assert "values -1000 to 700 HU, shown from -160 to 240" in text
    text = recon.load(write_mr(tmp_path / "brain.nii.gz"), "MR")._repr_html_()
    assert " HU" not in text


def test_text_of_a_file_is_no_markup(tmp_path: Path) -> None:
    text = recon.load(write_ct(tmp_path / "a<b>.nii.gz"), "CT")._repr_html_()
    assert "a&lt;b&gt;" in text
    assert "a<b>" not in text


def test_a_volume_is_an_array(tmp_path: Path) -> None:
    volume = recon.load(write_ct(tmp_path / "case.nii.gz"), "CT")
    assert np.asarray(volume).shape == body().T.shape
    assert np.asarray(volume, dtype=np.float64).dtype == np.float64


def test_an_outcome_shows_truth_baseline_and_result_with_soft_tissue_first(outcome: Outcome) -> None:
    text = outcome._repr_html_()
    assert re.findall(r"<figcaption>([\w ]+) axial<", text) == ["ground truth", "FBP", "CGLS"]
    assert re.search(r"CGLS: PSNR soft tissue \(dB\) [\d.]+, PSNR \(dB\) [\d.]+, SSIM [\d.]+", text)
    assert "not for diagnosis" in text


def test_an_outcome_plots_itself(outcome: Outcome) -> None:
    pytest.importorskip("matplotlib")
    figure = outcome.plot()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:3] == ["ground truth", "FBP", "CGLS"]
    assert titles[5].startswith("error, ±")
    shown = figure.axes[2].images[0].get_array()
    np.testing.assert_array_equal(shown, outcome.result.data.numpy()[2][::-1, ::-1])
    assert outcome.plot("coronal", 3).axes[0].images[0].get_array().shape == (4, 32)
    for arguments, message in ((("oblique",), "`plane` oblique"), (("axial", 4), "`index` 4: the axial plane has")):
        with pytest.raises(InputError, match=message):
            outcome.plot(*arguments)


def test_without_matplotlib_one_line_says_so(outcome: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(InputError, match="`plot` needs matplotlib"):
        outcome.plot()
