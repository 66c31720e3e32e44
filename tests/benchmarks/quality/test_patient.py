"""Age and sex read back: figures on known answers, a reader that learns, and the command at toy size."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_helpers import run_benchmarks
from tiny_prior import BASE, write_prior

from benchmarks.quality.patient_figures import figures
from benchmarks.quality.patient_reader import Example, ReaderTraining, Reading, on_grid, train_reader
from datasets.case import Case
from priors.networks.patient import Patient
from recon.training.prepared import Prepared

PEOPLE = "phantom:count=12,anatomy=chest,size=16x32x32,spacing=12x10x10,age=30-80,sex=mixed"


def test_figures_of_a_known_answer() -> None:
    wanted = [Patient(age, sex) for age, sex in ((20, "male"), (40, "female"), (60, "male"), (80, "female"))]
    found = figures(wanted, [Reading(each.age + 5, 0.9 if each.sex == "male" else 0.1) for each in wanted])
    for figure, value in ((found.age_error, 5), (found.age_bias, 5), (found.sex_accuracy, 1)):
        assert figure is not None
        assert (figure.value, figure.low, figure.high) == (value, value, value)
    assert found.age_correlation is not None
    assert found.age_correlation.value == pytest.approx(1)
    half = figures(wanted, [Reading(100 - each.age, 0.9) for each in wanted])
    assert half.age_correlation is not None
    assert half.sex_accuracy is not None
    assert half.age_correlation.value == pytest.approx(-1)
    assert (half.sex_accuracy.value, half.sex_accuracy.low, half.sex_accuracy.high) == (0.5, 0, 1)


def test_figures_of_what_nobody_knows_are_none() -> None:
    found = figures([Patient(50), Patient(60), Patient(70)], [Reading(40, 0.5)] * 3)
    assert found.sex_accuracy is None
    assert found.age_correlation is None, "one guess for all"
    assert found.age_error is not None
    assert found.age_error.value == pytest.approx(20)
    only_sex = figures([Patient(None, "male")] * 2, [Reading(0, 0.7), Reading(0, 0.4)])
    assert only_sex.age_error is only_sex.age_bias is only_sex.age_correlation is None


def test_a_reader_learns_what_images_show() -> None:
    random = np.random.default_rng(0)

    def example() -> Example:
        age, male = random.uniform(20, 80), random.uniform() < 0.5
        image = torch.full((16, 16, 16), -1.0)
        image[:, 4:12, 4:12] = float((age - 50) / 40)
        if male:
            image[:, :3] = 0.8
            image[:, 13:] = 0.8
        return Example(image, Patient(float(age), "male" if male else "female"))

    reader = train_reader([example() for _ in range(24)], ReaderTraining(steps=60, width=4, rate=1e-2))
    tested = [example() for _ in range(12)]
    found = figures([each.patient for each in tested], [reader.read(each.image) for each in tested])
    assert found.age_correlation is not None
    assert found.sex_accuracy is not None
    assert found.age_correlation.value > 0.9
    assert found.sex_accuracy.value == 1
    with pytest.raises(ValueError, match="1 real volumes of known age or sex"):
        train_reader([example(), Example(torch.zeros(16, 16, 16), Patient())], ReaderTraining(steps=1))


def test_real_volumes_are_brought_to_the_grid_of_generated_ones() -> None:
    data = np.full((10, 8, 8), 0, np.int16)
    data[:5] = 1000
    case = Case("a", "a", "CT", "volume", Path("a"), "train")
    volume = Prepared(case, data, (2.0, 4.0, 4.0))
    whole = on_grid(volume, (5, 16, 8), (4.0, 4.0, 4.0))
    assert whole.shape == (5, 16, 8)
    torch.testing.assert_close(whole[:, :4], torch.full((5, 4, 8), -1.0)), "air beyond the sides"
    torch.testing.assert_close(whole[:, 4, 0], torch.tensor([1.0, 1.0, 0.5, 0.0, 0.0]))
    for place, value in ((0.0, 1.0), (1.0, 0.0)):
        torch.testing.assert_close(on_grid(volume, (2, 8, 8), (4.0, 4.0, 4.0), place), torch.full((2, 8, 8), value))


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    facts = {"classes": {"CTChestAbdomen": [12, 10, 10]}, "size": [32, 32, 32]}
    people = {"patients": {"ages": [30, 80], "sexes": ["female", "male"]}}
    config = replace(BASE, token_patch=1, patient=True)
    return write_prior(tmp_path_factory.mktemp("weights") / "told", config, **facts, **people)


def test_the_command_reads_real_and_generated_volumes(prior: Path, tmp_path: Path) -> None:
    small = ("--count", 3, "--guidance", 0, "--guidance", 2, "--steps", 1, "--reader-steps", 2)
    out = tmp_path / "found.json"
    run = run_benchmarks("patient", prior, "--dataset", PEOPLE, *small, "--cache", tmp_path / "cache", "-o", out)
    assert run.code == 0, run.err
    found = json.loads(out.read_text())
    names = [row["name"] for row in found["rows"]]
    assert names[:3] == ["guess, the training's mean", "real, held out", "real, encoded and decoded"]
    assert names[3:] == ["generated, told nothing", "generated, guidance 2"]
    assert all(name in run.out for name in names)
    asked = [each for each in found["volumes"] if each["row"] == names[4]]
    assert [(each["age"], each["sex"]) for each in asked] == [(30, "female"), (55, "male"), (80, "female")]
    assert set(found["volumes"][0]) == {"row", "age", "sex", "read_age", "read_male"}, "nobody's name"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--dataset", "phantom:count=8,anatomy=chest,size=16x32x32,spacing=12x10x10"), "says age or sex"),
        (("--dataset", PEOPLE, "--class", "MRKnee"), "this prior learned CTChestAbdomen alone"),
        (("--dataset", PEOPLE, "--guidance", -1), "guidance"),
        ((), "name volumes of people of known age or sex"),
    ],
)
def test_bad_input_is_one_line(prior: Path, tmp_path: Path, more: tuple[object, ...], words: str) -> None:
    run = run_benchmarks("patient", prior, *more, "--steps", 1, "--reader-steps", 1, "--cache", tmp_path / "cache")
    assert run.code == 2
    assert words in run.err


def test_a_prior_that_learned_neither_is_one_line(tmp_path: Path) -> None:
    run = run_benchmarks("patient", write_prior(tmp_path / "plain"), "--dataset", PEOPLE)
    assert run.code == 2
    assert "it learned no age and no sex" in run.err
