"""Samplers of networks that estimate the clean sample: where they end, the steps they visit, the noise they add."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from priors.diffusion.clean_samplers import ancestral, deterministic, even_timesteps
from priors.diffusion.samplers import ddim, ddpm, seeded_noise
from priors.diffusion.schedule import GaussianDiffusion

DIFFUSION = GaussianDiffusion(1000, "linear")


def test_steps_are_even_and_rounded_to_the_nearest() -> None:
    assert even_timesteps(1000, 5) == [999, 749, 500, 250, 0]
    assert even_timesteps(1000, 1) == [999]
    assert even_timesteps(50, 50) == list(range(49, -1, -1))
    for steps in (0, 51):
        with pytest.raises(ValueError, match=f"`steps` {steps}: must be 1 to 50"):
            even_timesteps(50, steps)


@pytest.mark.parametrize("sampler", ["ancestral", "deterministic"])
def test_a_perfect_estimate_is_reached(sampler: str) -> None:
    target, seen = torch.linspace(-1, 1, 8)[None], []
    times, noise = even_timesteps(1000, 6), seeded_noise([3])

    def estimate(x: Tensor, t: Tensor) -> Tensor:
        seen.append(int(t[0]))
        return target

    done: list[tuple[int, int]] = []
    start = noise(target)
    if sampler == "ancestral":
        found = ancestral(estimate, start, DIFFUSION, times, noise, lambda *each: done.append(each))
    else:
        found = deterministic(estimate, start, DIFFUSION, times, lambda *each: done.append(each))
    torch.testing.assert_close(found, target)
    assert seen == times
    assert done == [(number, 6) for number in range(1, 7)]


def test_they_agree_with_the_samplers_of_noise() -> None:
    times, start = even_timesteps(1000, 5), seeded_noise([3])(torch.zeros(1, 50))

    def clean(x: Tensor, t: Tensor) -> Tensor:
        return (0.8 * x).tanh()

    def noise(x: Tensor, t: Tensor) -> Tensor:
        kept = DIFFUSION.alpha_bar(int(t[0]))
        return (x - kept**0.5 * clean(x, t)) / (1 - kept) ** 0.5

    steps = torch.tensor(times)
    expected = ddim(noise, start, DIFFUSION, steps, clip=None)
    torch.testing.assert_close(deterministic(clean, start, DIFFUSION, times), expected, rtol=0, atol=1e-4)
    without = ddpm(noise, start, DIFFUSION, steps, clip=None, noise=torch.zeros_like)
    torch.testing.assert_close(ancestral(clean, start, DIFFUSION, times, torch.zeros_like), without, rtol=0, atol=1e-4)


def test_the_added_noise_has_the_variance_beta() -> None:
    states: list[Tensor] = []

    def estimate(x: Tensor, t: Tensor) -> Tensor:
        states.append(x)
        return torch.zeros_like(x)

    found = ancestral(estimate, torch.zeros(1, 4), DIFFUSION, [500, 400], torch.ones_like)
    kept = DIFFUSION.alpha_bar(500) / DIFFUSION.alpha_bar(400)
    torch.testing.assert_close(states[1], torch.full((1, 4), (1 - kept) ** 0.5))
    assert not found.any()  # the last step ends at the estimate
