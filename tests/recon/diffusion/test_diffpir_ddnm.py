"""DiffPIR and DDNM on a linear Gaussian problem, whose posterior is known, with the exact prior."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from priors.diffusion.schedule import GaussianDiffusion
from recon.diffusion import dds, diffpir
from recon.solvers.krylov import cg

LINEAR = GaussianDiffusion(1000, "linear")
PIXELS, PROJECTIONS, SAMPLES = 16, 6, 512
SHAPE = (SAMPLES, 1, 4, 4)


def normal_draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawing(seed: int) -> dds.Noise:
    generator = torch.Generator().manual_seed(seed)
    return lambda like: torch.randn(like.shape, generator=generator, dtype=like.dtype)


class Problem:
    """Images N(mean, covariance), neighbours alike, of which A x + noise is known."""

    def __init__(self, sigma: float):
        grid = torch.cartesian_prod(torch.arange(4), torch.arange(4)).double()
        self.sigma = sigma
        self.covariance = 0.25 * torch.exp(-torch.cdist(grid, grid) / 2)
        self.mean = torch.linspace(-0.5, 0.5, PIXELS, dtype=torch.float64)
        matrix = normal_draw(PROJECTIONS, PIXELS, seed=0)
        self.matrix = matrix / torch.linalg.matrix_norm(matrix, 2)
        self.inverse = torch.linalg.pinv(self.matrix)
        truth = self.mean + torch.linalg.cholesky(self.covariance) @ normal_draw(PIXELS, seed=1)
        self.y = self.matrix @ truth + sigma * normal_draw(PROJECTIONS, seed=2)
        gain = self.covariance @ self.matrix.T
        gain = gain @ torch.linalg.inv(self.matrix @ gain + sigma**2 * torch.eye(PROJECTIONS))
        self.posterior_mean = self.mean + gain @ (self.y - self.matrix @ self.mean)

    @property
    def adjoint_data(self) -> Tensor:
        return (self.y @ self.matrix).expand(SAMPLES, -1).reshape(SHAPE)

    def estimate(self, x: Tensor, t: int) -> Tensor:
        """The noise in x_t, exactly."""
        now = LINEAR.alpha_bar(t)
        spread = now * self.covariance + (1 - now) * torch.eye(PIXELS)
        off = x.reshape(-1, PIXELS) - math.sqrt(now) * self.mean
        return (math.sqrt(1 - now) * torch.linalg.solve(spread, off.T).T).reshape(x.shape)

    def normal(self, x: Tensor) -> Tensor:
        return (x.reshape(-1, PIXELS) @ self.matrix.T @ self.matrix).reshape(x.shape)

    def proximal(self, x0: Tensor, rho: float) -> Tensor:
        return cg(lambda v: self.normal(v) + rho * v, self.adjoint_data + rho * x0, x0, 20, axes=3)

    def null_space_step(self, x0: Tensor) -> Tensor:
        """x0 - A⁺(A x0 - y), DDNM (Wang et al. 2023)."""
        images = x0.reshape(-1, PIXELS)
        return (images - (images @ self.matrix.T - self.y) @ self.inverse.T).reshape(x0.shape)

    def error(self, drawn: Tensor) -> float:
        """Of the samples' mean, over that of the better of the prior's mean and the pseudo-inverse."""
        others = (self.mean, self.inverse @ self.y)
        best = min(float((other - self.posterior_mean).norm()) for other in others)
        return float((drawn.reshape(-1, PIXELS).mean(0) - self.posterior_mean).norm()) / best


def restored(problem: Problem, zeta: float, steps: int = 50, seed: int = 3) -> Tensor:
    variance = max(problem.sigma, 1e-3) ** 2
    times = dds.descending_times(1000, steps)
    start = normal_draw(*SHAPE, seed=9)
    return diffpir.sample(
        problem.estimate, start, LINEAR.alpha_bar, times, problem.proximal, variance, zeta, drawing(seed)
    )


def replaced(problem: Problem, step: dds.Map, eta: float = 0.85) -> Tensor:
    times = dds.descending_times(1000, 50)
    start = normal_draw(*SHAPE, seed=9)
    return dds.sample(problem.estimate, start, LINEAR.alpha_bar, times, step, eta, drawing(3))


@pytest.mark.parametrize("zeta", [0.3, 1.0])
@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.2])
def test_the_mean_of_diffpir_comes_near_the_posterior_mean(sigma, zeta):
    problem = Problem(sigma)
    assert problem.error(restored(problem, zeta)) < 0.35


def test_diffpir_meets_data_without_noise():
    problem = Problem(0.0)
    drawn = restored(problem, 0.3).reshape(-1, PIXELS)
    assert float((drawn @ problem.matrix.T - problem.y).abs().max()) < 5e-3


def test_the_weight_of_the_estimate_grows_as_noise_goes():
    """rho = lam sigma² / sigma_t², sigma_t² = (1 - abar) / abar."""
    given: list[float] = []

    def proximal(x0: Tensor, rho: float) -> Tensor:
        given.append(rho)
        return x0

    problem, times = Problem(0.1), dds.descending_times(1000, 5)
    diffpir.sample(
        problem.estimate, normal_draw(*SHAPE, seed=0), LINEAR.alpha_bar, times, proximal, 0.07, 0.3, drawing(0)
    )
    expected = [0.07 * LINEAR.alpha_bar(t) / (1 - LINEAR.alpha_bar(t)) for t in times]
    assert given == pytest.approx(expected)
    assert given == sorted(given)


def test_noise_is_mixed_by_its_variances_down_to_the_last_step():
    """The noise that the new estimate implies and fresh noise, sqrt(1 - zeta) to sqrt(zeta)."""
    seen: list[Tensor] = []
    start, fresh, clean = (normal_draw(1, 1, 4, 4, seed=seed) for seed in (0, 1, 2))

    def estimate(x: Tensor, t: int) -> Tensor:
        seen.append(x)
        return torch.zeros_like(x)

    diffpir.sample(estimate, start, LINEAR.alpha_bar, [500, 0], lambda x0, rho: clean, 1.0, 0.3, lambda x: fresh)
    now, then = LINEAR.alpha_bar(500), LINEAR.alpha_bar(0)
    implied = (start - math.sqrt(now) * clean) / math.sqrt(1 - now)
    mixed = math.sqrt(0.7) * implied + math.sqrt(0.3) * fresh
    assert torch.allclose(seen[1], math.sqrt(then) * clean + math.sqrt(1 - then) * mixed)


def test_without_fresh_noise_diffpir_follows_from_its_start():
    problem = Problem(0.05)
    assert torch.equal(restored(problem, 0.0, 10, seed=3), restored(problem, 0.0, 10, seed=4))
    assert not torch.equal(restored(problem, 0.3, 10, seed=3), restored(problem, 0.3, 10, seed=4))


def test_the_last_image_is_a_data_step_of_the_last_estimate_without_noise_added():
    answers: list[Tensor] = []
    problem = Problem(0.05)

    def proximal(x0: Tensor, rho: float) -> Tensor:
        answers.append(problem.proximal(x0, rho))
        return answers[-1]

    times = dds.descending_times(1000, 4)
    start = normal_draw(*SHAPE, seed=9)
    found = diffpir.sample(problem.estimate, start, LINEAR.alpha_bar, times, proximal, 0.01, 1.0, drawing(0))
    assert torch.equal(found, answers[-1])
    assert len(answers) == 4


@pytest.mark.parametrize("eta", [0.15, 0.85])
def test_the_mean_of_ddnm_comes_near_the_posterior_mean_and_its_data_are_met_exactly(eta):
    problem = Problem(0.0)
    drawn = replaced(problem, problem.null_space_step, eta)
    assert problem.error(drawn) < 0.25
    assert float((drawn.reshape(-1, PIXELS) @ problem.matrix.T - problem.y).abs().max()) < 1e-10


def test_conjugate_gradients_from_the_estimate_are_the_null_space_replacement():
    """Gradients lie in the range of A*, so that what A does not see stays as it was."""
    problem = Problem(0.0)
    step = dds.least_squares_step(problem.normal, problem.adjoint_data, 3 * PROJECTIONS, axes=3)
    x0 = normal_draw(*SHAPE, seed=5)
    assert torch.allclose(step(x0), problem.null_space_step(x0), atol=1e-8)
    assert torch.allclose(replaced(problem, step), replaced(problem, problem.null_space_step), atol=1e-6)
    unseen = torch.eye(PIXELS, dtype=torch.float64) - problem.inverse @ problem.matrix
    few = dds.least_squares_step(problem.normal, problem.adjoint_data, 2, axes=3)
    change = (few(x0) - x0).reshape(-1, PIXELS)
    assert float((change @ unseen).abs().max()) < 1e-12
