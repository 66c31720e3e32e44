"""Training of the ADM network: its losses against known values, and that it learns."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.adm_config import ADMConfig
from priors.networks.adm_unet import ADMUNet
from priors.training.adm_learner import VARIATIONAL_WEIGHT, ADMLearner, variational_terms
from priors.training.diffusion_learner import draw_noise

SMALL: dict[str, Any] = {"width": 32, "multipliers": (1, 1), "attention": (2,), "head_width": 16}


def batch(conditions: int, channels: int = 1, count: int = 4) -> dict[str, Tensor]:
    """Images of one kind, each with conditions that it can be told from."""
    generator = torch.Generator().manual_seed(1)
    x, y = torch.meshgrid(torch.linspace(-1, 1, 8), torch.linspace(-1, 1, 8), indexing="ij")
    target = torch.stack([torch.sin(3 * x + place) * y for place in range(count)])[:, None].repeat(1, channels, 1, 1)
    blurred = target[:, :1].repeat(1, max(conditions, 1), 1, 1) + 0.1 * torch.randn(
        count, max(conditions, 1), 8, 8, generator=generator
    )
    sample = {"target": target, "seed": torch.arange(count)}
    return sample | ({"input": blurred} if conditions else {})


def learner(conditions: int = 0, timesteps: int = 1000, **changes: Any) -> ADMLearner:
    torch.manual_seed(0)
    config = ADMConfig(**(SMALL | {"in_channels": 1 + 2 * (conditions == 1) + (conditions == 2) * 2} | changes))
    return ADMLearner(ADMUNet(config), GaussianDiffusion(timesteps, "linear"), conditions)


@settings(deadline=None, max_examples=30)
@given(
    step=st.integers(1, 99),
    fraction=st.floats(-1, 1),
    error=st.floats(-1, 1),
    schedule=st.sampled_from(("linear", "cosine")),
)
def test_a_term_is_the_divergence_of_the_learned_step_back(
    step: int, fraction: float, error: float, schedule: str
) -> None:
    """By hand in float64: the means from the images that the true and the estimated noise lead to."""
    diffusion = GaussianDiffusion(100, schedule)
    x0, noise = torch.randn(2, 1, 2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    now, before = diffusion.alpha_bar(step), diffusion.alpha_bar(step - 1)
    beta = 1 - now / before
    noisy = math.sqrt(now) * x0 + math.sqrt(1 - now) * noise
    guess = (noisy - math.sqrt(1 - now) * (noise + error)) / math.sqrt(now)

    def mean(image: Tensor) -> Tensor:
        return (math.sqrt(before) * beta * image + math.sqrt(now / before) * (1 - before) * noisy) / (1 - now)

    least = beta * (1 - before) / (1 - now)
    learned = math.exp((1 + fraction) / 2 * math.log(beta) + (1 - fraction) / 2 * math.log(least))
    expected = kl_divergence(Normal(mean(x0), math.sqrt(least)), Normal(mean(guess), math.sqrt(learned)))
    errors, fractions = torch.full((1, 2, 3, 4), error), torch.full((1, 2, 3, 4), fraction)
    term = variational_terms(diffusion, errors, fractions, torch.tensor([step]))
    assert float(term) == pytest.approx(float(expected.mean()) / math.log(2), rel=2e-3, abs=2e-6)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_perfect_model_has_no_divergence(schedule: str) -> None:
    diffusion = GaussianDiffusion(50, schedule)
    t = torch.arange(50)
    zero = torch.zeros(50, 1, 2, 2)
    terms = variational_terms(diffusion, zero, zero - 1, t)
    torch.testing.assert_close(terms[1:], torch.zeros(49), rtol=0, atol=1e-6)
    deviation = math.exp(float(diffusion.posterior_log_variance_clipped[1]) / 2)
    density = -Normal(0.0, deviation).log_prob(torch.tensor(0.0)) / math.log(2)
    assert float(terms[0]) == pytest.approx(float(density), rel=1e-5)


def test_the_variance_lies_between_its_bounds() -> None:
    diffusion = GaussianDiffusion(100, "linear")
    t = torch.arange(100)
    shape = (100, 1, 1, 1)
    lower = diffusion.learned_log_variance(torch.full(shape, -1.0), t).flatten()
    upper = diffusion.learned_log_variance(torch.full(shape, 1.0), t).flatten()
    middle = diffusion.learned_log_variance(torch.zeros(shape), t).flatten()
    torch.testing.assert_close(lower[1:], diffusion.posterior_variance[1:].log())
    torch.testing.assert_close(lower[0], lower[1])
    torch.testing.assert_close(upper, diffusion.betas.log())
    torch.testing.assert_close(middle, (lower + upper) / 2)


def test_the_bound_teaches_the_variance_alone() -> None:
    trained, sample = learner(), batch(0)
    for parameter in trained.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    losses = trained(sample, "adm", 0)
    last = trained.net.out[2].weight
    (gradient,) = torch.autograd.grad(losses["variational"], last, retain_graph=True)
    assert not gradient[0].any()
    assert gradient[1].any()
    (gradient,) = torch.autograd.grad(losses["simple"], last, retain_graph=True)
    assert gradient[0].any()
    assert not gradient[1].any()
    torch.testing.assert_close(losses["total"], losses["simple"] + VARIATIONAL_WEIGHT * losses["variational"])


def test_an_untrained_network_guesses_no_noise() -> None:
    trained, sample = learner(), batch(0)
    t, noise = draw_noise(sample["seed"], sample["target"], 1000)
    losses = trained(sample, "adm", 0)
    torch.testing.assert_close(losses["simple"], noise.square().mean())
    terms = variational_terms(trained.diffusion, -noise, torch.zeros_like(noise), t)
    torch.testing.assert_close(losses["variational"], 1000 * terms.mean())


def test_without_learned_variance_the_squared_error_is_all() -> None:
    assert set(learner(learn_sigma=False)(batch(0), "adm", 0)) == {"total"}


@pytest.mark.parametrize(("conditions", "kind"), [(0, "adm"), (1, "dolce"), (2, "dolce")])
def test_it_learns_one_batch(conditions: int, kind: str) -> None:
    trained, sample = learner(conditions), batch(conditions)
    assert trained.kind == kind
    (parameters,) = trained.phases().values()
    optimiser = torch.optim.Adam(parameters, 2e-3)
    losses = []
    for step in range(120):
        optimiser.zero_grad()
        result = trained(sample, trained.phase(step), step)
        result["total"].backward()
        optimiser.step()
        losses.append({name: float(value.detach()) for name, value in result.items()})
        if step == 3:  # what starts at zero lets the gradients through after a few steps
            assert all(bool(parameter.grad is not None and parameter.grad.any()) for parameter in parameters)
    assert losses[-1]["simple"] < 0.1 * losses[0]["simple"]
    assert losses[-1]["variational"] < losses[0]["variational"]


def test_a_condition_helps() -> None:
    """At the noisiest steps only the condition tells the images apart, and it is not mixed up among the samples."""
    trained, sample = learner(1), batch(1)
    for parameter in trained.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    before = trained(sample, "dolce", 0)["total"]
    assert not torch.isclose(before, trained(sample | {"input": sample["input"].flip(0)}, "dolce", 0)["total"])
    permuted = {name: values.flip(0) for name, values in sample.items()}
    torch.testing.assert_close(trained(permuted, "dolce", 0)["total"], before)


def test_what_is_written_of_it() -> None:
    card = learner(2, timesteps=200).card()
    assert ADMConfig.from_dict(card["config"]).in_channels == 3
    assert card["extra"] == {"timesteps": 200, "schedule": "linear", "conditions": 2}


def test_conditions_that_the_network_does_not_take() -> None:
    with pytest.raises(ValueError, match="condition of 1 channels, where the network takes 0"):
        ADMLearner(ADMUNet(ADMConfig(**SMALL)), GaussianDiffusion(100, "linear"), conditions=1)
    with pytest.raises(ValueError, match="condition of 0 channels, where the network takes 2"):
        ADMLearner(ADMUNet(ADMConfig(in_channels=3, **SMALL)), GaussianDiffusion(100, "linear"))
