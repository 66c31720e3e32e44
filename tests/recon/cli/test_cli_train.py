"""``recon train``: a network has its own options alone, and what has no effect is one line."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from cli_helpers import run_recon

from recon.cli.train import train
from recon.training.registry import TRAININGS

PHANTOM = ("--dataset", "phantom:count=2,size=16x32x32,spacing=8x10x10", "--recipe", "tiny")


def flags(network: str) -> set[str]:
    return {name for parameter in train.commands[network].params for name in parameter.opts}


def test_networks_have_the_options_that_they_have_a_use_for() -> None:
    shared = {"--data", "--recipe", "--set", "--out", "--warm-start", "--device"}
    assert all(shared <= flags(each) for each in TRAININGS)
    assert {name for name in TRAININGS if "--stage" in flags(name)} == {"autoencoder"}
    assert {name for name in TRAININGS if "--head" in flags(name)} == {"refiner"}
    second_stages = {"medicaldiffusion", "medsyn-sr", "maisi", "implicit-decoder"}
    heads = {"controlnet", "maisi-controlnet"}
    assert {name for name in TRAININGS if "--base" in flags(name)} == {
        "biflownet",
        "distilled",
        "refiner",
    } | heads | second_stages
    assert {name for name in TRAININGS if "--reference" in flags(name)} == heads
    assert {name for name in TRAININGS if "--mask" in flags(name)} == {
        "controlnet",
        "maisi-controlnet",
        "fbpconv",
        "unet",
        "dolce",
        "modl",
        "varnet",
    }
    assert "--mask" not in flags("primal-dual")
    assert "--geometry" not in flags("modl")
    assert not {"--task", "--geometry", "--mask"} & flags("adm")


@pytest.mark.parametrize("command", train.commands.values(), ids=lambda command: command.name)
def test_every_option_of_a_network_has_a_sentence(command: click.Command) -> None:
    assert command.help
    for parameter in command.params:
        assert isinstance(parameter, click.Option)
        assert parameter.help
        assert parameter.help.split("  [")[0].endswith("."), parameter
    text = run_recon("train", command.name, "--help").out
    assert all(f"{heading}:" in text for heading in ("Run", "Machine", "Data"))
    assert "--flag" not in text
    assert "`" not in text


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            ["fbpconv", "--mask", "nonsense", "--stage", "2", "--base", "starter"],
            "no option --stage of 'recon train fbpconv'; 'recon train autoencoder' has it",
        ),
        (
            ["modl", "--geometry", "paper40"],
            "'recon train' has it for controlnet, maisi-controlnet, fbpconv, unet, dolce, primal-dual",
        ),
        (["fbpconv", "--mask", "nonsense", "--task", "mri"], "--mask: masks nonsense; there are gauss1d"),
        (["fbpconv", "--photons", "1e4", "--task", "mri"], "--photons: has no effect with --task mri"),
        (["fbpconv", "--accel", "4", "--task", "svct"], "--accel: has no effect with --task svct"),
        (["fbpconv", "--geometry", "limited90"], "--geometry: say --task svct with it"),
        (["fbpconv", "--arc", "90-180", "--task", "svct"], "--arc: arcs are drawn with --scanners only"),
        (["fbpconv", "--scanners", "--arc", "9-400", "--task", "svct"], "--scanners: arc 9 to 400: lower number first"),
        (["fbpconv", "--views", "20-x", "--task", "svct"], "must be a whole number or a range such as 20-80"),
        (["fbpconv", "--views", "20.5", "--task", "svct"], "must be a whole number or a range such as 20-80"),
        (["fbpconv", "--photons", "1e6-1e4", "--task", "svct"], "must be positive, the lower number first"),
        (["fbpconv", "--condition", "fbq", "--task", "svct"], "--condition fbq: no such CT method"),
        (["primal-dual", "--task", "mri"], "--task: primal-dual is for CT"),
        (["refiner"], "--head: name the head"),
        (["refiner", "--task", "svct"], "no option --task of 'recon train refiner'"),
        (["adm", "--set", "task.variants=2"], "unknown key task.variants"),
        (["unet", "--task", "svct", "--set", "optimizer.momentum=0.5"], "momentum has no effect with adamw"),
        (["unet", "--task", "svct", "--dataset", "fastmri-knee"], "did you mean 'fastmri'?"),
        (["unett"], "no network unett; did you mean unet?"),
    ],
)
def test_what_has_no_effect_is_one_line(tmp_path: Path, given: list[str], line: str) -> None:
    data = ("--data", tmp_path, "--recipe", "tiny") if "--dataset" in given else PHANTOM
    run = run_recon("train", *given, *data, "--out", tmp_path / "out")
    assert run.code == 2, run.err
    assert line in run.err
    assert run.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_network_may_stand_behind_options(tmp_path: Path) -> None:
    more = ("--task", "svct", "--set", "nothing=1", "--out", tmp_path / "out")
    run = run_recon("train", *PHANTOM, "-q", "fbpconv", *more)
    assert run.code == 2
    assert "unknown key nothing" in run.err


def test_settings_are_listed_with_units_and_defaults() -> None:
    text = run_recon("train", "controlnet", "--settings").out
    assert "task.crop: a list of 3, each a whole number, latent voxels; no default" in text
    assert "optimizer.name: one of adam, adamw, rmsprop, sgd; default adam" in text
    assert "network.middle: true or false; default true" in text
    assert "network.base" not in text
    assert max(map(len, text.splitlines())) <= 120
