"""Tables of generators from the command line: rows, floors, absent methods, resuming, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import Run, run_benchmarks
from toy_generators import ToyGenerator, write_toy

import benchmarks.generation.make as make
import benchmarks.generation.measures as measures
import benchmarks.generation.run as runs
from benchmarks.generation.spec import generation_names, load_generation_spec
from benchmarks.table.published import published

COUNT = 6


def run(table: str, scans: Path, out: Path, *priors: Path, **options: object) -> Run:
    """``benchmarks run TABLE`` with plain features."""
    given = {"count": COUNT, "features": "pooled", "out": out} | options
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    return run_benchmarks("run", table, "--data", scans, *(w for each in priors for w in ("--prior", each)), *words)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture
def seeds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds of all volumes that are generated from here on."""
    made: list[int] = []
    generate = ToyGenerator.generate

    def counted(self, anatomy, size, seeds, sampling, **options):
        made.extend(seeds)
        return generate(self, anatomy, size, seeds, sampling, **options)

    monkeypatch.setattr(ToyGenerator, "generate", counted)
    return made


@pytest.mark.parametrize("name", generation_names())
def test_every_shipped_table_is_one_with_the_six_methods(name):
    spec = load_generation_spec(name)
    assert spec.usual_class.name == ("MRT1Brain" if name == "table4" else "CTChestAbdomen")
    assert spec.methods[-1] == "3D MedDiffusion"
    assert len(spec.methods) == 6


def test_the_papers_tables_have_their_figures():
    assert [len(published(name)["rows"]) for name in ("table2", "table3", "table4")] == [6, 7, 7]
    assert published("fig6") is None


def test_a_table_has_every_method_its_floor_and_the_papers_figures_apart(scans, priors, out):
    found = run("table3", scans, out, priors / "wdm", priors / "hagan")
    assert found.code == 0, found.err
    content = json.loads((out / "table3" / "results.json").read_text())
    assert [row["label"] for row in content["rows"]] == ["HA-GAN", "WDM"], "the order of the table"
    assert [row["label"] for row in content["absent"]] == ["MedicalDiffusion", "MAISI", "MedSyn", "3D MedDiffusion"]
    assert content["real"]["count"] == 8
    assert content["real"]["scans"] == 6
    assert content["size"] == [32, 32, 32]
    for row in content["rows"]:
        measures = row["measures"]
        assert measures["generated"] == COUNT
        assert measures["floor"]["size"] == 4
        assert measures["training"]["training"]["median"] > 0
        assert measures["ms_ssim"]["scales"] == 3
    assert content["rows"][0]["sampled"]["sampler"] == "none"
    assert content["rows"][1]["sampled"]["steps"] == 1000
    assert found.out.count("no result") == 3 * 4
    assert "MAISI: no weights" in found.out
    assert "two halves of the real volumes" in found.out
    assert "the paper's own figures" in found.out
    assert "0.6500" in found.out, "with the paper's decimals"
    assert "0.65" not in found.out.split("the paper's own figures")[0]
    noisy, clean = (row["measures"]["mmd"]["value"] for row in content["rows"])
    assert noisy > clean


def test_everything_is_written(scans, priors, out):
    written = {path.name for path in (out / "table3").iterdir()}
    contacts = {"contact-real.png", "contact-ha-gan.png", "contact-wdm.png"}
    assert written == {"results.json", "table.txt", "table.tex", "index.html", *contacts}
    latex = (out / "table3" / "table.tex").read_text()
    assert latex.count(r"\begin{tabular}") == 5
    assert "The paper's own figures" in latex
    assert r"\multicolumn{6}{c}{no result}" in latex


def test_a_second_run_makes_nothing_and_says_the_same(scans, priors, out, seeds):
    before = (out / "table3" / "results.json").read_bytes()
    again = run("table3", scans, out, priors / "wdm", priors / "hagan")
    assert seeds == []
    assert "measured" not in again.err
    assert (out / "table3" / "results.json").read_bytes() == before


