"""Fig. 12 from the command line with a stand-in for nnU-Net: settings, folds, resuming, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import nnunet_stand_in
import numpy as np
import pytest
from cli_helpers import Run, run_benchmarks

from benchmarks.table.published import published
from recon.errors import InputError


def fig12(cases: Path, out: Path, *words: object) -> Run:
    return run_benchmarks("run", "fig12", "--dataset", f"folder={cases}", "--short", "2x3", "--out", out, *words)


def calls(commands: Path) -> list[list[str]]:
    return nnunet_stand_in.calls(commands.parent / "calls")


def test_the_whole_figure_in_two_runs_of_which_the_first_is_stopped(cases, synthetic, commands, tmp_path, monkeypatch):
    out, words = tmp_path / "out", ("--synthetic", synthetic, "--nnunet", commands)
    monkeypatch.setenv("STAND_IN_FAILS_AT", "18")
    failed = fig12(cases, out, *words)
    assert failed.code == 1
    assert "nnUNetv2_train failed (exit code 1): RuntimeError: out of memory" in failed.err.splitlines()[-1]
    assert not (out / "fig12").exists()
    monkeypatch.delenv("STAND_IN_FAILS_AT")

    found = fig12(cases, out, *words)
    assert found.code == 0, found.err
    done = calls(commands)
    assert [sum(call[0] == name for call in done) for name in nnunet_stand_in.COMMANDS] == [1, 26, 25], "one failed"
    content = json.loads((out / "fig12" / "results.json").read_text())
    assert [setting["key"] for setting in content["settings"]] == [
        "synthetic",
        "mixed",
        "real",
        "half-added",
        "all-added",
    ]
    assert [len(setting["folds"]) for setting in content["settings"]] == [5] * 5
    assert [setting["folds"][0]["trained_on"] for setting in content["settings"]] == [
        [0, 8], [4, 4], [8, 0], [8, 4], [8, 8],
    ]  # fmt: skip
    assert content["training_cases"] == 10
    assert content["test_cases"] == 2
    assert content["nnunet"]["short"] == [2, 3]
    assert "person" not in (out / "fig12" / "results.json").read_text(), "names of a folder may be people's"
    real, blind = content["settings"][2], content["settings"][0]
    for scores in real["folds"][0]["cases"].values():
        assert scores["tumour"]["dice"] == 1
        assert scores["kidney"]["hd95"] == 0
    for scores in blind["folds"][4]["cases"].values():
        assert scores["tumour"] == {"dice": 0.0, "hd95": None, "there": True, "found": False}

    assert "SHORT: 2 epochs of 3 iterations" in found.out
    assert "(short)" in found.out.splitlines()[0]
    lines = found.out.splitlines()
    counts = next(number for number, line in enumerate(lines) if line.startswith("Counts"))
    assert lines[counts + 2].split()[-6:] == ["0", "0", "10", "10", "0", "10"], "all tumours missed by (1)"
    assert next(line for line in lines if "(1) less (2)" in line).split()[3:] != []
    assert "the paper's own figures" in found.out
    for name in ("index.html", "table.tex", "table.txt"):
        text = (out / "fig12" / name).read_text()
        assert "SHORT" in text
        assert "1.53" in text, "the paper's difference, apart"

    again = fig12(cases, out, *words)
    assert again.code == 0
    assert len(calls(commands)) == len(done), "finished networks are kept"
    assert again.out == found.out


def test_every_setting_has_its_own_splits_over_the_same_preprocessed_data(cases, synthetic, commands, tmp_path):
    out = tmp_path / "out"
    found = fig12(cases, out, "--synthetic", synthetic, "--nnunet", commands, "--methods", "mixed,synthetic")
    assert found.code == 0, found.err
    (folder,) = (out / "segmentation").glob("nnunet-*")
    splits = {}
    for key in ("synthetic", "mixed"):
        prepared = folder / "settings" / key / "preprocessed" / "Dataset912_Fig12"
        splits[key] = json.loads((prepared / "splits_final.json").read_text())
        assert (prepared / "nnUNetPlans.json").resolve() == folder / "preprocessed/Dataset912_Fig12/nnUNetPlans.json"
    assert splits["synthetic"] != splits["mixed"]
    assert [part["val"] for part in splits["synthetic"]] == [part["val"] for part in splits["mixed"]]
    assert found.out.count("no result") == 3 * 3
    assert "(3) 100 % real: not asked for" in found.out
    raw = folder / "raw" / "Dataset912_Fig12"
    image = nibabel.load(raw / "imagesTr" / "real0000_0000.nii.gz")
    labels = nibabel.load(raw / "labelsTr" / "real0000.nii.gz")
    assert image.get_data_dtype() == np.int16
    assert labels.get_data_dtype() == np.uint8
    assert image.shape == labels.shape
    assert np.array_equal(image.affine, labels.affine)


def test_real_volumes_alone_need_no_synthetic_ones(cases, commands, tmp_path):
    assert fig12(cases, tmp_path / "out", "--nnunet", commands, "--methods", "real").code == 0
    refused = fig12(cases, tmp_path / "out", "--nnunet", commands)
    assert refused.code == 2
    assert "--synthetic: the folder of volumes that were generated" in refused.err


def test_without_nnunet_one_line_says_how_it_is_installed(cases, synthetic, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = fig12(cases, tmp_path / "out", "--synthetic", synthetic)
    assert found.code == 2
    assert found.err.strip().splitlines() == [
        "benchmarks: --nnunet: nnU-Net's command nnUNetv2_plan_and_preprocess is not on the PATH; install it with: pip "
        "install 'meddiffusion-recon[nnunet]', or name the folder of its commands"
    ]
    assert not (tmp_path / "out").exists()


@pytest.fixture
def copy(cases: Path, tmp_path: Path) -> Path:
    """A copy of the cases that a test may spoil."""
    return Path(shutil.copytree(cases, tmp_path / "cases"))


def test_data_that_cannot_be_used_are_refused_in_one_line(copy, synthetic, commands, tmp_path):
    words = ("--synthetic", synthetic, "--nnunet", commands)
    label = copy / "train" / "person4_seg.nii.gz"
    image = nibabel.load(label)
    data = np.asarray(image.dataobj).copy()
    data[0, 0, 0] = 7
    nibabel.save(nibabel.Nifti1Image(data, image.affine), label)
    found = fig12(copy, tmp_path / "out", *words)
    assert found.code == 2
    assert "person4_seg.nii.gz: label 7; there are 1 kidney, 2 tumour, 3 cyst" in found.err
    label.unlink()
    found = fig12(copy, tmp_path / "out", *words)
    assert found.code == 2
    assert "--dataset: 1 of 12 cases have no segmentation, such as" in found.err
    shutil.rmtree(copy / "test")
    found = fig12(copy, tmp_path / "out", *words)
    assert found.code == 2
    assert "--dataset: no case is in the split test" in found.err
    assert calls(commands) == []


def test_synthetic_volumes_of_other_masks_are_refused(cases, synthetic, commands, tmp_path):
    spoilt = Path(shutil.copytree(synthetic, tmp_path / "spoilt"))
    words = ("--synthetic", spoilt, "--nnunet", commands)
    (spoilt / "train" / "person3.nii.gz").unlink()
    found = fig12(cases, tmp_path / "out", *words)
    assert found.code == 2
    assert "lacks 1 of 10 volumes, such as train/person3.nii.gz" in found.err
    shutil.copy(synthetic / "train" / "person3.nii.gz", spoilt / "train")
    shutil.copy(cases / "train" / "person1_seg.nii.gz", spoilt / "train" / "person0_mask.nii.gz")
    found = fig12(cases, tmp_path / "out", *words)
    assert found.code == 2
    assert "person0_mask.nii.gz: not the segmentation of train/person0" in found.err
    (spoilt / "train" / "person0_mask.nii.gz").unlink()
    far = nibabel.load(spoilt / "train" / "person0.nii.gz")
    moved = np.array(far.affine)
    moved[0, 3] = 500
    nibabel.save(nibabel.Nifti1Image(np.asarray(far.dataobj), moved), spoilt / "train" / "person0.nii.gz")
    found = fig12(cases, tmp_path / "out", *words)
    assert found.code == 2
    assert "person0.nii.gz: does not lie where the segmentation of train/person0 lies" in found.err
    assert calls(commands) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--short", "3"), "--short 3: must be two whole numbers EPOCHSxITERATIONS"),
        (("--short", "0x3"), "--short 0x3: must be two whole numbers"),
        (("--methods", "both"), "--methods both: no setting; there are synthetic, mixed, real, half-added, all-added"),
        (("--count", "3"), "--count: has no effect on fig12"),
        (("--split", "val"), "--split: has no effect on fig12"),
        (("--synthetic", "x", "--head", "y"), "--head: has no effect with --synthetic"),
        (("--prior", "x"), "--prior: is that of a --head, and none is named"),
        (("--head", "y", "--prior", "x", "--prior", "z"), "--prior: a head was trained on one prior; 2 are named"),
        (("--dataset", "phantom:count=3"), "--dataset: fig12 trains on one data set"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(cases, commands, tmp_path, words, message):
    found = fig12(cases, tmp_path / "out", "--nnunet", commands, *words)
    assert found.code == 2
    assert message in found.err


def test_a_head_may_stand_on_a_prior_that_is_not_installed(cases, commands, tmp_path, monkeypatch):
    asked = []

    def loaded(*given):
        asked.append(given)
        raise InputError("enough")

    monkeypatch.setattr("recon.generation.mask.load_mask_head", loaded)
    assert fig12(cases, tmp_path / "out", "--nnunet", commands, "--head", "h", "--prior", "p").code == 2
    assert asked == [("h", "p")]


def test_options_of_fig12_are_for_fig12():
    found = run_benchmarks("run", "table9", "--short", "2x3")
    assert found.code == 2
    assert "--short: is for fig12" in found.err


def test_the_papers_differences_are_the_papers():
    rows = {row["method"]: row for row in published("fig12")["rows"]}
    assert rows["(1) less (2)"]["tumour_dice"] == "−0.13 %"
    assert rows["(5) less (3)"]["kidney_hd95"] == "−1.6 mm"
