"""HA-GAN in training: what each of the four phases learns on a batch of phantoms, slabs, classes, learning rates."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from datasets.anatomy_phantom.render import render
from priors.networks.hagan.config import HAGANConfig
from priors.training.batches import Sample
from priors.training.generators.hagan import (
    DISCRIMINATOR,
    ENCODER,
    GENERATOR,
    PHASES,
    SUB_ENCODER,
    HAGANLearner,
    first_slice,
    low_resolution,
)

CONFIG = HAGANConfig(32, width=8, latent=8)


def phantoms(count: int = 2) -> Tensor:
    """(count, 1, 32, 32, 32) torsos in the network range."""
    volumes = [render("torso", 0, index, (32, 32, 32), (10.0, 13.0, 13.0)) for index in range(count)]
    return torch.stack([torch.from_numpy(volume).float().div(1000).clamp(-1, 1)[None] for volume in volumes])


def batch(seed: int = 0, count: int = 2) -> Sample:
    return {"image": phantoms(count), "class": torch.arange(count), "seed": seed + torch.arange(count)}


def learner(config: HAGANConfig = CONFIG, classes: tuple[int, ...] = ()) -> HAGANLearner:
    torch.manual_seed(0)
    return HAGANLearner(config, classes)


def learn(trained: HAGANLearner, phase: str, steps: int, rate: float = 2e-3) -> tuple[float, float]:
    """The loss of one batch before and after some steps of a phase on it."""
    given, optimizer = batch(), torch.optim.Adam(trained.phases()[phase], rate, betas=(0.0, 0.999))
    losses = []
    for step in range(steps + 1):
        optimizer.zero_grad()
        loss = trained(given, phase, step)["total"]
        loss.backward()
        losses.append(float(loss.detach()))
        optimizer.step()
    return losses[0], losses[-1]


@pytest.mark.parametrize(
    ("phase", "share"), [(DISCRIMINATOR, 0.5), (GENERATOR, 0.5), (ENCODER, 0.9), (SUB_ENCODER, 0.99)]
)
def test_a_few_steps_of_a_phase_learn_a_batch_of_phantoms(phase: str, share: float) -> None:
    trained = learner()
    if phase == GENERATOR:
        learn(trained, DISCRIMINATOR, 15)
    before, after = learn(trained, phase, 30)
    assert after < share * before


@pytest.mark.parametrize("phase", PHASES)
def test_a_phase_changes_its_own_network_alone(phase: str) -> None:
    trained = learner()
    before = {name: value.clone() for name, value in trained.named_parameters()}
    learn(trained, phase, 1)
    changed = {
        name.partition(".")[0] for name, value in trained.named_parameters() if not torch.equal(value, before[name])
    }
    assert changed == {phase}


def test_phases_take_turns_and_the_discriminator_learns_four_times_as_fast() -> None:
    trained = learner()
    assert [trained.phase(step) for step in range(5)] == [*PHASES, DISCRIMINATOR]
    assert [trained.rate_factor(phase, 0) for phase in PHASES] == [4, 1, 1, 1]
    assert list(trained.phases()) == list(PHASES)


def test_a_batch_of_one_volume_is_learned_too() -> None:
    trained = learner()
    for step, phase in enumerate(PHASES):
        assert torch.isfinite(trained(batch(count=1), phase, step)["total"])


def test_slabs_begin_wherever_they_fit_at_multiples_of_four() -> None:
    firsts = {first_slice(CONFIG, seed) for seed in range(200)}
    assert firsts == set(range(0, 29, 4))
    published = {first_slice(HAGANConfig(), seed) for seed in range(500)}
    assert published <= set(range(0, 225, 4))
    assert {0, 224} <= published


def test_the_low_resolution_is_every_fourth_voxel() -> None:
    image = torch.arange(8**3).view(1, 1, 8, 8, 8)
    assert low_resolution(image).flatten().tolist() == [0, 4, 32, 36, 256, 260, 288, 292]


def test_classes_are_judged_and_asked_for() -> None:
    trained = learner(HAGANConfig(32, width=8, latent=8, classes=2), (0, 1))
    given = batch()
    assert {"class", "adversarial"} <= trained(given, GENERATOR, 1).keys()
    assert {"class", "real", "fake"} <= trained(given, DISCRIMINATOR, 0).keys()
    swapped = learner(HAGANConfig(32, width=8, latent=8, classes=2), (1, 0))
    swapped.load_state_dict(trained.state_dict())
    one, other = (each.eval()(given, DISCRIMINATOR, 0)["class"] for each in (trained, swapped))
    assert not torch.equal(one, other)
    with pytest.raises(ValueError, match="HA-GAN of 2 classes, where 1 are learned"):
        learner(HAGANConfig(32, width=8, latent=8, classes=2), (0,))
