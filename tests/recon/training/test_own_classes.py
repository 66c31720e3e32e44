"""A prior of its own classes: fine-tuned by the command, asked for by their names; and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from cli_helpers import run_recon, train
from tiny_prior import write_prior

from priors.diffusion.load import load_prior
from priors.networks.new_conditions import with_classes
from priors.weights.card import read_card, read_tensors
from recon.errors import InputError
from recon.training.own_classes import check_names
from recon.training.sources import parse_data

DATA = "phantom:count=8,anatomy=chest,opacities=0.5,size=16x32x32,spacing=12x10x10"
CLASSES = ("--classes", "abnormal,normal")


def arguments(prior: Path, folder: Path, data: str = DATA) -> list[object]:
    small = ["--set", "task.crop=[8,8,8]", "--set", "task.sampling_steps=0", "--set", "steps=1", "--set", "batch=1"]
    start = ["--base", prior, "--warm-start", prior / "biflownet.safetensors", "--cache", folder / "cache"]
    return ["biflownet", "--dataset", data, "--recipe", "tiny", *small, *start, "--out", folder / "run", "-q"]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a prior that was fine-tuned for two classes of its own."""
    folder = tmp_path_factory.mktemp("tuned")
    prior = write_prior(folder / "prior")
    return train(*arguments(prior, folder), *CLASSES).parent


def test_the_card_names_the_classes_with_their_averages_and_the_prior_has_them(tuned):
    card = read_card(tuned / "biflownet.safetensors")
    assert card.config["classes"] == 2
    assert [each["name"] for each in card.extra["anatomies"]] == ["abnormal", "normal"]
    assert set(card.extra["averages"]) == {"abnormal", "normal"}
    prior = load_prior(tuned)
    assert [(each.index, each.name, each.modality) for each in prior.anatomies] == [
        (0, "abnormal", "CT"),
        (1, "normal", "CT"),
    ]
    assert prior.usual_spacing(prior.anatomies[0], (32, 32, 32)) == (12.0, 10.0, 10.0)
    assert prior.default_class("CT") == 0
    assert prior.average_start(prior.anatomies[1], prior.usual_sizes(prior.anatomies[1])[0]) is not None


def test_rows_begin_with_that_of_the_usual_class_and_all_else_is_kept(tmp_path):
    prior = load_prior(write_prior(tmp_path))
    copy = with_classes(prior.biflownet, [1, 1])
    assert torch.equal(copy.cond_emb.weight[0], prior.biflownet.cond_emb.weight[1])
    assert copy.config.classes == 2
    before = prior.biflownet.state_dict()
    assert all(torch.equal(before[name], value) for name, value in copy.state_dict().items() if "cond_emb" not in name)
    with pytest.raises(ValueError, match="classes 0 to 6"):
        with_classes(prior.biflownet, [7])


def test_a_class_is_generated_by_its_name_and_others_are_refused(tuned, tmp_path):
    words = ["generate", "--prior", tuned, "--steps", "1", "-q"]
    made = run_recon(*words, "--class", "abnormal", "-o", tmp_path / "a.nii.gz")
    assert made.code == 0, made.err
    assert json.loads((tmp_path / "a.json").read_text())["class"] == "abnormal"
    refused = run_recon(*words, "--class", "CTChestAbdomen", "-o", tmp_path / "b.nii.gz")
    assert refused.code == 2
    assert "one of abnormal, normal" in refused.err


@pytest.mark.parametrize(
    ("classes", "data", "words"),
    [
        ("abnormal,normal,other", DATA, "--classes other: no volume for training is of this class"),
        ("abnormal", DATA, "is normal, which is none of the --classes abnormal"),
        ("abnormal,abnormal", DATA, "each must have another name"),
        ("abnormal,", DATA, "a name is wanted"),
        ("abnormal,normal", "phantom:count=8,size=16x32x32,spacing=12x10x10", "it does not say the class of torso-0-"),
    ],
)
def test_classes_that_cannot_be_learned_are_one_line(tmp_path, classes, data, words):
    prior = write_prior(tmp_path / "prior")
    found = run_recon("train", *arguments(prior, tmp_path, data), "--classes", classes)
    assert found.code == 2
    assert words in found.err
    assert found.err.strip().count("\n") == 0


def test_trainings_for_the_released_classes_refuse_a_prior_of_its_own(tuned, tmp_path):
    data = [
        "--dataset",
        "phantom:count=4,size=16x32x32,spacing=12x10x10",
        "--recipe",
        "tiny",
        "--out",
        tmp_path / "run",
    ]
    own = ["--warm-start", tuned / "biflownet.safetensors", "--set", "task.crop=[8,8,8]"]
    head = ["--task", "svct", "--simulate", "ideal", "--set", "task.crop=[8,8,8]"]
    for words in (["biflownet", "--base", tuned, *own], ["controlnet", "--base", tuned, *head]):
        found = run_recon("train", *words, *data)
        assert found.code == 2
        assert "its classes are its own (abnormal, normal)" in found.err


def test_a_damaged_list_of_classes_is_one_line(tmp_path):
    facts = {"classes": {"a": [1, 1, 1]}, "size": [32, 32, 32], "anatomies": [{"name": "a", "modality": "CT"}]}
    with pytest.raises(ValueError, match="header is damaged: anatomies"):
        load_prior(write_prior(tmp_path, **facts))


def test_parts_of_a_list_may_name_own_classes(tmp_path):
    file = tmp_path / "data.yaml"
    file.write_text("- {dataset: 'phantom:count=2', class: sick}\n- {dataset: 'phantom:count=3', class: well}\n")
    parts = parse_data(str(file), "folder", None, None, classes=("well", "sick"))
    assert [part.class_of(None) for part in parts] == [1, 0]
    with pytest.raises(InputError, match="`class` sick: none of the `classes` well"):
        parse_data(str(file), "folder", None, None, classes=("well",))
    with pytest.raises(InputError, match="no class 'sick'"):
        parse_data(str(file), "folder", None, None)
    check_names(("CT-1", "a b"))


def test_a_classifier_is_trained_and_names_its_classes(tmp_path):
    path = train(
        *("classifier", "--dataset", DATA, "--recipe", "tiny", "--set", "steps=2", "--set", "batch=2", *CLASSES),
        *("--out", tmp_path / "run", "-q"),
    )
    card = read_card(path)
    assert card.extra["labels"] == ["abnormal", "normal"]
    assert card.config["classes"] == 2
    assert read_tensors(path)["head.weight"].shape == (2, 8)
    refused = run_recon("train", "classifier", "--dataset", DATA, "--recipe", "tiny", "--out", tmp_path / "x")
    assert refused.code == 2
    assert "--classes: name the classes that classifier shall tell apart" in refused.err
