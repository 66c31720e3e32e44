"""The noise schedule and the loss, beside the released ones and those of diffusers."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from priors.diffusion.schedule import GaussianDiffusion, cosine_betas, linear_betas


@pytest.mark.parametrize("timesteps", [1000, 20])
def test_buffers_are_the_released_ones(shared: Path, timesteps: int) -> None:
    expected = load_file(shared / "fixtures" / "meddiffusion" / "schedule.safetensors")
    prefix = f"T{timesteps}."
    expected = {name.removeprefix(prefix): values for name, values in expected.items() if name.startswith(prefix)}
    buffers = dict(GaussianDiffusion(timesteps).named_buffers())
    assert buffers.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(buffers[name], values, rtol=1e-6, atol=0, msg=name)


@pytest.mark.parametrize("network", ["tinyA_patch1", "tinyB_patch2"])
def test_noisy_latents_are_the_released_ones(shared: Path, network: str) -> None:
    known = load_file(shared / "fixtures" / "meddiffusion" / f"biflownet_{network}_tensors.safetensors")
    x_t = GaussianDiffusion().q_sample(known["train_x0"], known["case0_t"], known["train_noise"])
    torch.testing.assert_close(x_t, known["train_x_t"], rtol=0, atol=1e-6)


def test_the_schedule_is_that_of_diffusers_apart_from_where_it_is_clipped() -> None:
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2")  # clips at 0.999, the last step here at 0.9999
    torch.testing.assert_close(GaussianDiffusion().betas[:-1], theirs.betas[:-1], rtol=1e-4, atol=1e-7)
    assert float(cosine_betas(1000)[-1]) == 0.9999


def test_noisy_latents_and_their_inverse_agree_with_diffusers() -> None:
    from diffusers import DDPMScheduler

    ours = GaussianDiffusion(100)
    theirs = DDPMScheduler(100, trained_betas=ours.betas.numpy())
    generator = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 3, 2, 4, 4, 4, generator=generator)
    t = torch.tensor([0, 50, 97])
    noisy = ours.q_sample(x0, t, noise)
    torch.testing.assert_close(noisy, theirs.add_noise(x0, noise, t), rtol=0, atol=1e-6)
    torch.testing.assert_close(ours.predict_x0(noisy, t, noise), x0, rtol=0, atol=1e-4)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 300))
def test_the_signal_falls_to_almost_nothing(timesteps: int) -> None:
    diffusion = GaussianDiffusion(timesteps)
    signal = [diffusion.alpha_bar(t) for t in range(-1, timesteps)]
    assert signal[0] == 1
    assert all(after < before for before, after in itertools.pairwise(signal))
    assert 0 < signal[-1] < 1e-3
    assert all(buffer.shape == (timesteps,) and buffer.isfinite().all() for buffer in diffusion.buffers())


def test_nothing_is_saved_with_a_network() -> None:
    assert GaussianDiffusion(5).state_dict() == {}


def test_the_loss_is_the_mean_error_of_the_estimate() -> None:
    diffusion = GaussianDiffusion(10)
    x0, noise = torch.randn(2, 3, 1, 2, 2, 2, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([1, 5, 9])
    seen: list[torch.Tensor] = []

    def half(z: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        seen.extend((z, steps))
        return noise / 2

    assert float(diffusion.loss(half, x0, t, noise)) == pytest.approx(float(noise.abs().mean()) / 2)
    assert float(diffusion.loss(half, x0, t, noise, "l2")) == pytest.approx(float(noise.square().mean()) / 4)
    torch.testing.assert_close(seen[0], diffusion.q_sample(x0, t, noise))
    assert seen[1] is t


def test_a_velocity_means_the_noise_and_the_image_that_it_was_made_of() -> None:
    diffusion = GaussianDiffusion(1000)
    x0, noise = torch.randn(2, 3, 1, 2, 2, 2, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([0, 500, 990])
    velocity, z_t = diffusion.velocity(x0, t, noise), diffusion.q_sample(x0, t, noise)
    torch.testing.assert_close(diffusion.noise_of_velocity(z_t, t, velocity), noise, rtol=0, atol=1e-5)
    estimate = diffusion.noise_estimator(lambda z, t: velocity, "velocity")
    torch.testing.assert_close(estimate(z_t, t), noise, rtol=0, atol=1e-5)
    assert float(diffusion.loss(lambda z, t: velocity, x0, t, noise, prediction="velocity")) == 0


def test_an_error_of_a_velocity_is_no_larger_in_the_image() -> None:
    """At the noisy end an error of a noise estimate is multiplied there, which short trainings cannot repair."""
    diffusion = GaussianDiffusion(1000)
    x0, noise, error = torch.randn(3, 1, 1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([990])
    z_t, velocity = diffusion.q_sample(x0, t, noise), diffusion.velocity(x0, t, noise)
    by_noise = diffusion.predict_x0(z_t, t, noise + error) - x0
    by_velocity = diffusion.predict_x0(z_t, t, diffusion.noise_of_velocity(z_t, t, velocity + error)) - x0
    assert float(by_velocity.norm()) <= 1.001 * float(error.norm())
    assert float(by_noise.norm()) > 50 * float(error.norm())


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        GaussianDiffusion(0)
    with pytest.raises(ValueError, match=r"'sigmoid'.*'cosine', 'linear'"):
        GaussianDiffusion(10, "sigmoid")
    with pytest.raises(ValueError, match="20 steps; at least 21"):
        GaussianDiffusion(20, "linear")
    z = torch.zeros(1, 1, 1, 1, 1)
    with pytest.raises(ValueError, match=r"'huber'.*'l1', 'l2'"):
        GaussianDiffusion(10).loss(lambda z, t: z, z, torch.zeros(1, dtype=torch.long), z, "huber")  # type: ignore[arg-type]


def test_the_linear_schedule_is_that_of_diffusers() -> None:
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(1000, beta_start=1e-4, beta_end=2e-2, beta_schedule="linear")
    ours = GaussianDiffusion(1000, "linear")
    torch.testing.assert_close(ours.betas, theirs.betas, rtol=1e-5, atol=0)
    torch.testing.assert_close(ours.alphas_cumprod, theirs.alphas_cumprod, rtol=1e-4, atol=0)


def test_the_linear_schedule_is_scaled_to_the_number_of_steps(shared: Path) -> None:
    import numpy as np

    betas = linear_betas(2000)
    assert float(betas[0]) == pytest.approx(5e-5)
    assert float(betas[-1]) == pytest.approx(1e-2)
    with np.load(shared / "fixtures" / "baselines" / "dolce.npz", allow_pickle=False) as known:
        recorded = {name: known[name] for name in known.files}
    kept = recorded["ddim40.timestep_map"]
    bars = (1 - betas).cumprod(0)[kept]
    torch.testing.assert_close(bars, torch.from_numpy(recorded["ddim40.alphas_cumprod"]).double(), rtol=1e-6, atol=0)


@settings(deadline=None, max_examples=30)
@given(st.integers(21, 3000))
def test_the_linear_schedule_always_leaves_some_signal(timesteps: int) -> None:
    diffusion = GaussianDiffusion(timesteps, "linear")
    signal = [diffusion.alpha_bar(t) for t in range(-1, timesteps)]
    assert all(after < before for before, after in itertools.pairwise(signal))
    assert 0 < signal[-1] < 1e-3
    assert all(buffer.isfinite().all() for buffer in diffusion.buffers())
