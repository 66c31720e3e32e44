"""What the diffusion methods tell of how far they are: stages by name, steps, and no residual that nobody computed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_prior import GEOMETRY, body, make_head

from physics.noise import NoiseModel, TransmissionNoise
from priors.networks.unet2d import UNet2D, UNetConfig
from priors.weights.card import Card, read_card, save_weights
from recon.acquisition.ct import simulate_ct
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.learned.task import Task
from recon.methods import get_method, parse_options
from recon.scan.measurement import ProgressEvent, RunContext

SIZES = UNetConfig(in_channels=2, chans=2, pool_layers=1, residual=True)


def told(method: str, noise: NoiseModel | None = None, **settings: object) -> list[ProgressEvent]:
    events: list[ProgressEvent] = []
    chosen = get_method("CT", method)
    context = RunContext(torch.Generator().manual_seed(0), events.append)
    chosen.run(simulate_ct(body(), GEOMETRY, noise=noise), parse_options(chosen, settings), context)
    return events


def stages(events: list[ProgressEvent]) -> list[str]:
    return list(dict.fromkeys(event.stage for event in events))


def check(events: list[ProgressEvent]) -> None:
    """Steps of a stage rise from 0 or 1 to its total, and a residual is a real one or None."""
    for stage in stages(events):
        own = [event for event in events if event.stage == stage]
        assert all(0 <= event.done <= event.total for event in own)
        assert own[-1].done == own[-1].total or "iterations" in stage, "iterations may end early"
    assert all(event.residual is None or event.residual > 0 for event in events)
    assert all(event.residual is None for event in events if "iterations" not in event.stage)
    assert any(event.residual for event in events if "iterations" in event.stage)


@pytest.fixture
def head(prior: Path, tmp_path: Path) -> Path:
    """A head that is shown SIRT's image, with a refiner."""
    path = make_head(prior, tmp_path, Task(CTAcquisition(GEOMETRY), ("fbp", "sirt"), ("sirt", "cgls")))
    card = Card("refiner", SIZES.to_dict(), extra={"head": read_card(path).sha256})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_weights(tmp_path / "refiner.safetensors", UNet2D(SIZES).state_dict(), card)
    return path


def test_the_flagship_names_its_stages(head: Path, prior: Path) -> None:
    events = told("meddiffusion", weights=str(head), prior=str(prior), steps=10, rounds=2)
    found = stages(events)
    check(events)
    assert found[:4] == ["SIRT image: iterations", "CGLS image: iterations", "mean of base images", "encoding"]
    assert found[4:7] == ["sampling", "refining", "data step 1 of 2"]
    sampling = [(event.done, event.total) for event in events if event.stage == "sampling"]
    assert sampling == [(1, 2), (2, 2)]


def test_turns_are_fewer_where_the_data_have_noise(head: Path, prior: Path) -> None:
    settings = {"weights": str(head), "prior": str(prior), "steps": 10}
    noisy = settings | {"noise": TransmissionNoise(1e5), "allow_other": True}
    found = [told("meddiffusion", **each) for each in (settings, noisy, noisy | {"rounds": 3})]  # type: ignore[arg-type]
    first = [next(name for name in stages(events) if name.startswith("data step")) for events in found]
    assert first == ["data step 1 of 5", "data step 1 of 4", "data step 1 of 3"]


def test_several_samples_are_counted(head: Path, prior: Path) -> None:
    settings = {"weights": str(head), "prior": str(prior), "steps": 2, "samples": 2}
    events = told("meddiffusion", refiner="none", **settings)
    check(events)
    assert {f"sample {number} of 2: {stage}" for number in (1, 2) for stage in ("sampling", "data step")} <= set(
        stages(events)
    )
    events = told("meddiffusion-paper", **settings)
    check(events)
    assert stages(events) == ["SIRT image: iterations", "sample 1 of 2: sampling", "sample 2 of 2: sampling"]
