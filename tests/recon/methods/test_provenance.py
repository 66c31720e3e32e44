"""Every network that took part is named: those that made the images which others are shown, start from or change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cli_helpers import run_recon, train
from tiny_prior import GEOMETRY, body, make_head

from priors.weights.card import SHOWN_WEIGHTS, Card, read_card, read_tensors, save_weights
from priors.weights.model_card import model_card
from recon.acquisition.ct import simulate_ct
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.learned.provenance import pinned_weights, told_of_other_weights
from recon.learned.task import Task
from recon.methods import get_method, parse_options
from recon.methods.conditions import weights_of_task
from recon.methods.method import Method
from recon.run.outcome import reconstruct
from recon.scan.measurement import Measurement, Reconstruction, RunContext

NETWORKS = {"sirt": {"network": "5" * 64}, "cgls": {"network": "c" * 64, "condition fbp: network": "f" * 64}}
"""What two methods are made to say of their networks."""


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIRT and CGLS claim to be learned, as a method with weights would."""

    def claims(method: Method, weights: dict[str, str]) -> Method:
        def run(measurement: Measurement, options: object, context: RunContext) -> Reconstruction:
            return replace(method.run(measurement, options, context), weights=weights)

        return replace(method, run=run)

    for name, weights in NETWORKS.items():
        module = f"recon.methods.ct_{name}.METHOD"
        monkeypatch.setattr(module, claims(get_method("CT", name), weights))


def weights_of(method: str, **settings: object) -> dict[str, str]:
    chosen = get_method("CT", method)
    answer = chosen.run(simulate_ct(body(), GEOMETRY), parse_options(chosen, settings), RunContext())
    assert answer.weights is not None
    return answer.weights


def own_names(prior: Path) -> set[str]:
    return {"head", *(path.name for path in prior.glob("*.safetensors"))}


@pytest.mark.usefixtures("learned")
@pytest.mark.parametrize("method", ["meddiffusion", "meddiffusion+dc", "meddiffusion-paper"])
def test_what_a_head_is_shown_and_changes_is_named(prior: Path, tmp_path: Path, method: str) -> None:
    task = Task(CTAcquisition(GEOMETRY), ("fbp", "sirt"), ("sirt", "cgls"))
    head = make_head(prior, tmp_path, task)
    found = weights_of(method, weights=str(head), prior=str(prior), steps=1)
    shown = {"condition sirt: network": "5" * 64}
    changed = {"reference cgls: network": "c" * 64, "reference cgls: condition fbp: network": "f" * 64}
    expected = shown | ({} if method == "meddiffusion-paper" else changed)
    assert {name: sha256 for name, sha256 in found.items() if name not in own_names(prior)} == expected
    assert own_names(prior) <= set(found)


@pytest.mark.usefixtures("learned")
@pytest.mark.parametrize("kind", ["fbpconv", "primal-dual", "dolce"])
def test_what_other_networks_are_shown_or_start_from_is_named(tmp_path: Path, kind: str) -> None:
    path = untrained(tmp_path, kind, Task(CTAcquisition(GEOMETRY), ("sirt",)))
    settings = {"steps": 2} if kind == "dolce" else {}
    found = weights_of(kind, weights=path, **settings)
    assert found == {"network": read_card(path).sha256, "condition sirt: network": "5" * 64}


def untrained(folder: Path, kind: str, task: Task) -> Path:
    """A network of random weights for a task."""
    from priors.networks.adm_config import ADMConfig
    from priors.networks.fbpconvnet import FBPConvNetConfig
    from priors.networks.registry import KINDS
    from priors.networks.unrolled import PrimalDualConfig

    config = {
        "fbpconv": lambda: FBPConvNetConfig(width=4),
        "primal-dual": lambda: PrimalDualConfig(),
        "dolce": lambda: ADMConfig(in_channels=2, width=32, multipliers=(1, 1), attention=(), head_width=32),
    }[kind]()
    torch.manual_seed(0)
    values = config.to_dict()  # type: ignore[attr-defined]
    facts = {"task": task.to_dict(), "timesteps": 100, "schedule": "linear"}
    path = folder / f"{kind}.safetensors"
    save_weights(path, KINDS[kind].build(values, {}).state_dict(), Card(kind, values, extra=facts))
    return path