def test_an_interrupted_run_loses_no_volume_and_a_damaged_one_is_made_again(
    scans, priors, tmp_path, seeds, monkeypatch
):
    generate = ToyGenerator.generate

    def killed(self, anatomy, size, wanted, sampling, **options):
        if wanted[0] == 4:
            raise KeyboardInterrupt
        return generate(self, anatomy, size, wanted, sampling, **options)

    with monkeypatch.context() as patch:
        patch.setattr(ToyGenerator, "generate", killed)
        assert run("table3", scans, tmp_path, priors / "wdm").code != 0
    assert seeds == [0, 1, 2, 3]
    assert not (tmp_path / "table3").exists()
    (folder,) = (tmp_path / "generation" / "volumes").iterdir()
    (folder / "seed-1.nii.gz").write_bytes((folder / "seed-1.nii.gz").read_bytes()[:-9])
    (folder / ".seed-4.nii.gz.1-0.partial").write_bytes(b"half")
    seeds.clear()
    found = run("table3", scans, tmp_path, priors / "wdm")
    assert found.code == 0, found.err
    assert seeds == [1, 4, 5]
    assert "WDM: 3 of 6 volumes are there" in found.err
    assert not list(folder.glob(".*")), "what the killed run left is gone"


def test_other_weights_or_steps_are_other_volumes(scans, priors, tmp_path, seeds):
    other = write_toy(tmp_path / "wdm", "WDM", 0.1)
    results = tmp_path / "out"
    run("table3", scans, results, other)
    assert run("table3", scans, results, other, steps="WDM=20").code == 0
    assert len(seeds) == 2 * COUNT
    assert len(list((results / "generation" / "volumes").iterdir())) == 2
    run("table3", scans, results, write_toy(tmp_path / "wdm", "WDM", 0.2))
    assert len(seeds) == 3 * COUNT


def test_other_code_makes_other_volumes_and_other_features(scans, priors, tmp_path, seeds, monkeypatch):
    assert run("table3", scans, tmp_path, priors / "wdm").code == 0
    seeds.clear()
    monkeypatch.setattr(measures, "code_of", lambda computes: "changed")
    found = run("table3", scans, tmp_path, priors / "wdm")
    assert seeds == []
    assert f"features of {COUNT} volumes" in found.err
    monkeypatch.setattr(make, "code_of", lambda computes: "changed")
    run("table3", scans, tmp_path, priors / "wdm")
    assert seeds == list(range(COUNT))


def test_two_folders_of_one_method_have_their_names(scans, priors, tmp_path):
    other = write_toy(tmp_path / "longer", "WDM", 0.1)
    run("table3", scans, tmp_path / "out", priors / "wdm", other)
    content = json.loads((tmp_path / "out" / "table3" / "results.json").read_text())
    assert [row["label"] for row in content["rows"]] == ["WDM (wdm)", "WDM (longer)"]


def test_held_out_scans_are_compared_with_and_training_scans_looked_at_for_copies(scans, priors, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(scans, data)
    (data / "test").mkdir()
    for number in (0, 1):
        (data / "train" / f"scan{number}.nii.gz").rename(data / "test" / f"scan{number}.nii.gz")
    found = run("table3", data, tmp_path / "out", priors / "wdm", split="test")
    assert found.code == 0, found.err
    content = json.loads((tmp_path / "out" / "table3" / "results.json").read_text())
    assert content["real"] | {"sha256": ""} == {
        "split": "test",
        "scans": 2,
        "count": 8,
        "sha256": "",
        "is_training": False,
    }
    assert content["rows"][0]["measures"]["training"]["training"]["median"] > 0
    assert any("8 cubes of 2 scans" in note for note in content["notes"])
    assert not any("training split" in note for note in content["notes"])


def test_a_changed_cell_is_measured_again(scans, priors, out, seeds):
    before = (out / "table3" / "results.json").read_bytes()
    for path in (out / "generation" / "cells").glob("*.json"):
        path.write_text(path.read_text().replace("0.", "1.", 1))
    for path in (out / "generation" / "cells").glob("*.features"):
        path.write_bytes(path.read_bytes()[:-8])
    found = run("table3", scans, out, priors / "wdm", priors / "hagan")
    assert "features of 8 volumes" in found.err
    assert seeds == []
    assert (out / "table3" / "results.json").read_bytes() == before


def test_the_figure_shows_all_volumes_together(scans, priors, out, monkeypatch):
    def drawn(groups, *, seed, perplexity):
        assert seed == 0
        assert perplexity < sum(map(len, groups.values())) / 3
        return {label: np.random.default_rng(seed).normal(size=(len(each), 2)) for label, each in groups.items()}

    monkeypatch.setattr(runs, "tsne", drawn)
    found = run("fig6", scans, out, priors / "wdm", priors / "hagan")
    assert found.code == 0, found.err
    content = json.loads((out / "fig6" / "results.json").read_text())
    assert {label: len(points) for label, points in content["embedding"]["points"].items()} == {
        "real": 8,
        "HA-GAN": COUNT,
        "WDM": COUNT,
    }
    assert "1-NN accuracy" in found.out, "what measures stands beside what shows"
    picture = (out / "fig6" / "features.svg").read_text()
    assert picture.count("<text") == 3
    assert len(re.findall(r"M[\d.-]+ [\d.-]+a", picture)) == 8 + 1, "the real volumes are circles; one is the key's"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"class": "CTFeet"}, "--class: no class 'CTFeet'"),
        ({"class": "CTLegs"}, "--prior {wdm}: --class CTLegs: this prior learned CTChestAbdomen alone"),
        ({"class": "MRKnee"}, "--prior {wdm}: --class MRKnee: this prior learned CTChestAbdomen alone"),
        ({"count": 3}, "--count 3: at least 4 volumes"),
        ({"features": "resnet9"}, "--features resnet9: neither one of ct-resnet152"),
        ({"size": "32,32"}, "--size 32,32: must be three whole numbers"),
        ({"size": "36,36,36"}, "--size: WDM: (36, 36, 36) voxels: each edge must be a multiple of 8"),
        ({"steps": "WDM=2000"}, "--steps of WDM: 2000: at most 1000 steps"),
        ({"steps": "MAISI=20"}, "--steps MAISI: no method with sampling steps is named so; there are WDM"),
        ({"steps": "few"}, "--steps few: must be a whole number"),
        ({"split": "test"}, "--split test: no volume of the data is in it"),
    ],
)
def test_what_cannot_be_is_one_line(scans, priors, tmp_path, seeds, options, line):
    found = run("table3", scans, tmp_path, priors / "wdm", **options)
    assert (found.code, found.err.count("\n")) == (2, 1), found.err
    assert line.format(wdm=priors / "wdm") in found.err
    assert seeds == [], "it is known before any volume is made"


