"""DOLCE: what the recorded steps do not show one by one, and a conditional model with a known posterior."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from priors.diffusion.schedule import GaussianDiffusion
from recon.diffusion import dolce

LINEAR = GaussianDiffusion(2000, "linear")
STEPS = 40


@pytest.fixture
def released(shared: Path) -> dict[str, Tensor]:
    with np.load(shared / "fixtures" / "baselines" / "dolce.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def pull_of(number: int) -> float:
    """Read from two iterations on A = 0, A*y = 1, z = 0: x is 1, then 2 - pull."""
    one = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    step = dolce.accelerated_gradient_step(torch.zeros_like, lambda number: one, STEPS, rate=1.0, iterations=2)
    return 2 - float(step(torch.zeros_like(one), number))


def test_the_pull_grows_towards_the_clean_end_as_released(released):
    found = torch.tensor([pull_of(number) for number in range(STEPS)])
    assert torch.allclose(found, released["apgm.rhos"], atol=1e-6)
    assert pull_of(STEPS - 1) == pytest.approx(0.0031, abs=1e-4)
    assert pull_of(0) == pytest.approx(0.1175, abs=1e-4)


def test_the_accelerated_step_is_given_the_data_of_its_noise_level_and_numbered_from_the_clean_end():
    asked: list[int] = []

    def data(number: int) -> Tensor:
        asked.append(number)
        return torch.zeros(1)

    step = dolce.accelerated_gradient_step(torch.zeros_like, data, 5, rate=0.1)
    x, times = torch.zeros(1, 1, 2, 2), dolce.respaced_times(2000, 5)
    dolce.sample(lambda x, t: x, x, LINEAR.alpha_bar, times, step, torch.zeros_like)
    assert asked == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("number", [39, 20, 1, 0])
def test_estimates_are_masked_and_clamped_as_released(released, number):
    """The clean estimate is what a step to abar = 1 returns."""
    now = LINEAR.alpha_bar(50 * number)
    eps = 0.7 * released["xt"] - 0.3 * released["cond"] + 0.0005 * 50 * number
    noise = torch.full_like(eps, torch.nan)  # none must come in
    found = dolce.ddim_step(released["xt"], eps, now, 1.0, noise, (0, 1), released["fov_mask"], 1.0)
    assert torch.allclose(found, released[f"ddim_{number}.x0"], atol=5e-5)


def test_outside_the_field_of_view_is_the_lower_limit():
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    inside = torch.zeros(8, 8)
    inside[2:6, 2:6] = 1
    found = dolce.ddim_step(x, torch.zeros_like(x), 0.5, 1.0, x, (-1.0, 1.0), inside, 1.0)
    assert bool((found[..., inside == 0] == -1).all())
    assert torch.allclose(found[..., 2:6, 2:6], (x / math.sqrt(0.5)).clamp(-1, 1)[..., 2:6, 2:6])


class Projections:
    """Six random projections of images of 16 pixels, neighbours alike: N(0.5, C)."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        grid = torch.cartesian_prod(torch.arange(4), torch.arange(4)).double()
        covariance = 0.04 * torch.exp(-torch.cdist(grid, grid) / 2)
        matrix = torch.randn(6, 16, generator=generator, dtype=torch.float64)
        self.matrix = matrix / torch.linalg.matrix_norm(matrix, 2)
        draw = torch.randn(16, generator=generator, dtype=torch.float64)
        self.sigma = 0.05
        y = self.matrix @ (0.5 + torch.linalg.cholesky(covariance) @ draw)
        self.y = y + self.sigma * torch.randn(6, generator=generator, dtype=torch.float64)
        gain = covariance @ self.matrix.T
        gain = gain @ torch.linalg.inv(self.matrix @ gain + self.sigma**2 * torch.eye(6))
        self.mean = 0.5 + gain @ (self.y - self.matrix @ torch.full((16,), 0.5, dtype=torch.float64))
        self.covariance = covariance - gain @ self.matrix @ covariance

    def normal(self, x: Tensor) -> Tensor:
        return (x.reshape(-1, 16) @ self.matrix.T @ self.matrix).reshape(x.shape)

    @property
    def adjoint_data(self) -> Tensor:
        return (self.matrix.T @ self.y).reshape(1, 1, 4, 4)

    def conditional_estimate(self, x: Tensor, t: int) -> Tensor:
        """The noise in x_t, exactly, once the projections are known."""
        now = LINEAR.alpha_bar(t)
        spread = now * self.covariance + (1 - now) * torch.eye(16)
        off = x.reshape(-1, 16) - math.sqrt(now) * self.mean
        return (math.sqrt(1 - now) * torch.linalg.solve(spread, off.T).T).reshape(x.shape)

    def sample(self, step: dolce.DataStep, steps: int = STEPS, eta: float = 1.0) -> Tensor:
        generator = torch.Generator().manual_seed(1)

        def noise(like: Tensor) -> Tensor:
            return torch.randn(like.shape, generator=generator, dtype=like.dtype)

        start = noise(torch.empty(512, 1, 4, 4, dtype=torch.float64))
        times = dolce.respaced_times(2000, steps)
        found = dolce.sample(
            self.conditional_estimate, start, LINEAR.alpha_bar, times, step, noise, limits=(-5, 5), eta=eta
        )
        return found.reshape(-1, 16)


