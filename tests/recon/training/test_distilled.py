"""Distillation by the command: a prior of a few steps, what it is asked for, resuming, mistakes."""

from __future__ import annotations

import csv
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_helpers import run_recon, train
from tiny_prior import BASE, GEOMETRY, make_head, write_prior

from priors.diffusion.average import AverageLatent
from priors.diffusion.load import load_prior
from priors.training.loop import Progress, Stopped
from priors.training.recipe import load_recipe
from priors.weights.card import read_card, read_tensors
from priors.weights.networks import load_controlnet
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.diffusion.head_sampling import steer
from recon.errors import InputError
from recon.learned.task import Task
from recon.training.request import Request
from recon.training.run import train as run_training
from recon.training.sources import parse_data

DATA = "phantom:count=4,size=32x32x32,spacing=8x10x10"
CHEST = "CTChestAbdomen"
AVERAGE = {CHEST: AverageLatent(torch.full((4, 16, 16), 0.1), (32, 32, 32)).to_dict()}
LEARNED = {"classes": {CHEST: [8.0, 10.0, 10.0], "CTLegs": [1.0, 1.0, 1.0]}, "size": [32, 32, 32]}
OWN = "phantom:count=8,anatomy=chest,opacities=0.5,size=16x32x32,spacing=12x10x10"
SMALL = ("--set", "steps=4", "--set", "batch=2", "--set", "validation.every=2", "--set", "task.mirror=false")