def test_methods_of_two_sizes_or_voxels_are_one_line(scans, priors, tmp_path, seeds):
    large = write_toy(tmp_path / "large", "MAISI", edge=40)
    found = run("table3", scans, tmp_path / "out", priors / "wdm", large)
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert "--prior: WDM was trained on 32 × 32 × 32 voxels, MAISI on 40 × 40 × 40; a table compares" in found.err
    fine = write_toy(tmp_path / "fine", "MAISI", spacing=2.0)
    found = run("table3", scans, tmp_path / "out", priors / "wdm", fine)
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert "--prior: voxels of WDM are 8 × 8 × 8 mm, of MAISI 2 × 2 × 2 mm" in found.err
    assert seeds == []
    assert run("table3", scans, tmp_path / "out", priors / "wdm", large, size="32,32,32").code == 0


def test_a_damaged_folder_is_one_line(scans, tmp_path):
    folder = write_toy(tmp_path / "broken", "WDM")
    (folder / "toy.json").write_text("{")
    found = run("table3", scans, tmp_path / "out", folder)
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert "missing or damaged" in found.err


def test_a_generator_that_fails_names_its_method(scans, priors, tmp_path, monkeypatch):
    generate = ToyGenerator.generate

    def broken(*arguments, **options):
        return (image * float("nan") for image in generate(*arguments, **options))

    monkeypatch.setattr(ToyGenerator, "generate", broken)
    found = run("table3", scans, tmp_path, priors / "wdm")
    assert found.code == 1
    assert "WDM: seed 0: the generated volume has NaN" in found.err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["table3", "--data", "."], "--prior: name the folder of at least one trained generator"),
        (["table3", "--prior", "nowhere"], "--data: table3 compares with real volumes"),
        (["table3", "--data", ".", "--prior", "nowhere"], "no prior and no folder of the name 'nowhere'"),
        (["table3", "--data", "nowhere", "--prior", "."], "nowhere: does not exist"),
        (["table3", "--methods", "tv"], "--methods: has no effect on table3, which compares generators"),
        (["table9", "--count", "4"], "--count: is for fig6, table2, table3, table4; table9 compares methods"),
        (["table2", "--data", "."], "--data: has no effect on table2, which looks at no real volumes"),
        (["real-ct", "--count", "4"], "--count: has no effect on real-ct"),
    ],
)
def test_options_without_effect_are_refused(arguments, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = run_benchmarks("run", *arguments)
    assert found.code == 2
    assert line in found.err


def test_the_tables_are_listed():
    found = run_benchmarks("list").out
    assert "table3: Generated CT of chest and abdomen beside real volumes, with --prior; HA-GAN, Medical" in found
