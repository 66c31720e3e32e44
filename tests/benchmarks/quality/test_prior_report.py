"""What a prior is worth: seams on made-up errors, and the report of a prior of random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_helpers import write_ct
from click.testing import CliRunner
from PIL import Image
from tiny_prior import write_prior

from benchmarks.cli import main
from benchmarks.quality.prior_report import montage
from benchmarks.quality.round_trip import RoundTrip, linear_codes, seam_ratio, table
from recon.pictures.lettering import MARGIN


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prior of random weights that learned two classes."""
    classes = {"CTChestAbdomen": [5, 2, 2], "MRKnee": [3, 1, 1]}
    return write_prior(tmp_path_factory.mktemp("prior"), classes=classes, size=[32, 32, 32])


@pytest.mark.parametrize("size", [16, 20])
def test_steps_at_the_borders_are_seams_and_noise_is_none(size):
    torch.manual_seed(0)
    image = torch.rand(size, size, size)
    noise = 0.1 * torch.randn(size, size, size)
    assert seam_ratio(image, image + noise, 8) == pytest.approx(1, abs=0.1)
    before = (-size % 8) // 2
    blocks = (torch.arange(size) + before) // 8
    steps = (blocks[:, None, None] + blocks[:, None] + blocks).float()
    assert seam_ratio(image, image + noise + steps, 8) > 5
    shifted = steps.roll((3, 3, 3), (0, 1, 2))
    assert seam_ratio(image, image + noise + shifted, 8) < 1.1, "steps elsewhere are no seams"


def test_one_patch_has_no_seam():
    assert seam_ratio(torch.zeros(8, 8, 8), torch.rand(8, 8, 8), 8) == 1


def test_linear_codes_keep_what_few_components_explain():
    torch.manual_seed(0)
    weights, shapes = torch.randn(6, 5, 7, 3), torch.randn(3, 4, 4, 4)
    image = torch.einsum("zxyk,kpqr->zpxqyr", weights, shapes).reshape(24, 20, 28)
    torch.testing.assert_close(linear_codes(image, 4, 3), image, atol=1e-5, rtol=0)
    error = (linear_codes(image, 4, 2) - image).square().mean()
    assert 0.01 * image.var() < error < image.var() / 3, "the smallest of three components is lost"
    assert linear_codes(image, 4, 0).std() < image.std() / 4, "the mean cube is left"


def test_linear_codes_of_odd_sizes_and_all_coefficients_are_the_image():
    image = torch.rand(7, 9, 11)
    torch.testing.assert_close(linear_codes(image, 4, 64), image, atol=1e-5, rtol=0)


def test_the_table_has_the_mean_of_each_modality():
    rows = [RoundTrip(f"val/{i}", "CT", 30.0 + i, 0.9, 29.0, 0.8, 1.0, 2.0, 28.0) for i in range(2)]
    rows.append(RoundTrip("val/m", "MR", 20, 0.7, 19, 0.6, 1, 1, 18))
    lines = table(rows)
    assert len(lines) == 5
    assert lines[-1].split()[:4] == ["mean", "of", "2,", "CT"]
    assert lines[-1].split()[4] == "30.50"
    assert lines[-1].split()[-2:] == ["1.50", "28.00"]


def test_pictures_are_stacked_under_their_labels():
    rows = [("one", np.full((10, 30), 200, np.uint8)), ("two", np.full((5, 20), 100, np.uint8))]
    canvas = montage(rows)
    assert canvas.shape == (15 + 28, 30)
    assert (canvas[14:24] == 200).all()
    assert (canvas[38:, :20] == 100).all()
    assert not canvas[38:, 20:].any()


def test_the_report_of_a_prior(prior, tmp_path):
    data = tmp_path / "data.yaml"
    text = "- {dataset: 'phantom:count=12,size=24x32x32,spacing=6x10x10', modality: CT, class: CTChestAbdomen}\n"
    data.write_text(text)
    out = tmp_path / "report"
    arguments = ["prior", str(prior), "--data", str(data), "--samples", "2", "--steps", "2", "--out", str(out)]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "gain (dB)" in result.output
    content = json.loads((out / "round-trips.json").read_text())
    assert content["split"] == "val"
    assert set(content["weights_sha256"]) == {"autoencoder.safetensors", "biflownet.safetensors"}
    first = content["round_trips"][0]
    assert first["case"].startswith("torso-0-")
    assert first["psnr"] != first["patch_psnr"]
    edge = 32 + 2 * MARGIN
    assert Image.open(out / "round-trips.png").size == (3 * edge, len(content["round_trips"]) * (edge + 14))
    assert Image.open(out / "samples.png").size[0] > 2 * 32


def test_the_report_of_a_folder_names_nobody(prior, tmp_path):
    (tmp_path / "data" / "val").mkdir(parents=True)
    write_ct(tmp_path / "data" / "val" / "DOE^JANE.nii.gz")
    data = ["--data", str(tmp_path / "data"), "--modality", "CT", "--samples", "0"]
    result = CliRunner().invoke(main, ["prior", str(prior), *data, "--out", str(tmp_path / "report")])
    assert result.exit_code == 0, result.output
    content = (tmp_path / "report" / "round-trips.json").read_text()
    assert "DOE" not in content
    assert "volume 1" in content
    assert "DOE" in result.stderr, "whoever runs it learns which is which"


def test_bad_input_is_one_line(prior, tmp_path):
    for arguments, line in (
        (["nothing-of-that-name"], "no prior and no folder"),
        ([str(prior), "--data", "/nowhere"], "/nowhere: does not exist"),
    ):
        result = CliRunner().invoke(main, ["prior", *arguments, "--out", str(tmp_path / "out")])
        assert result.exit_code == 2
        assert line in result.output
    assert not (tmp_path / "out").exists()
