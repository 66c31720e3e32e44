"""What an implicit decoder is worth: spectra of known signals, rows of known outputs, the command and its files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from cli_helpers import Run, run_benchmarks
from implicit_decoders import write_decoder
from PIL import Image
from tiny_prior import networks, write_prior

from benchmarks.quality import spacing
from benchmarks.quality.radial_power import bands
from benchmarks.quality.spacing import ScaleRow, as_dict, table, verdict

PHANTOMS = "phantom:count=8,seed=3,size=12x40x40,spacing=8x6x6"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    write_prior(folder / "tiny")
    write_decoder(networks()[0], folder / "random.safetensors")
    write_decoder(networks()[0], folder / "plain.safetensors", spread=0)
    return folder


def run(weights: Path, out: Path, *more: object, decoder: str = "plain.safetensors") -> Run:
    """``benchmarks spacing``; of an option that stands twice, the last one counts."""
    common = ("--prior", weights / "tiny", "--dataset", PHANTOMS, "--split", "train", "--cases", 1, "--longest", 12)
    return run_benchmarks("spacing", weights / decoder, *common, "--cache", weights / "cache", "--out", out, *more)


def wave(frequency: float, size: int = 64) -> torch.Tensor:
    """A wave along y, of a frequency in units of the Nyquist frequency of a grid of twice the voxel's edge."""
    along = torch.cos(math.pi * 0.5 * frequency * torch.arange(size))
    return along.expand(8, 16, size)


def test_a_wave_is_in_its_band_with_its_power_and_sign() -> None:
    reference = wave(0.6) + wave(1.4)
    for image, share, agreement in (
        (reference, 1, 1),
        (wave(0.6) + 0.5 * wave(1.4), 0.25, 1),
        (wave(0.6) - wave(1.4), 1, -1),
    ):
        (found,) = bands(reference, image, (1.0, 0.5, 0.5), (1.2, 1.6))
        assert (found.share, found.agreement) == (pytest.approx(share, abs=0.02), pytest.approx(agreement, abs=0.02))
    (low,) = bands(reference, wave(0.6), (1.0, 0.5, 0.5), (1.2, 1.6))
    assert low.share < 1e-3
    (below,) = bands(reference, wave(0.6), (1.0, 0.5, 0.5), (0.4, 0.8))
    assert below.share == pytest.approx(1, abs=0.02)


def test_invented_power_does_not_agree() -> None:
    torch.manual_seed(0)
    reference, other = torch.randn(16, 48, 48), torch.randn(16, 48, 48)
    found = bands(reference, other, (1.0, 0.5, 0.5), (1.0, 1.5, 2.0))
    assert len(found) == 2
    assert all(each.share == pytest.approx(1, abs=0.1) and abs(each.agreement) < 0.1 for each in found)


def test_a_grid_no_finer_has_nothing_above_the_coarse_one() -> None:
    image = torch.rand(8, 8, 8)
    assert bands(image, image, (2.0, 2.0, 2.0), (1.0, 1.5)) == []


