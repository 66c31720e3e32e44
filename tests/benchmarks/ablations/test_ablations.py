"""The paper's ablations: what they compare, their measures on made-up numbers, and whole runs at toy scale."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from benchmarks.ablations.spec import AblationSpec, ablation_names, load_ablation
from benchmarks.cli import main
from priors.networks.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder
from priors.training.recipe import load_recipe
from priors.weights.networks import load_autoencoder
from recon.training.validation import patchwise_round_trip, round_trip

DATA = "phantom:count=12,size=32x32x32,spacing=6x10x10"


@pytest.mark.parametrize("name", ablation_names())
def test_shipped_ablations_are_valid_and_differ_in_one_thing(name):
    spec = load_ablation(name)
    assert ablation_names() == ["table5", "table6", "table7", "table8"]
    for run in spec.runs.values():
        load_recipe(run.network, "starter", run.settings)
    measured = [spec.runs[row.run] for row in spec.rows]
    if name in ("table7", "table8"):
        assert len({(run.network, run.base) for run in measured}) == 1


@pytest.mark.parametrize("recipe", ["cpu", "starter", "tiny"])
def test_losses_are_adversarial_where_the_table_says_so(recipe):
    for name, run in load_ablation("table6").runs.items():
        task = load_recipe(run.network, recipe, run.settings).task
        assert task.get("adversarial", True) == ("adv" in name)


def test_a_run_builds_upon_those_before_it():
    run = {"network": "biflownet", "base": "later"}
    with pytest.raises(ValueError, match="not before it"):
        AblationSpec.model_validate(
            {"title": "", "measure": "generation", "runs": {"a": run}, "rows": [{"label": "", "run": "a"}]}
        )
    runs = {"a": {"network": "autoencoder"}}
    with pytest.raises(ValueError, match="no run b"):
        AblationSpec.model_validate(
            {"title": "", "measure": "round-trip", "runs": runs, "rows": [{"label": "", "run": "b"}]}
        )


def test_patchwise_decoding_of_one_patch_is_the_joint_one():
    torch.manual_seed(0)
    net = PatchVolumeAutoencoder(AutoencoderConfig(width=8, norm_groups=4, codes=16, latent_channels=2, patch=8)).eval()
    single = torch.rand(8, 8, 8) * 2 - 1
    torch.testing.assert_close(patchwise_round_trip(net, single), round_trip(net, single))
    several = torch.rand(10, 16, 12) * 2 - 1
    patchwise = patchwise_round_trip(net, several)
    assert patchwise.shape == several.shape
    assert not torch.allclose(patchwise, round_trip(net, several))


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["ablate", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def common(folder: Path, *arguments: str) -> list[str]:
    return ["--dataset", DATA, "--recipe", "tiny", "--steps", "4", "--out", str(folder), *arguments]


def test_tables_of_the_autoencoder_at_toy_scale(tmp_path):
    out = run("table5", *common(tmp_path))
    for part in (
        "without joint decoder",
        "with joint decoder",
        "its middle by patches",
        "psnr",
        "the paper's own figures",
        "not the paper's data",
    ):
        assert part in out
    assert "training 4 steps" in out
    again = run("table5", *common(tmp_path))
    assert "training" not in again.replace("networks are training", "")
    assert again.count("there already") == 4
    weights = {path.parent.name: path for path in tmp_path.rglob("autoencoder.safetensors")}
    middles = {name: load_autoencoder(path).config.patch_middle for name, path in weights.items()}
    assert middles == {"patches": False, "patches-on": False, "joint": False, "joint-middle": True}
    out = run("table6", *common(tmp_path))
    assert out.count("absent: needs the perceptual network") == 2
    rows = {row["label"]: row for row in json.loads((tmp_path / "table6.json").read_text())["rows"]}
    assert rows["L_VQ"]["figures"]["psnr"] != rows["L_VQ + L_Adv"]["figures"]["psnr"]


def test_tables_of_the_noise_estimator_at_toy_scale(tmp_path):
    arguments = common(tmp_path, "--samples", "2", "--set", "biflownet:task.crop=[8,8,8]")
    for table, rows in (("table7", 3), ("table8", 2)):
        out = run(table, *arguments)
        assert "frechet" in out
        assert "loss" in out
        content = json.loads((tmp_path / f"{table}.json").read_text())["rows"]
        assert len(content) == rows
        assert len({row["weights"] for row in content}) == rows
        assert all(np.isfinite(row["figures"]["mmd"][0]) for row in content)


def test_tables_that_begin_with_a_prior(tmp_path):
    def measured(*arguments: str) -> dict[str, float]:
        run("table6", *common(tmp_path, *arguments))
        rows = json.loads((tmp_path / "table6.json").read_text())["rows"]
        return {row["label"]: row["figures"]["psnr"][0] for row in rows if row["figures"]}

    anew, base = measured(), tmp_path / "table6" / "vq"
    begun = measured("--base", str(base))
    assert begun["L_VQ"] != anew["L_VQ"], "another network, though in the same --out"
    assert begun["L_VQ"] != begun["L_VQ + L_Adv"]
    assert measured() == anew, "that is still there"
    arguments = common(tmp_path, "--samples", "2", "--set", "biflownet:task.crop=[8,8,8]", "--base", str(base))
    out = run("table8", *arguments)
    assert f"from {base}" in out
    assert "autoencoder: training" not in out
    (copied,) = tmp_path.glob("table8-*/patch/autoencoder.safetensors")
    assert copied.read_bytes() == (base / "autoencoder.safetensors").read_bytes()
    result = CliRunner().invoke(main, ["ablate", "table8", *arguments, "--split", "train"])
    assert result.exit_code == 2
    assert "among the cases" in result.output


def test_data_may_be_a_list(tmp_path):
    data = tmp_path / "data.yaml"
    data.write_text("- {dataset: 'phantom:count=12,size=32x32x32,spacing=6x10x10', modality: CT, class: CTLegs}\n")
    folder = ["--recipe", "tiny", "--steps", "2", "--out", str(tmp_path / "out"), "--data", str(data)]
    out = run("table8", *folder, "--samples", "2", "--set", "biflownet:task.crop=[8,8,8]")
    assert "patch-wise encoding" in out
    result = CliRunner().invoke(main, ["ablate", "table8", *folder, "--dataset", DATA])
    assert result.exit_code == 2
    assert "give one of them" in result.output


def test_bad_input_is_one_line(tmp_path):
    result = CliRunner().invoke(main, ["ablate", "table7", *common(tmp_path), "--set", "biflownet:task.cropp=1"])
    assert result.exit_code == 2
    assert "task.cropp" in result.output
    result = CliRunner().invoke(
        main, ["ablate", "table7", *common(tmp_path), "--split", "test", "--dataset", "folder=/nowhere"]
    )
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["run", "table5"], "table5: networks are trained for it; 'benchmarks ablate table5' does that"),
        (["run", "table9", "--base", "nowhere"], "no option --base of 'benchmarks run'; 'benchmarks ablate' has it"),
        (["run", "table1", "--methods", "tv"], "--methods: has no effect on table1"),
        (["ablate", "table9"], "'benchmarks run table9' measures it"),
        (
            ["ablate", "table5", "--methods", "tv"],
            "no option --methods of 'benchmarks ablate'; 'benchmarks' has it for run",
        ),
        (["ablate", "table5", "--perceptual", "x"], "--perceptual: has no effect on table5"),
        (["ablate", "table5", "--samples", "3"], "--samples: has no effect on table5"),
        (["ablate", "table5", "--set", "batch=2"], "--set batch=2: table5 trains autoencoder; write autoencoder:KEY"),
        (["ablate", "table5", "--set", "biflownet:batch=2"], "--set biflownet:batch=2: table5 trains autoencoder"),
        (["ablate", "table5", "--base", "nowhere"], "--base: no prior and no folder"),
        (["ablate", "table5", "--dataset", "fastmri-knee=x"], "did you mean 'fastmri'?"),
        (["ablate", "table55"], "no ablation 'table55'; there are table5, table6"),
    ],
)
def test_what_has_no_effect_is_one_line(tmp_path, arguments, line):
    result = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert line in result.stderr
    assert result.stderr.startswith("benchmarks: ")
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_wrong_ablation_file_names_the_key(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("title: x\nmeasure: round-trip\nruns: {a: {network: autoencoder, stag: 2}}\nrows: []\n")
    with pytest.raises(ValueError, match=r"mine\.yaml: unknown key runs\.a\.stag; did you mean stage"):
        load_ablation(str(file))
    file.write_text("title: x\nmeasure: round-trip\nruns: {a: {network: biflownet, stage: 2}}\nrows: []\n")
    with pytest.raises(ValueError, match=r"runs\.a: stage and perceptual belong to autoencoder"):
        load_ablation(str(file))
