"""The prior that comes with the package: it is there, small, sound, and does what its card says on a shipped case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from benchmarks.quality.round_trip import measure
from datasets import open_dataset
from datasets.cache import Cache
from priors.diffusion.anatomy import CLASSES
from priors.diffusion.latent_sampling import generate
from priors.diffusion.load import load_prior
from priors.diffusion.patch_volume import PatchVolumePrior
from priors.weights.card import read_card
from priors.weights.networks import verify
from priors.weights.seen import seen_in
from priors.weights.store import find_entries, find_prior, shipped_folder
from recon.cli import cli
from recon.training.prepared import Prepared, prepare
from recon.training.sources import TrainingVolume

SLICES = slice(20, 52)


@pytest.fixture(scope="module")
def starter() -> PatchVolumePrior:
    return load_prior(shipped_folder() / "starter")


def test_it_is_small_sound_and_learned_from_no_held_out_case() -> None:
    files = [entry.path for entry in find_entries("starter")]
    assert {file.stem for file in files} >= {"autoencoder", "biflownet"}
    assert sum(file.stat().st_size for file in files if file.parent.name == "starter") <= 32e6
    for file in files:
        card = verify(file)
        assert card.licence == "Apache-2.0"
        for subject in ("LIDC-IDRI-0001", "hanke_T1_1mm_0"):
            assert not any(seen.knows(subject, f"test/{subject}") for seen in seen_in(card.extra))


def test_its_sizes_are_the_papers_kind(starter: PatchVolumePrior) -> None:
    config = starter.autoencoder.config
    assert (config.downsample, config.latent_channels, config.codes) == ((4, 4, 4), 8, 8192)
    assert 24 <= config.width <= 32
    assert 6e6 < sum(parameter.numel() for parameter in starter.biflownet.parameters()) < 15e6
    assert starter.biflownet.config.classes == len(CLASSES) == 7
    assert set(starter.classes) <= {anatomy.name for anatomy in CLASSES}


def test_volumes_pass_with_fewer_seams_than_by_patches(starter: PatchVolumePrior, tmp_path: Path) -> None:
    case = next(case for case in open_dataset("sample", None).cases() if case.modality == "CT")
    whole = prepare([case], Cache(tmp_path))[0]
    middle = Prepared(case, whole.data[SLICES, 64:192, 64:192], whole.spacing)
    found, joint, _ = measure(starter, TrainingVolume(middle, 1))
    assert joint.shape == (32, 128, 128)
    assert found.psnr > 25
    assert found.psnr > found.patch_psnr - 0.5
    assert found.seam < 1.3 < found.patch_seam


def test_it_generates_the_classes_that_it_learned(starter: PatchVolumePrior) -> None:
    for name in starter.classes:
        index = next(anatomy.index for anatomy in CLASSES if anatomy.name == name)
        volume = generate(starter, index, (32, 64, 64), steps=2)
        assert volume.shape == (1, 1, 32, 64, 64)
        assert bool(torch.isfinite(volume).all())


def test_the_command_uses_it_by_default(tmp_path: Path) -> None:
    out = tmp_path / "volume.nii.gz"
    options = ["--size", "32,32,32", "--steps", "2", "--device", "cpu", "-q", "-o", str(out)]
    result = CliRunner().invoke(cli, ["generate", "--class", "CTChestAbdomen", *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    about = json.loads(out.with_name("volume.json").read_text())
    assert read_card(find_prior("starter") / "biflownet.safetensors").sha256 in json.dumps(about)
    other = CliRunner().invoke(cli, ["generate", "--class", "MRT2Brain", *options, "--overwrite"])
    assert other.exit_code == 2
    assert "--class MRT2Brain: this prior learned CTChestAbdomen" in other.output