def test_a_decoder_that_adds_nothing_is_cubic_interpolation(weights: Path, tmp_path: Path) -> None:
    done = run(weights, tmp_path / "report", "--scales", "0.5,0.8,1.3,2.5", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told == json.loads((tmp_path / "report" / "spacing.json").read_text())
    assert [row["scale"] for row in told["rows"]] == [0.5, 0.8, 1.3, 2.5]
    for row in told["rows"]:
        assert row["gain"] == pytest.approx(0, abs=1e-3)
        assert row["psnr"]["cubic"] == pytest.approx(row["psnr"]["implicit"], abs=1e-3)
    assert [row["learned"] for row in told["rows"]] == [True, True, True, False]
    finest = told["rows"][0]
    assert finest["cells"] == [1, 0.5, 0.5], "along z nothing finer is known"
    assert finest["spacing_mm"] == pytest.approx([8, 6, 6])
    assert [each["low"] for each in finest["spectrum"]["cubic"]] == [1, 1.25, 1.5, 1.75]
    assert told["rows"][2]["spectrum"] == {}
    assert all("does not beat cubic interpolation: +0.00 dB" in line for line in told["verdict"])
    assert set(told["weights_sha256"]) >= {"autoencoder.safetensors", "plain.safetensors"}
    with Image.open(tmp_path / "report" / "spacing.png") as picture:
        assert picture.size == (4 * 3 * 40, 3 * 40 + 14)


def test_the_table_has_every_row_and_a_verdict(weights: Path, tmp_path: Path) -> None:
    done = run(weights, tmp_path / "report", "--scales", "0.5,1.3", decoder="random.safetensors")
    assert done.code == 0, done.err
    assert done.out.startswith("PSNR, dB")
    assert "share of the truth's power (and correlation with it)" in done.out
    assert done.out.count("scale 0.5: the implicit decoder does not beat cubic interpolation: -") == 1
    assert f"written: {tmp_path / 'report'}" in done.err


def test_a_perfect_decoder_is_told_from_interpolation(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the truth in place of what is decoded, the gain is infinite and all power is there and right."""
    made = []

    def remember(image, *arguments):
        made.append(weighted(image, *arguments))
        return made[-1]

    weighted = spacing.weighted
    monkeypatch.setattr(spacing, "weighted", remember)
    monkeypatch.setattr(spacing, "fill_grid", lambda *_: made[-3])  # the truth, before two interpolations
    done = run(weights, tmp_path / "report", "--scales", "0.5", "--json")
    (row,) = json.loads(done.out)["rows"]
    assert row["psnr"]["implicit"] > 100
    assert all(each["share"] == pytest.approx(1) for each in row["spectrum"]["implicit"])
    assert all(each["agreement"] == pytest.approx(1) for each in row["spectrum"]["implicit"])
    assert all(abs(each["agreement"]) < 0.9 for each in row["spectrum"]["linear"])


def row(scale: float, cubic: float, implicit: float) -> ScaleRow:
    figures = {"linear": 20.0, "cubic": cubic, "implicit": implicit}
    return ScaleRow("case", scale, (scale,) * 3, (1.0, 1.0, 1.0), scale < 2, figures, {})


def test_the_verdict_is_by_the_mean_and_says_who_loses() -> None:
    rows = [row(0.5, 30.0, 31.0), row(0.5, 30.0, 29.9), row(2.5, 30.0, 29.5)]
    assert verdict(rows) == [
        "scale 0.5: the implicit decoder beats cubic interpolation: +0.45 dB in the mean "
        "(-0.10 to +1.00; 1 of 2 volumes better)",
        "scale 2.5: the implicit decoder does not beat cubic interpolation: -0.50 dB in the mean "
        "(-0.50 to -0.50; 0 of 1 volumes better)",
    ]
    assert sum("not learned" in line for line in table(rows)) == 1
    assert as_dict(rows)["rows"][0]["gain"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--scales", "0.3"), "--scales 0.3: finer than the volumes' own voxels, of which nothing is known; take 0.5"),
        (("--scales", "40"), "--scales 40: voxels of 40 times the edge; 1/16 to 16 times is possible"),
        (("--scales", "a"), "Invalid value for '--scales': a: must be numbers such as 0.5"),
        (("--scales", "-1"), "Invalid value for '--scales': -1: must be positive"),
        (("--longest", "0"), "Invalid value for '--longest'"),
        (
            ("--split", "val", "--dataset", "phantom:count=1,seed=3,size=8x32x32"),
            "--split val: no volume of the data is in it",
        ),
        (("--dataset", "folder"), "--data: name a folder of volumes, or take --dataset phantom"),
        (("--prior", "nowhere"), "no prior and no folder of the name 'nowhere'"),
    ],
)
def test_bad_input_gives_one_line(weights: Path, tmp_path: Path, more: tuple[str, ...], line: str) -> None:
    done = run(weights, tmp_path / "report", *more)
    assert done.code == 2
    assert line in done.err
    assert len(done.err.strip().splitlines()) == 1, done.err
    assert not (tmp_path / "report").exists()


def test_a_decoder_of_another_autoencoder_is_refused(weights: Path, tmp_path: Path) -> None:
    other = networks()[0]
    with torch.no_grad():
        other.post_vq_conv.bias += 1
    write_decoder(other, weights / "other.safetensors")
    done = run(weights, tmp_path / "report", decoder="other.safetensors")
    assert done.code == 2
    assert "other.safetensors: this implicit decoder was made for the autoencoder" in done.err
