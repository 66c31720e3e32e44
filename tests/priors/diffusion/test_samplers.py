"""The samplers beside diffusers' and beside a Gaussian prior, whose noise and whose samples are known exactly."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from priors.diffusion.samplers import (
    SAMPLERS,
    SPACINGS,
    ddim,
    ddpm,
    dpm_solver_pp_2m,
    sample,
    seeded_noise,
    spaced_timesteps,
)
from priors.diffusion.schedule import GaussianDiffusion

MEAN, SPREAD = 0.3, 0.2
EQUAL: dict[str, Any] = {"rtol": 0, "atol": 1e-5, "check_dtype": True}
THOUSAND = GaussianDiffusion()


def gaussian_estimate(z: Tensor, t: Tensor) -> Tensor:
    """The exact noise estimate where every latent is N(``MEAN``, ``SPREAD``²)."""
    signal = THOUSAND.alpha_bar(int(t[0]))
    return (z - math.sqrt(signal) * MEAN) * math.sqrt(1 - signal) / (signal * SPREAD**2 + 1 - signal)


def gaussian_flow(z: Tensor, t: int) -> Tensor:
    """Where the noise-free path from z at step t ends."""
    signal = THOUSAND.alpha_bar(t)
    return MEAN + SPREAD * (z - math.sqrt(signal) * MEAN) / math.sqrt(signal * SPREAD**2 + 1 - signal)


def crooked_estimate(z: Tensor, t: Tensor) -> Tensor:
    """A noise estimate that is not linear in z; the estimate of z_0 that belongs to it exceeds 1 here and there."""
    signal = torch.tensor([THOUSAND.alpha_bar(int(step)) for step in t], dtype=z.dtype).view(-1, 1, 1, 1, 1)
    x0 = 0.9 * torch.sin(z + 0.5) + 0.3
    return (z - signal.sqrt() * x0) / (1 - signal).sqrt()


def start(seed: int = 0, batch: int = 1, edge: int = 8) -> Tensor:
    return torch.randn(batch, 2, edge, edge, edge, generator=torch.Generator().manual_seed(seed))


def test_ddpm_returns_the_gaussian() -> None:
    found = ddpm(
        gaussian_estimate, start(edge=32), THOUSAND, spaced_timesteps(1000, 1000), noise=seeded_noise([1]), clip=None
    )
    assert float(found.mean()) == pytest.approx(MEAN, abs=5 * SPREAD / math.sqrt(found.numel()))
    assert float(found.std()) == pytest.approx(SPREAD, rel=0.02)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_returns_the_gaussian_whatever_eta(eta: float) -> None:
    found = ddim(
        gaussian_estimate,
        start(edge=32),
        THOUSAND,
        spaced_timesteps(1000, 500),
        eta=eta,
        noise=seeded_noise([1]),
        clip=None,
    )
    assert float(found.mean()) == pytest.approx(MEAN, abs=6 * SPREAD / math.sqrt(found.numel()))
    assert float(found.std()) == pytest.approx(SPREAD, rel=0.03)


def test_the_official_eta_term_adds_too_much_noise() -> None:
    path: dict[str, Any] = {"eta": 1.0, "clip": None}
    times = spaced_timesteps(1000, 100)
    right = ddim(gaussian_estimate, start(), THOUSAND, times, noise=seeded_noise([1]), **path)
    official = ddim(gaussian_estimate, start(), THOUSAND, times, noise=seeded_noise([1]), official_eta=True, **path)
    assert float(official.std()) > 1.2 * float(right.std())


def test_the_official_last_step_keeps_the_first_noise_level() -> None:
    path: dict[str, Any] = {"timesteps": spaced_timesteps(1000, 20), "clip": None}
    clean = ddim(gaussian_estimate, start(), THOUSAND, **path)
    official = ddim(gaussian_estimate, start(), THOUSAND, official_last_step=True, **path)
    signal = THOUSAND.alpha_bar(0)
    eps = gaussian_estimate(official, torch.zeros(1))
    torch.testing.assert_close(official, math.sqrt(signal) * clean + math.sqrt(1 - signal) * eps, rtol=0, atol=1e-5)
    assert float((official - clean).abs().max()) > 1e-4


def _error(sampler: Any, steps: int) -> float:
    """RMS distance from the exact end of the path of starts at step 800."""
    z = start()
    found = sampler(gaussian_estimate, z, THOUSAND, spaced_timesteps(1000, steps, "trailing", start=800), clip=None)
    return float((found - gaussian_flow(z, 800)).square().mean().sqrt())


def test_dpm_solver_and_ddim_converge_to_one_path_the_solver_faster() -> None:
    steps = (10, 20, 40, 80)
    first, second = ([_error(sampler, n) for n in steps] for sampler in (ddim, dpm_solver_pp_2m))
    assert all(after < before for before, after in itertools.pairwise(first))
    assert all(better < worse for better, worse in zip(second, first, strict=True))
    assert all(worse / first[n] > 0.4 for n, worse in enumerate(first[1:]))  # first order: halved
    assert all(better / second[n] < 0.3 for n, better in enumerate(second[1:]))  # second order: quartered
    assert _error(ddim, 800) < 2e-3
    assert _error(dpm_solver_pp_2m, 200) < 2e-4


@pytest.mark.parametrize("steps", [1, 5, 20, 100])
def test_dpm_solver_agrees_with_diffusers(steps: int) -> None:
    from diffusers import DPMSolverMultistepScheduler

    theirs = DPMSolverMultistepScheduler(1000, trained_betas=THOUSAND.betas.numpy(), final_sigmas_type="zero")
    theirs.alphas_cumprod = _signal(THOUSAND)
    times = spaced_timesteps(1000, steps, start=980)  # their noise levels are float32, too coarse at step 999
    theirs.set_timesteps(timesteps=times.tolist())
    assert theirs.timesteps.tolist() == times.tolist()
    found = dpm_solver_pp_2m(crooked_estimate, start().double(), THOUSAND, times, clip=None)
    torch.testing.assert_close(found, _theirs(theirs), **EQUAL)


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_ddim_agrees_with_diffusers(spacing: Any, clip: float | None) -> None:
    from diffusers import DDIMScheduler

    theirs = DDIMScheduler(
        1000, trained_betas=THOUSAND.betas.numpy(), clip_sample=clip is not None, timestep_spacing=spacing
    )
    theirs.alphas_cumprod = _signal(THOUSAND)
    theirs.set_timesteps(25)
    times = spaced_timesteps(1000, 25, spacing)
    assert theirs.timesteps.tolist() == times.tolist()
    found = ddim(crooked_estimate, start().double(), THOUSAND, times, clip=clip)
    torch.testing.assert_close(found, _theirs(theirs), **EQUAL)
    noise = seeded_noise([5])
    found = ddim(crooked_estimate, start().double(), THOUSAND, times, eta=0.7, noise=noise, clip=clip)
    again = seeded_noise([5])
    noisy = _theirs(theirs, lambda z: {"eta": 0.7, "variance_noise": again(z)})
    torch.testing.assert_close(found, noisy, **EQUAL)


@pytest.mark.parametrize("steps", [25, 100])
def test_ddpm_agrees_with_diffusers(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers import DDPMScheduler
    from diffusers.schedulers import scheduling_ddpm

    ours = GaussianDiffusion(100)
    theirs = DDPMScheduler(100, trained_betas=ours.betas.numpy(), timestep_spacing="leading")
    theirs.alphas_cumprod = _signal(ours)
    theirs.set_timesteps(steps)
    times = spaced_timesteps(100, steps, "leading")
    found = ddpm(crooked_estimate, start().double(), ours, times, noise=seeded_noise([5]))
    noise, template = seeded_noise([5]), start().double()
    monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *arguments, **options: noise(template))
    assert theirs.timesteps.tolist() == times.tolist()
    torch.testing.assert_close(found, _theirs(theirs), **EQUAL)


def _signal(diffusion: GaussianDiffusion) -> Tensor:
    """abar of every step, float64."""
    return torch.tensor([diffusion.alpha_bar(t) for t in range(diffusion.timesteps)], dtype=torch.float64)


def _theirs(scheduler: Any, extra: Any = lambda z: {}) -> Tensor:
    """The sample of diffusers' scheduler on :func:`crooked_estimate` from the same start, in float64.

    In float32 the two would differ by rounding alone: the estimate of z_0 at step 999 magnifies it 20,000 times.
    """
    z = start().double()
    for t in scheduler.timesteps:
        z = scheduler.step(crooked_estimate(z, t.expand(1)), t, z, **extra(z)).prev_sample
    return z


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_batch_is_its_samples_one_by_one(name: str) -> None:
    times = spaced_timesteps(1000, 8)

    def run(seeds: list[int]) -> Tensor:
        noise = seeded_noise(seeds)
        return sample(name, crooked_estimate, noise(torch.empty(len(seeds), 2, 4, 4, 4)), THOUSAND, times, noise=noise)

    together = run([3, 1, 2])
    for position, seed in enumerate([3, 1, 2]):
        torch.testing.assert_close(together[position], run([seed])[0], rtol=0, atol=1e-6)
    assert not torch.equal(together[0], together[1])


@pytest.mark.parametrize("name", SAMPLERS)
def test_steps_are_reported_and_end_where_the_sampler_ends(name: str) -> None:
    seen: list[tuple[int, int, Tensor, Tensor]] = []
    times = spaced_timesteps(1000, 6)
    found = sample(
        name,
        crooked_estimate,
        start(),
        THOUSAND,
        times,
        noise=seeded_noise([0]),
        on_step=lambda *step: seen.append(step),
    )
    assert [step[:2] for step in seen] == [(n, 6) for n in range(1, 7)]
    assert torch.equal(seen[-1][2], found)
    torch.testing.assert_close(seen[-1][3], found)  # zero noise: the latents are the estimate of z_0
    assert all(float(step[3].abs().max()) <= 1 for step in seen)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_noised_start_keeps_what_the_noise_leaves(name: str) -> None:
    clean = MEAN + SPREAD * start(4)
    t, noise = torch.tensor([40]), seeded_noise([7])
    z = THOUSAND.q_sample(clean, t, noise(clean))
    found = sample(name, gaussian_estimate, z, THOUSAND, spaced_timesteps(1000, 20, start=40), noise=noise, clip=None)
    assert float((found - clean).std()) < 0.6 * SPREAD
    assert float((found - clean).std()) > 0.02 * SPREAD


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 1000), st.data(), st.sampled_from(SPACINGS))
def test_spacings_give_as_many_steps_as_asked_for(total: int, data: Any, spacing: Any) -> None:
    first = data.draw(st.none() | st.integers(0, total - 1))
    last = total - 1 if first is None else first
    steps = data.draw(st.integers(1, last + 1))
    assume(spacing != "logsnr" or total <= 200)
    times = spaced_timesteps(total, steps, spacing, first).tolist()
    assert len(times) == steps
    assert all(before > after for before, after in itertools.pairwise(times))
    assert 0 <= times[-1] <= times[0] <= last
    if spacing != "leading":
        assert times[0] == last
    if spacing != "trailing" and steps > 1:
        assert times[-1] == 0
    if steps == last + 1:
        assert times == list(range(last, -1, -1))


def test_linspace_is_truncated_as_in_the_official_code() -> None:
    assert spaced_timesteps(1000, 8).tolist() == [999, 856, 713, 570, 428, 285, 142, 0]


def test_even_log_snr_steps_are_even() -> None:
    signal = [THOUSAND.alpha_bar(int(t)) for t in spaced_timesteps(1000, 12, "logsnr")]
    ratios = torch.tensor([0.5 * math.log(s / (1 - s)) for s in signal])
    widths = ratios[2:].diff()
    assert float(widths[:-2].std()) < 0.1 * float(widths.mean())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((10, 0), "1 to 10 are possible"),
        ((10, 11), "1 to 10 are possible"),
        ((10, 5, "linspace", 3), "1 to 4 are possible"),
        ((10, 2, "linspace", 10), "0 to 9"),
        ((10, 2, "cubic"), "linspace, leading, trailing, logsnr"),
    ],
)
def test_impossible_steps(arguments: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        spaced_timesteps(*arguments)


def test_wrong_arguments() -> None:
    z = start()
    for times in ([], [5, 5], [1, 2], [1000], [3, -1]):
        with pytest.raises(ValueError, match="descend within 999 to 0"):
            ddim(crooked_estimate, z, THOUSAND, torch.tensor(times))
    with pytest.raises(ValueError, match="source of noise"):
        ddim(crooked_estimate, z, THOUSAND, torch.tensor([1]), eta=1.0)
    with pytest.raises(ValueError, match="2 seeds for a batch of 1"):
        seeded_noise([1, 2])(z)
    with pytest.raises(ValueError, match="'euler'; one of ddim, ddpm, dpm"):
        sample("euler", crooked_estimate, z, THOUSAND, torch.tensor([1]), noise=seeded_noise([0]))