@pytest.fixture(scope="module")
def priors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the priors ``teacher``, ``noise`` (no averages) and the student ``two`` of the first."""
    folder = tmp_path_factory.mktemp("distilled")
    write_prior(folder / "teacher", **LEARNED, averages=AVERAGE)
    write_prior(folder / "noise")
    write_prior(folder / "told", replace(BASE, patient=True))
    named = [{"name": name, "modality": "CT"} for name in ("abnormal", "normal")]
    grids = {"classes": {each["name"]: [12.0, 10.0, 10.0] for each in named}, "size": [32, 32, 32]}
    write_prior(folder / "own", replace(BASE, classes=2), anatomies=named, **grids)
    distil(folder, "teacher", "two")
    return folder


def words(folder: Path, base: str, out: Path, *more: object) -> list[object]:
    common = ["--dataset", DATA, "--recipe", "tiny", "--cache", folder / "cache", *SMALL]
    return ["distilled", *common, "--base", folder / base, "--out", out, *more, "-q"]


def distil(folder: Path, base: str, name: str, *more: object) -> Path:
    return train(*words(folder, base, folder / name, *more)).parent


def generate(prior: Path, out: Path, *more: object) -> Any:
    return run_recon("generate", "--prior", prior, "--class", CHEST, "-o", out, "-q", *more)


def test_the_folder_is_a_prior_whose_card_says_for_how_many_steps(priors):
    card, teacher = (read_card(priors / name / "biflownet.safetensors") for name in ("two", "teacher"))
    assert card.kind == "biflownet"
    assert card.extra["distilled"] == {"steps": 2, "teacher_steps": 8, "teacher": teacher.sha256}
    assert card.extra["classes"] == {CHEST: [8.0, 10.0, 10.0]}, "the class that was not distilled is not there"
    assert set(card.extra["averages"]) == {CHEST}
    assert card.config["prediction"] == "noise", "as its teacher"
    prior = load_prior(priors / "two")
    assert prior.size == (32, 32, 32)
    assert prior.autoencoder.config == load_prior(priors / "teacher").autoencoder.config
    before, after = (read_tensors(priors / name / "biflownet.safetensors") for name in ("teacher", "two"))
    assert any(not torch.equal(before[name], after[name]) for name in before), "it has learned"


def test_validation_measures_the_distance_to_the_teacher_with_a_picture(priors):
    with (priors / "two" / "validation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4"]
    for row in rows:
        assert float(row["distance"]) == float(row["distance_2"]) > 0
        assert {"distance_1", "distance_4", "undistilled"} <= set(row)
    assert len({row["undistilled"] for row in rows}) == 1, "the teacher's own, always the same"
    assert list((priors / "two" / "previews").glob("*distilled*"))


def test_it_is_generated_with_its_steps_and_the_sidecar_says_so(priors, tmp_path):
    made = generate(priors / "two", tmp_path / "a.nii.gz")
    assert made.code == 0, made.err
    result = json.loads((tmp_path / "a.json").read_text())
    assert (result["steps"], result["distilled_steps"], result["start"]) == (2, 2, "average")
    assert len(result["timesteps"]) == 2
    assert generate(priors / "teacher", tmp_path / "b.nii.gz", "--steps", 3).code == 0
    assert json.loads((tmp_path / "b.json").read_text())["distilled_steps"] is None


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--steps", 50], "--steps 50: this prior was distilled for 2; leave --steps out"),
        (["--sampler", "dpm++"], "--sampler dpm++: this prior was distilled for ddim; leave --sampler out"),
        (["--timesteps", "linspace"], "--timesteps linspace: this prior was distilled for trailing"),
        (["--start", "noise"], "--start noise: this prior was distilled from the class average on"),
    ],
)
def test_another_sampling_is_one_line(priors, tmp_path, more, line):
    found = generate(priors / "two", tmp_path / "a.nii.gz", *more)
    assert found.code == 2
    assert line in found.err
    assert found.err.strip().count("\n") == 0
    assert not list(tmp_path.iterdir())


def test_a_class_that_was_not_distilled_is_not_generated(priors, tmp_path):
    found = run_recon("generate", "--prior", priors / "two", "--class", "CTLegs", "-o", tmp_path / "a.nii.gz", "-q")
    assert found.code == 2
    assert f"this prior learned {CHEST} alone" in found.err


def test_from_noise_alone_a_student_of_noise_estimates_velocities(priors):
    folder = distil(priors, "noise", "from-noise")
    card = read_card(folder / "biflownet.safetensors")
    assert card.config["prediction"] == "velocity"
    assert "averages" not in card.extra or not card.extra["averages"]
    assert load_prior(folder).average_start(load_prior(folder).anatomies[1], (32, 32, 32)) is None


def test_classes_of_a_prior_s_own_stay_its_own(priors):
    prior = load_prior(distil(priors, "own", "own-two", "--dataset", OWN, "--classes", "abnormal,normal"))
    assert [each.name for each in prior.anatomies] == ["abnormal", "normal"]
    assert prior.distilled.steps == 2
    assert prior.usual_spacing(prior.anatomies[1], (32, 32, 32)) == (12.0, 10.0, 10.0)


def test_a_student_is_distilled_further_from_its_own_steps(priors):
    given = words(priors, "two", priors / "one", "--set", "task.steps=1")[:-1]  # without -q
    run = run_recon("train", *given)
    assert run.code == 0, run.err
    assert "task.teacher_steps is 2, for which the prior was distilled itself, not 8" in run.err
    found = load_prior(priors / "one").distilled
    assert (found.steps, found.teacher_steps) == (1, 2)
    assert found.teacher == read_card(priors / "two" / "biflownet.safetensors").sha256


def request(priors: Path, out: Path) -> Request:
    settings = ["steps=6", "batch=2", "checkpoints.every=100", "validation.every=100", "task.teacher_steps=4"]
    recipe = load_recipe("distilled", "tiny", [*settings, "task.steps=1"])
    return Request("distilled", recipe, parse_data("", DATA, None, None), out, priors / "cache", priors / "teacher")


def test_a_stopped_run_goes_on_to_the_same_weights(priors, tmp_path):
    """It is stopped in its second stage, whose teacher is the first stage's student."""

    def stop(progress: Progress) -> None:
        if progress.step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        run_training(request(priors, tmp_path / "broken"), on_step=stop)
    broken = run_training(request(priors, tmp_path / "broken"))
    whole = run_training(request(priors, tmp_path / "whole"))
    assert read_card(broken).sha256 == read_card(whole).sha256
    log = "train-biflownet.csv"
    losses = [
        [row["total"] for row in csv.DictReader((folder / log).read_text().splitlines())]
        for folder in (tmp_path / "broken", tmp_path / "whole")
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 6


def test_heads_of_the_teacher_are_refused_and_none_is_trained_on_a_student(priors, tmp_path):
    task = Task(CTAcquisition(GEOMETRY), ("fbp",))
    head = load_controlnet(make_head(priors / "teacher", tmp_path, task))
    hint = torch.zeros(1, 4, 8, 8, 8)
    student = load_prior(priors / "two")
    with pytest.raises(ValueError, match="was made for the base"):
        student.attach(head, hint)
    with pytest.raises(InputError, match="`prior` two: it was distilled to 2 steps, and no head was trained on it"):
        steer(student, head, torch.zeros(1, 32, 32, 32), 1, allow_other_base=True)
    found = run_recon(
        *("train", "controlnet", "--task", "svct", "--dataset", DATA, "--recipe", "tiny", "--base", priors / "two"),
        *("--cache", priors / "cache", "--set", "task.crop=[8,8,8]", "--out", tmp_path / "head", "-q"),
    )
    assert found.code == 2
    assert "it was distilled to 2 steps, and no head can be trained on it" in found.err


@pytest.mark.parametrize(
    ("base", "more", "line"),
    [
        ("teacher", ["--set", "task.steps=3"], "task.steps 3: must be smaller than the teacher's 8 steps and divide"),
        ("teacher", ["--set", "task.steps=8"], "task.steps 8: must be smaller than the teacher's 8 steps"),
        ("teacher", ["--set", "task.steps=0"], "task.steps"),
        ("teacher", ["--set", "task.ratio=1"], "task.ratio"),
        ("teacher", ["--set", "task.teacher_steps=2000"], "task.teacher_steps 2000: the prior's diffusion has 1000"),
        ("two", ["--set", "task.steps=2"], "task.steps 2: must be smaller than the teacher's 2 steps"),
        ("teacher", ["--set", "minutes=1"], "minutes: the stages of a distillation are counted in steps"),
        ("teacher", ["--set", "network.width=24"], "network.width: a student has its teacher's sizes"),
        ("teacher", ["--set", "task.crop=[8,8,9]"], "task.crop"),
        ("noise", ["--set", "task.prediction=noise"], "task.prediction noise: says nothing of the image"),
        ("teacher", ["--set", "task.prediction=clean"], "task.prediction"),
        ("teacher", ["--class", "CTHeadNeck"], f"--class CTHeadNeck: this prior learned {CHEST}, CTLegs alone"),
        (
            "teacher",
            ["--dataset", OWN, "--classes", "abnormal,normal"],
            "--classes: the classes of the prior are those of recon generate; leave it away",
        ),
        ("own", [], "--classes: the classes of the prior are abnormal,normal; name these"),
        ("told", [], "--base: this prior is told age and sex, which a student does not learn"),
        ("missing", [], "--base"),
    ],
)
def test_mistakes_are_one_line(priors, tmp_path, base, more, line):
    found = run_recon("train", *words(priors, base, tmp_path / "out", *more))
    assert found.code == 2, found.err
    assert line in found.err
    assert found.err.strip().count("\n") == 0
    assert not list(tmp_path.glob("out/*.safetensors"))


def test_initial_weights_have_no_effect(priors, tmp_path):
    start = priors / "teacher" / "biflownet.safetensors"
    found = run_recon("train", *words(priors, "teacher", tmp_path / "out", "--warm-start", start))
    assert found.code == 2
    assert "--warm-start: has no effect on distilled; a student begins with its teacher's weights" in found.err
    assert run_recon("train", "distilled", "--dataset", DATA, "--out", tmp_path / "o", "-q").code == 2
