"""Known lesions: where they go, that their contrast is measured right, and what methods leave of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from benchmarks.cli import main
from benchmarks.quality.lesions import LESIONS, Lesion, contrast, find_place, insert, measure, most_soft_tissue
from physics.ct.geometry import FanBeam, circular_angles
from recon.errors import InputError
from recon.io.nifti.volume import write_volume
from recon.scan.volume import Volume


def body(size: int = 64) -> Volume:
    """Soft tissue of 50 HU with a rough half, in air."""
    z, y, x = np.meshgrid(np.arange(10), *(np.linspace(-1, 1, size),) * 2, indexing="ij")
    values = np.where(x**2 + y**2 < 0.9, 50.0, -1000.0) + np.where(x > 0.1, 15.0 * ((z + 0 * x) % 2), 0.0)
    return Volume(torch.from_numpy(values).float(), np.diag([3.0, 3.0, 3.0, 1.0]), "CT")


def test_a_lesion_lies_in_smooth_soft_tissue_and_has_its_contrast() -> None:
    volume, places = body(), []
    for lesion in LESIONS:
        place = find_place(volume, lesion, places)
        places.append(place)
        ill = insert(volume, {place: lesion})
        assert abs(contrast(volume, place, lesion)) < 1
        assert contrast(ill, place, lesion) == pytest.approx(lesion.contrast, rel=0.1)
    assert places[0][2] < 32, "away from what varies"
    assert np.linalg.norm(np.subtract(*places)) * 3 > 2 * LESIONS[0].radius


@pytest.mark.parametrize("simulate", ["continuous", "ideal"])
def test_methods_are_measured_on_the_same_scans(simulate) -> None:
    geometry = FanBeam(circular_angles(60), pitch=3.0)
    rows = measure(body(), geometry, ["fbp", "cgls"], announce=lambda line: None, simulate=simulate)
    assert [(row.method, row.lesion) for row in rows] == [(m, x.name) for m in ("fbp", "cgls") for x in LESIONS]
    found = {(row.method, row.lesion): row for row in rows}
    assert 0.5 < found["cgls", LESIONS[0].name].recovered < 1.2
    assert all(abs(row.invented) < 40 for row in rows)


def test_what_has_no_place_is_refused() -> None:
    with pytest.raises(InputError, match="no soft tissue of 108 mm"):
        find_place(body(), Lesion("huge", 50.0, 10.0))


def test_slices_of_most_soft_tissue_stay_where_they_are() -> None:
    volume = body()
    volume.data[:4] = -1000
    part = most_soft_tissue(volume, 5)
    assert part.data.shape[0] == 5
    assert part.affine[2, 3] >= 12
    assert most_soft_tissue(volume, 20) is volume


def test_the_command_prints_a_table(tmp_path) -> None:
    case = tmp_path / "case.nii.gz"
    write_volume(case, body())
    command = ["lesions", "--input", str(case), "--methods", "fbp", "--slices", "10", "--simulate", "ideal"]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "large, faint" in result.output
    assert "inverse crime" in result.output
    result = CliRunner().invoke(main, [*command, "--json"], catch_exceptions=False)
    assert {row["method"] for row in json.loads(result.stdout)} == {"fbp"}
    assert {row["simulation"] for row in json.loads(result.stdout)} == {"ideal"}
    result = CliRunner().invoke(main, ["lesions", "--input", str(case), "--methods", "tvv"])
    assert result.exit_code == 2
    assert "did you mean tv" in result.output


def test_the_commands_scans_are_of_a_continuous_object_by_default(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("benchmarks.quality.lesions.measure", lambda *_, simulate, **__: asked.append(simulate) or [])
    case = tmp_path / "case.nii.gz"
    write_volume(case, body())
    result = CliRunner().invoke(main, ["lesions", "--input", str(case)], catch_exceptions=False)
    assert asked == ["continuous"]
    assert "crime" not in result.output
