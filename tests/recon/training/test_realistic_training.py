"""Every trainer runs some steps on realistic scans, and its card says what they were."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cli_helpers import run_recon, train, write_mr

from datasets import open_dataset
from datasets.cache import Cache
from physics.ct.geometry import FanBeam, circular_angles
from priors.weights.card import read_card
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.cli.train.options import Options
from recon.cli.train.request import make_request
from recon.learned.task import Task
from recon.training.excerpts import Excerpts
from recon.training.pairs import simulate_pairs, with_model_error
from recon.training.prepared import prepare
from recon.training.registry import TRAININGS
from recon.training.scans import simulated_scan

DATA = "phantom:count=3,size=8x32x32,spacing=4x10x10,seed=3"
STEPS = ("--set", "steps=2", "--set", "batch=1", "--set", "validation.every=2", "-q")


@pytest.mark.parametrize("network", ["fbpconv", "dolce", "primal-dual"])
def test_ct_networks_learn_from_scans_with_model_error(tmp_path: Path, network: str) -> None:
    places = ("--cache", tmp_path / "cache", "--out", tmp_path / "run")
    scans = ("--task", "svct", "--views", "12-13", "--photons", "1e4-1e6")
    path = train(network, "--dataset", DATA, "--recipe", "tiny", *places, *scans, *STEPS)
    task = read_card(Path(path)).extra["task"]
    assert task["simulation"] == ("drawn" if network == "primal-dual" else "continuous")
    low, high = task["model_error"]
    assert 1e-4 < low <= high < 0.1


@pytest.mark.parametrize("network", ["unet", "modl", "varnet"])
def test_mr_networks_learn_from_noisy_scans_of_several_coils(tmp_path: Path, network: str) -> None:
    for split in ("train", "val"):
        (tmp_path / "mr" / split).mkdir(parents=True)
        write_mr(tmp_path / "mr" / split / f"{split}.nii.gz")
    places = ("--cache", tmp_path / "cache", "--out", tmp_path / "run")
    data = ("--data", tmp_path / "mr", "--modality", "MR", "--recipe", "tiny")
    path = train(network, *data, *places, "--task", "mri", "--mask", "gauss1d", "--accel", "2-4", *STEPS)
    task = read_card(Path(path)).extra["task"]
    assert task["simulation"] == "continuous"
    assert task["noise"] == 0.02
    assert task["coils"] == [1, 8]


@pytest.mark.parametrize("network", [name for name, kind in TRAININGS.items() if kind.tasks])
def test_ideal_scans_are_trained_on_when_asked_for(tmp_path: Path, network: str) -> None:
    task = TRAININGS[network].tasks[0]
    given = Options(tmp_path, "tiny", dataset="sample", task=task, simulate="ideal")
    asked = make_request(network, given).task
    assert asked is not None
    assert not {"simulation", "coils", "model_error"} & set(asked.to_dict())


def test_what_has_no_effect_is_refused(tmp_path: Path) -> None:
    common = ("--dataset", DATA, "--recipe", "tiny", "--out", tmp_path / "run")
    for options, line in (
        (("--task", "mri", "--simulate", "drawn"), "--simulate drawn: has no effect with --task mri"),
        (("--task", "svct", "--coils", "4"), "--coils: has no effect with --task svct"),
        (("--task", "mri", "--simulate", "ideal", "--coils", "4"), "--coils: 4 coils are simulated of continuous"),
    ):
        run = run_recon("train", "unet", *common, *options)
        assert run.code == 2
        assert line in run.err


def test_scans_are_made_once_whether_or_not_their_model_error_is_stated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path / "cache")
    cases = [case for case in open_dataset(DATA, None).cases() if case.split == "train"][:2]
    volumes = prepare(cases, cache)
    task = Task(CTAcquisition(FanBeam(circular_angles(12), pitch=4.0), simulation="continuous"), ("fbp",))
    first = simulate_pairs(volumes, task, 1, cache)
    stated = with_model_error(task, (pair.model_error for pair in first))
    assert stated.acquisition.model_error is not None  # type: ignore[union-attr]
    monkeypatch.setattr(CTAcquisition, "simulate", lambda *given: pytest.fail("simulated again"))
    again = simulate_pairs(volumes, stated, 1, cache)
    assert [pair.model_error for pair in again] == [pair.model_error for pair in first]
    assert [pair.key for pair in again] == [pair.key for pair in first]


def test_ideal_scans_state_no_model_error() -> None:
    task = Task(CTAcquisition(FanBeam(circular_angles(12), pitch=4.0)), ("fbp",))
    assert with_model_error(task, [None, None]) == task


def test_a_kept_scan_is_the_simulated_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path / "cache")
    cases = [case for case in open_dataset(DATA, None).cases() if case.split == "train"][:1]
    (volume,) = prepare(cases, cache)
    geometry = FanBeam(circular_angles(12), pitch=4.0)
    task = Task(CTAcquisition(geometry, views=(10, 14), photons=(1e4, 1e5), simulation="continuous"), ("fbp",))
    part = Excerpts(slices=4)
    for seed in (1, 2, 3):  # some with noise, some without
        fresh = task.acquisition.simulate(part.of(volume, seed), seed)
        simulated_scan(volume, task, seed, cache, "cpu", part)
        with monkeypatch.context() as patch:
            patch.setattr(CTAcquisition, "simulate", lambda *given: pytest.fail("simulated again"))
            kept = simulated_scan(volume, task, seed, cache, "cpu", part)
        assert kept.protocol == fresh.protocol
        assert torch.equal(kept.y, fresh.y)
        image = part.of(volume, seed).data.clamp_min(0)
        assert torch.equal(kept.operator(image), fresh.operator(image))
        for one, other in ((kept.sigma, fresh.sigma), (kept.model_error, fresh.model_error)):
            assert torch.equal(torch.as_tensor(one).expand_as(kept.y), torch.as_tensor(other).expand_as(kept.y))
