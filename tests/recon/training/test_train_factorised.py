"""Medical Diffusion and MedSyn by the command: trained with the tiny recipes, a volume generated, mistakes refused."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import pytest
import torch
from cli_helpers import run_recon, train
from safetensors.torch import save_file

from priors.training.recipe import load_recipe
from priors.weights.card import read_card
from recon.training.registry import TRAININGS

DATA = "phantom:count=2,size=32x32x32,spacing=8x10x10"
CHAINS = {"medicaldiffusion": "medicaldiffusion-vqgan", "medsyn-sr": "medsyn"}
KINDS = [kind for chain in CHAINS.items() for kind in chain]


def arguments(folder: Path, *more: object) -> list[object]:
    return ["--dataset", DATA, "--recipe", "tiny", "--cache", folder / "cache", "--set", "steps=4", *more, "-q"]


def generate(*more: object) -> None:
    run = run_recon("generate", "--class", "CTChestAbdomen", "-q", *more)
    assert run.code == 0, run.err


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each kind."""
    folder = tmp_path_factory.mktemp("factorised")
    for last, first in CHAINS.items():
        train(first, *arguments(folder, "--out", folder / first))
        train(last, *arguments(folder, "--base", folder / first, "--out", folder / last))
    return folder


@pytest.mark.parametrize("kind", CHAINS)
def test_a_trained_folder_generates(trained: Path, tmp_path: Path, kind: str) -> None:
    assert (trained / kind / f"{CHAINS[kind]}.safetensors").is_file()
    file = tmp_path / "volume.nii.gz"
    generate("--prior", trained / kind, "--steps", 3, "-o", file)
    assert nib.load(file).shape == (16, 16, 16)
    described = json.loads((tmp_path / "volume.json").read_text())
    assert described["method"] == {"medicaldiffusion": "MedicalDiffusion", "medsyn-sr": "MedSyn"}[kind]


def test_small_volumes_generate_alone(trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "volume.nii.gz"
    generate("--prior", trained / "medsyn", "--steps", 2, "-o", file)
    image = nib.load(file)
    assert image.shape == (8, 8, 8)
    spacing = read_card(trained / "medsyn" / "medsyn.safetensors").extra["classes"]["CTChestAbdomen"][0]
    assert image.header.get_zooms()[0] == pytest.approx(2 * spacing)


def test_cards_say_what_belongs_together(trained: Path) -> None:
    for last, first in CHAINS.items():
        card = read_card(trained / last / f"{last}.safetensors")
        assert card.extra[first] == read_card(trained / first / f"{first}.safetensors").sha256
        assert card.extra["size"] == [16, 16, 16]
    assert read_card(trained / "medicaldiffusion" / "medicaldiffusion.safetensors").extra["timesteps"] == 20


def test_texts_of_a_class_are_learned_and_kept(trained: Path, tmp_path: Path) -> None:
    save_file({"CTChestAbdomen": torch.ones(2, 8)}, tmp_path / "texts.safetensors")
    more = ("--set", f"task.texts={tmp_path / 'texts.safetensors'}", "--out", tmp_path / "told")
    train("medsyn", *arguments(trained, *more))
    card = read_card(tmp_path / "told" / "medsyn.safetensors")
    assert card.config["text_classes"] == ["CTChestAbdomen"]


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("medicaldiffusion-vqgan", ["task.size=[15,16,16]"], "task.size: Z is 15 voxels"),
        ("medicaldiffusion-vqgan", ["task.crop=[4,4,32]"], "task.crop [4, 4, 32]: must fit into task.size"),
        ("medicaldiffusion", [], "base"),
        ("medsyn", ["network.channels=4"], "network.channels 4"),
        ("medsyn", ["task.size=[16,16,14]"], "task.size: Y is 14 voxels"),
        ("medsyn", ["task.texts=missing.safetensors"], "task.texts missing.safetensors"),
        ("medsyn-sr", [], "base"),
    ],
)
def test_mistakes_are_refused_in_one_line(
    trained: Path, tmp_path: Path, kind: str, settings: list[str], said: str
) -> None:
    changes = [part for setting in settings for part in ("--set", setting)]
    result = run_recon("train", kind, *arguments(trained, *changes, "--out", tmp_path / "out"))
    assert result.code == 2
    assert said in result.err
    assert len(result.err.strip().splitlines()) == 1


def test_the_finer_grid_belongs_to_its_small_volumes(trained: Path, tmp_path: Path) -> None:
    more = ("--base", trained / "medsyn", "--set", "task.size=[8,16,16]", "--out", tmp_path / "out")
    result = run_recon("train", "medsyn-sr", *arguments(trained, *more))
    assert "was trained on [16, 16, 16]" in result.err


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["paper", "starter", "tiny"])
def test_recipes_are_of_networks_that_can_be_built(kind: str, name: str) -> None:
    recipe = load_recipe(kind, name)
    settings = TRAININGS[kind].settings_class().model_validate(recipe.task)
    assert settings.size[1] in {"paper": (256,), "starter": (64,), "tiny": (16,)}[name]
