"""What a distilled prior is asked for: its own steps, by default, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_prior import write_prior

from priors.diffusion.anatomy import CLASSES
from priors.diffusion.average import AverageLatent
from priors.diffusion.distilled import Distilled, distilled_of
from priors.diffusion.latent_sampling import sample_latents, sampling_steps, usual_steps
from priors.diffusion.load import load_prior
from priors.diffusion.samplers import spaced_timesteps
from priors.generators.generator import Sampling
from priors.generators.latent import LatentGenerator
from priors.weights.model_card import model_card

CHEST = CLASSES[1]
SIZE = (32, 32, 32)
FACTS = Distilled(4, 64, "abcdef" * 8)
AVERAGES = {CHEST.name: AverageLatent(torch.zeros(4, 16, 16), SIZE).to_dict()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_prior(tmp_path / "four", distilled=FACTS.to_dict())


def test_its_steps_are_those_that_it_was_made_for(folder):
    prior = load_prior(folder)
    assert prior.distilled == FACTS
    assert usual_steps(prior) == 4
    assert torch.equal(sampling_steps(prior, "ddim", 4), spaced_timesteps(1000, 4, "trailing"))
    plan = LatentGenerator(prior).plan(CHEST, SIZE, Sampling())
    assert (plan.sampler, plan.steps, plan.times, plan.distilled_steps) == ("ddim", 4, (999, 749, 499, 249), 4)
    usual, named = (sample_latents(prior, 1, SIZE, steps=steps) for steps in (None, 4))
    assert torch.equal(usual, named)


@pytest.mark.parametrize(
    ("sampler", "steps", "spacing", "words"),
    [
        ("ddpm", 4, None, "`sampler` ddpm: this prior was distilled for ddim; leave `sampler` out"),
        ("ddim", 50, None, "`steps` 50: this prior was distilled for 4; leave `steps` out"),
        ("ddim", 4, "linspace", "`timesteps` linspace: this prior was distilled for trailing"),
    ],
)
def test_other_samplings_are_refused_in_one_line(folder, sampler, steps, spacing, words):
    with pytest.raises(ValueError, match=words) as caught:
        sampling_steps(load_prior(folder), sampler, steps, spacing)
    assert "\n" not in str(caught.value)


def test_one_that_begins_from_the_average_begins_from_nothing_else(tmp_path):
    generator = LatentGenerator(load_prior(write_prior(tmp_path, distilled=FACTS.to_dict(), averages=AVERAGES)))
    plan = generator.plan(CHEST, SIZE, Sampling())
    assert plan.start == "average"
    assert plan.times == tuple(spaced_timesteps(1000, 4, "trailing", 900).tolist())
    with pytest.raises(ValueError, match="`start` noise: this prior was distilled from the class average on"):
        generator.plan(CHEST, SIZE, Sampling(start="noise"))
    assert generator.plan(CLASSES[0], SIZE, Sampling(start="noise")).start == "noise", "it knows no average of that"


def test_others_are_not_distilled(tmp_path):
    prior = load_prior(write_prior(tmp_path))
    assert prior.distilled is None
    assert usual_steps(prior) == 50
    assert LatentGenerator(prior).plan(CHEST, SIZE, Sampling()).distilled_steps is None


@pytest.mark.parametrize(
    "found", [4, {"steps": 4}, {**FACTS.to_dict(), "steps": "4"}, {**FACTS.to_dict(), "steps": 65}, {}, []]
)
def test_damaged_words_are_named_with_their_file(found):
    with pytest.raises(ValueError, match=r"four\.safetensors: its header is damaged: distilled"):
        distilled_of(Path("four.safetensors"), {"distilled": found})


def test_the_card_for_people_says_for_how_many_steps(folder):
    card = model_card(folder / "biflownet.safetensors")
    assert "| Sampling steps | 4, in place of 64 of the teacher abcdefabcdef |" in card