@pytest.mark.parametrize(("steps", "spread"), [(STEPS, 0.5), (400, 0.9)])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_an_exact_conditional_model_draws_from_the_posterior(eta, steps, spread):
    """The mean at once; few steps of DDIM draw too narrowly, more approach the posterior's variance."""
    problem = Projections()
    drawn = problem.sample(lambda x, number: x, steps, eta)
    assert float((drawn.mean(0) - problem.mean).abs().max()) < 0.03
    assert spread < float(drawn.var(0).sum() / problem.covariance.trace()) < 1.05


def test_the_data_step_takes_every_sample_nearer_to_the_data_and_the_mean_nowhere_else():
    problem = Projections()
    data = problem.adjoint_data.expand(512, -1, -1, -1)

    def misfit(drawn: Tensor) -> float:
        return float((drawn @ problem.matrix.T - problem.y).square().mean())

    without = problem.sample(lambda x, number: x)
    given = problem.sample(dolce.conjugate_gradient_step(problem.normal, data, lam=0.2))
    assert misfit(given) < 0.25 * misfit(without)
    assert float((given.mean(0) - problem.mean).abs().max()) < 0.1


@settings(deadline=None, max_examples=25)
@given(lam=st.floats(1e-3, 1e3), seed=st.integers(0, 1000))
def test_the_data_step_is_the_nearest_image_under_its_weight(lam, seed):
    """argmin ‖Ax − y‖² + lam ‖x − z‖², solved densely."""
    problem = Projections()
    z = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = dolce.conjugate_gradient_step(problem.normal, problem.adjoint_data.expand(2, -1, -1, -1), lam)(z, 0)
    system = problem.matrix.T @ problem.matrix + lam * torch.eye(16)
    expected = torch.linalg.solve(system, (problem.adjoint_data + lam * z).reshape(2, 16).T).T
    assert torch.allclose(found.reshape(2, 16), expected, atol=1e-5)


def test_the_accelerated_step_ends_where_conjugate_gradients_do():
    """Both weigh z: lam is the pull over the rate."""
    problem = Projections()
    z = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    rate = 0.5
    accelerated = dolce.accelerated_gradient_step(
        problem.normal, lambda number: problem.adjoint_data, STEPS, rate, iterations=400
    )
    direct = dolce.conjugate_gradient_step(problem.normal, problem.adjoint_data, pull_of(3) / rate)
    assert torch.allclose(accelerated(z, 3), direct(z, 3), atol=1e-6)
