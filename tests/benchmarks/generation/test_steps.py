"""``benchmarks steps``: rows of teacher and students, distances between volumes of one seed, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from cli_helpers import Run, run_benchmarks
from tiny_prior import write_prior
from toy_generators import EDGE, SPACING, load_toy, write_toy

from benchmarks.generation import competitors
from benchmarks.generation.steps import run as steps_run
from benchmarks.generation.steps.run import difference
from benchmarks.quality.generation.measures import MeasureSettings
from priors.diffusion.average import AverageLatent
from priors.diffusion.distilled import Distilled
from priors.generators.load import load_generator
from priors.weights.card import read_card

CHEST = "CTChestAbdomen"
COUNT = 8


def load(folder: Path) -> object:
    return load_toy(folder) if (folder / "toy.json").is_file() else load_generator(folder)


@pytest.fixture(autouse=True)
def networks(monkeypatch: pytest.MonkeyPatch, toys: None) -> None:
    """Folders hold tiny priors, or toys of other methods."""
    monkeypatch.setattr(competitors, "load_generator", load)
    few = MeasureSettings(pairs=6, scales=0, halves=5, bootstrap=5)
    monkeypatch.setattr(steps_run, "settings_for", lambda size: few)


@pytest.fixture(scope="module")
def priors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``teacher``, its students ``two`` and ``same`` with its weights as they are, and a ``stranger``."""
    folder = tmp_path_factory.mktemp("steps")
    average = AverageLatent(torch.zeros(4, 16, 16), (EDGE,) * 3).to_dict()
    facts = {"classes": {CHEST: [SPACING] * 3}, "size": [EDGE] * 3, "averages": {CHEST: average}}
    teacher = read_card(write_prior(folder / "teacher", **facts) / "biflownet.safetensors").sha256
    write_prior(folder / "two", **facts, distilled=Distilled(2, 8, teacher).to_dict())
    write_prior(folder / "same", **facts, distilled=Distilled(8, 16, teacher).to_dict())
    write_prior(folder / "stranger", **facts, distilled=Distilled(2, 8, "0" * 64).to_dict())
    write_toy(folder / "wdm", "WDM")
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


def run(priors: Path, out: Path, *names: str, **options: object) -> Run:
    given = {"steps": "1,8", "count": COUNT, "out": out} | options
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    return run_benchmarks("steps", *(priors / name for name in names), *words)


def test_rows_are_the_teacher_s_numbers_of_steps_and_then_the_students(priors, out, scans):
    found = run(priors, out, "teacher", "two", "same", data=scans, features="pooled")
    assert found.code == 0, found.err
    content = json.loads((out / "steps" / "results.json").read_text())
    rows = {row["label"]: row for row in content["rows"]}
    assert list(rows) == ["teacher, 1 step", "teacher, 8 steps", "distilled, 2 steps", "distilled, 8 steps"]
    assert content["long"] == 8
    assert rows["teacher, 8 steps"]["distance"] is None
    assert rows["teacher, 1 step"]["distance"]["mean"] > 0
    assert rows["distilled, 8 steps"]["distance"]["mean"] == 0, "the same weights, steps and seeds"
    assert rows["distilled, 2 steps"]["distilled"]["steps"] == rows["distilled, 2 steps"]["sampled"]["steps"] == 2
    assert content["chance"]["mean"] > 0
    for row in rows.values():
        assert row["measures"]["frechet"]["value"] >= 0
        assert row["measures"]["floor"]["real"]["mmd"]["mean"] is not None
        assert row["sampled"]["start"] == "average"
        assert row["sampled"]["seconds"] > 0
    assert content["notes"], "few volumes: the Fréchet distance is biased"
    assert "another seed" in found.out
    assert "two halves of the real volumes" in found.out


def test_every_form_is_written_and_a_second_run_makes_no_volume(priors, out, scans, monkeypatch):
    monkeypatch.setattr("benchmarks.generation.make._make", lambda *_: pytest.fail("made again"))
    found = run(priors, out, "teacher", "two", "same", data=scans, features="pooled")
    assert found.code == 0, found.err
    page = (out / "steps" / "index.html").read_text()
    assert page.count('class="sheet"') == 5, "real volumes and four rows"
    assert "distilled, 2 steps" in page
    assert r"\begin{tabular}" in (out / "steps" / "table.tex").read_text()
    assert "distance, HU" in (out / "steps" / "table.txt").read_text()
    assert len(list((out / "steps").glob("contact-*.png"))) == 5


def test_without_real_volumes_distances_to_the_teacher_remain(priors, tmp_path):
    found = run(priors, tmp_path, "teacher", "two", "stranger", count=4)
    assert found.code == 0, found.err
    content = json.loads((tmp_path / "steps" / "results.json").read_text())
    assert content["real"] is None
    assert content["rows"][-1]["label"] == "distilled, 2 steps (stranger)"
    assert content["rows"][-1]["measures"] is None
    assert "Fréchet" not in found.out
    assert "distilled, 2 steps (stranger): not distilled from the teacher of this table" in found.out
    assert "distilled, 2 steps (two): not distilled" not in found.out


def test_differences_are_root_mean_squares_in_the_unit_of_the_modality():
    one, other = torch.zeros(2, 2, 2), torch.zeros(2, 2, 2)
    other[0] = 0.1
    assert difference(one, other, "CT") == pytest.approx(1000 * 0.1 / 2**0.5, rel=1e-5)
    assert difference(one, other, "MR") == pytest.approx(0.5 * 0.1 / 2**0.5, rel=1e-5)


@pytest.mark.parametrize(
    ("names", "options", "line"),
    [
        (["two"], {}, "it was distilled itself; name the prior that it came from"),
        (["teacher", "teacher"], {}, "it is the teacher"),
        (["wdm"], {}, "no prior"),
        (["teacher", "missing"], {}, "missing"),
        (["teacher"], {"steps": "4,x"}, "--steps 4,x: must be whole numbers from 1"),
        (["teacher"], {"steps": "0"}, "--steps 0: must be whole numbers from 1"),
        (["teacher"], {"steps": "2000"}, "2000 steps from step 900"),
        (["teacher"], {"count": 3}, "--count 3: at least 4"),
        (["teacher"], {"class": "liver"}, "no class 'liver'"),
        (["teacher"], {"class": "CTLegs"}, "this prior learned CTChestAbdomen alone"),
        (["teacher"], {"size": "32,32"}, "--size 32,32: must be three whole numbers"),
        (["teacher"], {"features": "pooled"}, "--features: has no effect without --data"),
    ],
)
def test_what_cannot_be_compared_is_one_line(priors, tmp_path, names, options, line):
    found = run(priors, tmp_path, *names, **options)
    assert found.code == 2, found.out
    assert line in found.err
    assert found.err.strip().count("\n") == 0
    assert not list(tmp_path.glob("generation/volumes/*"))


def test_a_student_must_have_been_distilled(priors, tmp_path):
    write_prior(tmp_path / "other", classes={CHEST: [SPACING] * 3}, size=[EDGE] * 3)
    found = run_benchmarks("steps", priors / "teacher", tmp_path / "other", "--count", 4, "--out", tmp_path / "out")
    assert found.code == 2
    assert "it was not distilled; 'recon train distilled' makes students" in found.err
