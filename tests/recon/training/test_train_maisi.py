"""MAISI by the command: autoencoder, U-Net, volumes, a head and a reconstruction; mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("monai", reason="MAISI's networks come with monai")

from cli_helpers import load, run_recon, train, write_ct

from priors.weights.card import read_card

DATA = "phantom:count=2,size=32x32x32,spacing=8x10x10"
IDEAL = ("--task", "svct", "--simulate", "ideal", "--views", "20")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each step: autoencoder, first, second."""
    folder = tmp_path_factory.mktemp("maisi")
    common = ["--dataset", DATA, "--recipe", "tiny", "--cache", folder / "cache", "--set", "steps=2", "-q"]
    train("maisi-autoencoder", *common, "--set", "task.adversarial_start=0", "--out", folder / "autoencoder")
    base = ["--base", folder / "autoencoder"]
    train("maisi", *common, *base, "--out", folder / "first")
    train("maisi", *common, *base, "--set", "network.process=rflow", "--out", folder / "second")
    return folder


def test_a_trained_folder_generates(chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, sampler in (("first", "ddpm"), ("second", "rflow")):
        card = read_card(chain / name / "maisi.safetensors")
        assert card.extra["scale_factor"] > 0
        assert card.extra["classes"].keys() == {"CTChestAbdomen"}
        done = run_recon(
            "generate", "--class", "CTChestAbdomen", "--prior", chain / name, "--steps", 2, "-o", f"{name}.nii.gz"
        )
        assert done.code == 0, done.err
        assert load(f"{name}.nii.gz").shape == (32, 32, 16)
        facts = json.loads(Path(f"{name}.json").read_text())
        assert (facts["method"], facts["sampler"]) == ("MAISI", sampler)
        assert set(facts["weights_sha256"]) == {"maisi-autoencoder.safetensors", "maisi.safetensors"}


def test_a_head_on_it_reconstructs(chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = ["--set", "steps=2", "--set", "task.crop=[4,8,8]", "--set", "task.sampling_steps=0"]
    common = ["--dataset", DATA, "--recipe", "tiny", "--cache", chain / "cache", *settings, "-q"]
    head = train("maisi-controlnet", *common, *IDEAL, "--base", chain / "second", "--out", tmp_path / "head")
    assert read_card(head).extra["base_sha256"] == read_card(chain / "second" / "maisi.safetensors").sha256
    scan = ["--input", write_ct(tmp_path / "ct.nii.gz"), "--views", 20, "--simulate", "ideal", "--weights", head]
    few = ["--method", "meddiffusion", "--set", "steps=2", "--set", "samples=1", "--set", "allow_other=true"]
    done = run_recon("svct", *scan, *few, "--set", f"prior={chain / 'second'}", "-o", "out")
    assert done.code == 0, done.err
    assert "maisi.safetensors" in (tmp_path / "out" / "result.json").read_text()
    other = run_recon("svct", *scan, *few, "--set", f"prior={chain / 'first'}", "-o", "other")
    assert other.code == 2
    assert "was made for a U-Net of other sizes" in other.err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "network.regions=false", "--set", "task.size=[17,32,32]"], "task.size: Z is 17 voxels"),
        (["--set", "network.norm_groups=7"], "recipe: network: MAISI widths"),
        (["--class", "CTLegs", "--set", "task.least_height=1", "--set", "task.spacing=100"], "no volume is as high as"),
    ],
)
def test_mistakes_are_told_in_one_line(chain: Path, tmp_path: Path, more: list[str], message: str) -> None:
    common = ["--dataset", DATA, "--recipe", "tiny", "--cache", chain / "cache", "--base", chain / "autoencoder"]
    done = run_recon("train", "maisi", *common, *more, "--out", tmp_path / "run")
    assert done.code == 2
    assert message in done.err


def test_a_base_without_an_autoencoder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    arguments = ["--dataset", DATA, "--recipe", "tiny", "--base", tmp_path / "empty", "--out", tmp_path / "run"]
    done = run_recon("train", "maisi", *arguments, "--cache", tmp_path / "cache")
    assert done.code == 2
    assert "there is no maisi-autoencoder.safetensors in it" in done.err
