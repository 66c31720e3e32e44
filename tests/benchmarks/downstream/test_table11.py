"""Table XI on phantoms by the command: rows, controls, resuming, pages, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cli_helpers import Run, run_benchmarks
from tiny_prior import BASE, write_prior

from benchmarks.downstream.table11 import train_rows
from benchmarks.table.published import published
from priors.weights.seen import Seen

DATA = "phantom:count=24,anatomy=chest,opacities=0.5,size=8x16x16,spacing=20x20x20"
RECIPE = """
network: {width: 2, stem_kernel: [3, 3, 3], blocks: [1]}
task: {size: [8, 16, 16], augmentation: {flip: 0.5}}
steps: 3
batch: 2
optimizer: {name: adamw, lr: 1.0e-3}
validation: {every: 2, cases: 2}
"""
ROWS = ["real", "real, repeated", "real, augmented", "real + synthetic", "synthetic"]


def prior(folder: Path, **facts: object) -> Path:
    """A prior of random weights that says it learned both classes."""
    known = {
        "classes": {"abnormal": [20, 20, 20], "normal": [20, 20, 20]},
        "size": [32, 32, 32],
        "anatomies": [{"name": "abnormal", "modality": "CT"}, {"name": "normal", "modality": "CT"}],
    }
    return write_prior(folder, replace(BASE, classes=2), **known, **facts)


def run(out: Path, *words: object) -> Run:
    recipe = out.parent / "recipe.yaml"
    recipe.write_text(RECIPE)
    told = ["--dataset", DATA, "--recipe", recipe, "--seeds", 2, "--out", out]
    return run_benchmarks("run", "table11", *told, *words)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Run]:
    """The prior, the folder of the results, and the run that made them."""
    folder = tmp_path_factory.mktemp("table11")
    return (
        prior(folder / "prior"),
        folder / "out",
        run(folder / "out", "--prior", prior(folder / "prior"), "--count", 2, "--steps", 1),
    )


def test_every_row_has_scores_and_is_compared_with_real_volumes_alone(made):
    _, out, found = made
    assert found.code == 0, found.err
    content = json.loads((out / "table11" / "results.json").read_text())
    assert [row["label"] for row in content["rows"]] == ROWS
    real = sum(content["counts"]["train"].values())
    assert [(row["real_volumes"], row["synthetic_volumes"]) for row in content["rows"]] == [
        *[(real, 0)] * 3,
        (real, 4),
        (0, 4),
    ]
    longer = round(3 * (real + 4) / real)
    assert [row["steps"] for row in content["rows"]] == [3, longer, longer, longer, longer]
    test = sum(content["counts"]["test"].values())
    for row in content["rows"]:
        assert [len(each) for each in row["probabilities"]] == [test, test]
        assert 0 <= row["scores"]["auc"]["low"] <= row["scores"]["auc"]["value"] <= row["scores"]["auc"]["high"] <= 1
        assert (row["mcnemar"] is None) == (row["label"] == "real")
    assert content["recipe"] == "recipe", "no folder of anybody's"
    assert content["paper"] == {**published("table11")}


def test_all_forms_have_the_papers_figures_apart(made):
    _, out, found = made
    assert "the paper's own figures (MosMedData" in found.out
    assert "McNemar, exact p" in found.out
    page = (out / "table11" / "index.html").read_text()
    assert page.count("data:image/png") >= 8
    assert "synthetic, abnormal (2)" in page
    assert "chest-0-" not in page
    assert r"\begin{tabular}" in (out / "table11" / "table.tex").read_text()


def test_finished_classifiers_and_volumes_are_not_made_again(made, monkeypatch):
    folder, out, _ = made
    before = (out / "table11" / "results.json").read_bytes()
    volumes = {path: path.stat().st_mtime_ns for path in (out / "table11" / "volumes").rglob("*.nii.gz")}
    assert len(volumes) == 4
    monkeypatch.setattr(train_rows, "train", lambda *_: pytest.fail("trained again"))
    assert run(out, "--prior", folder, "--count", 2, "--steps", 1).code == 0
    assert (out / "table11" / "results.json").read_bytes() == before
    assert volumes == {path: path.stat().st_mtime_ns for path in volumes}


def test_without_a_generator_the_real_rows_are_left(made):
    _, out, _ = made
    found = run(out, "--json")
    assert found.code == 0, found.err
    content = json.loads(found.out)
    assert [row["label"] for row in content["rows"]] == ["real", "real, augmented"]
    assert {row["label"] for row in content["absent"]} == set(ROWS) - {"real", "real, augmented"}


def test_a_generator_that_has_seen_test_volumes_is_refused(tmp_path):
    seen = Seen.of(["chest-0-00000"], ["chest-0-00000"]).to_dict()
    found = run(tmp_path / "out", "--prior", prior(tmp_path / "prior", **seen))
    assert found.code == 2
    assert "learned from 1 of the validation and test volumes" in found.err


def test_wrong_use_is_one_line(tmp_path):
    known = run(tmp_path / "out", "--prior", write_prior(tmp_path / "released"))
    assert "it does not know the classes abnormal and normal" in known.err
    for words, text in (
        (["--steps", "x"], "--steps x: table11 takes one whole number"),
        (["--prior", "a", "--prior", "b"], "--prior: table11 takes one generator, not 2"),
        (["--jobs", 2], "--jobs: has no effect on table11"),
        (["--recipe", "none"], "recipe none: no such file; shipped for classifier: paper, starter, tiny"),
    ):
        found = run(tmp_path / "out", *words)
        assert (found.code, text in found.err) == (2, True), found.err
    other = run_benchmarks("run", "table9", "--seeds", 2, "--out", tmp_path / "out")
    assert "--seeds: is for table11" in other.err