@pytest.mark.usefixtures("learned")
def test_a_run_with_other_networks_than_the_training_says_so(prior: Path, tmp_path: Path) -> None:
    task = Task(CTAcquisition(GEOMETRY), ("fbp", "sirt"))
    head = make_head(prior, tmp_path, task)
    case = body()
    measurement = simulate_ct(case, GEOMETRY)
    settings = {"weights": str(head), "prior": str(prior), "steps": 1}
    card, tensors = read_card(head), read_tensors(head)
    for pinned, told in (
        (None, ()),
        ({"condition sirt: network": "5" * 64}, ()),
        (
            {"condition sirt: network": "9" * 64},
            ("the head was trained with other weights of condition sirt: network: 999999999999, not 555555555555",),
        ),
        ({}, ("the head was trained with other weights of condition sirt: network: none, not 555555555555",)),
    ):
        extra = card.extra | ({} if pinned is None else {SHOWN_WEIGHTS: pinned})
        save_weights(head, tensors, replace(card, extra=extra))
        outcome = reconstruct(measurement, case, "meddiffusion", settings=settings)
        assert tuple(notice for notice in outcome.all_notices if "trained with" in notice) == told


def test_a_card_that_pins_nonsense_is_refused() -> None:
    assert pinned_weights({}) is None
    assert pinned_weights({SHOWN_WEIGHTS: {}}) == {}
    for wrong in ([], {"condition modl: network": 3}):
        with pytest.raises(ValueError, match="its header is damaged: shown_weights"):
            pinned_weights({SHOWN_WEIGHTS: wrong})
    assert told_of_other_weights("the head", None, {"condition modl: network": "a"}) == ()


def test_the_default_for_mr_names_the_network_whose_image_it_is_shown() -> None:
    from recon.diffusion.controlnet_head import load_head
    from recon.scan.measurement import Protocol

    head = load_head("", "", Protocol(mask={"kind": "poisson", "accel": 8}), "MR")
    installed = weights_of_task(head.task)
    assert set(installed) == {"condition modl: network"}
    assert head.trained_with is None
    assert head.notices(installed) == ()


def test_training_pins_what_the_images_were_made_with_and_the_card_says_it(prior: Path, tmp_path: Path) -> None:
    data = "phantom:count=4,size=16x32x32,spacing=8x10x10"
    run = ["--dataset", data, "--recipe", "tiny", "--cache", tmp_path / "cache", "-q", "--base", prior]
    small = ["--set", "task.crop=[8,8,8]", "--set", "task.sampling_steps=0", "--set", "steps=1"]
    task = ["--task", "svct", "--simulate", "ideal", "--views", "24"]
    head = train("controlnet", *run, *small, *task, "--out", tmp_path / "head")
    assert read_card(head).extra[SHOWN_WEIGHTS] == {}
    assert "none took part" in model_card(head)
    card = read_card(head)
    pinned = {"condition modl: network": "a1" * 32}
    save_weights(head, read_tensors(head), replace(card, extra=card.extra | {SHOWN_WEIGHTS: pinned}))
    assert f"condition modl: network {'a1' * 6}" in model_card(head)


def test_the_card_of_an_older_head_says_that_nothing_was_recorded() -> None:
    card = run_recon("weights", "card", "starter/heads/mri")
    assert card.code == 0, card.err
    assert "| Networks of the images shown | not recorded |" in card.out
    refiner = run_recon("weights", "card", "starter/heads/mri-refiner")
    assert "| Networks of the images shown | not recorded |" in refiner.out
    assert "Networks of the images shown" not in run_recon("weights", "card", "baselines/fbpconv-ct").out
