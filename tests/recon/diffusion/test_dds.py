"""DDS on tomography: the released code's three loops end to end, and linear Gaussian problems with a known posterior.

The released projector rotates the image and sums its rows. It is rebuilt here from that description, and checked
against recorded projections before anything is concluded from it.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from physics.mr.cartesian import fft2c, ifft2c
from priors.diffusion.schedule import GaussianDiffusion
from recon.diffusion import dds

LINEAR = GaussianDiffusion(1000, "linear")
SIZE, VIEWS = 32, 8
ETA, ITERATIONS = 0.85, 5


def recorded(shared: Path, name: str) -> dict[str, Tensor]:
    with np.load(shared / "fixtures" / "baselines" / f"{name}.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def margins() -> tuple[int, int]:
    """Pixels before and after an image in the square that holds its diagonal."""
    wide = math.ceil(math.sqrt(2) * SIZE)
    before = wide // 2 - SIZE // 2
    return before, wide - SIZE - before


def rotation_sum(image: Tensor, views: int = VIEWS) -> Tensor:
    """(Z, 1, H, W) to sums over the rows of the rotated image, (Z, 1, cells, views), in pixels."""
    padded = functional.pad(image, margins() * 2)
    shape = [len(image), 1, *padded.shape[-2:]]
    sums = []
    for angle in (math.pi * view / views for view in range(views)):
        turn = torch.tensor([[math.cos(angle), math.sin(angle), 0], [-math.sin(angle), math.cos(angle), 0]])
        grid = functional.affine_grid(turn.expand(len(image), -1, -1), shape, align_corners=True)
        sums.append(functional.grid_sample(padded, grid, align_corners=True).sum(2))
    return torch.stack(sums, -1)


def smear(sinogram: Tensor) -> Tensor:
    """Unfiltered back-projection, linear between cells, times pi / (2 views)."""
    cells, views = sinogram.shape[2:]
    before, _ = margins()
    place = torch.linspace(-1, 1, cells)[before : before + SIZE]
    image = torch.zeros(len(sinogram), 1, SIZE, SIZE)
    for view in range(views):
        angle = math.pi * view / views
        cell = (place[None, :] * math.cos(angle) - place[:, None] * math.sin(angle) + 1) / 2 * (cells - 1)
        low = cell.floor().long().clamp(0, cells - 2)
        part = cell - low
        image += (1 - part) * sinogram[:, :, low, view] + part * sinogram[:, :, low + 1, view]
    return image * math.pi / (2 * views)


def gram(image: Tensor) -> Tensor:
    return smear(rotation_sum(image))


@pytest.mark.parametrize("views", [8, 40])
def test_the_projector_is_the_recorded_one(shared, views):
    ops = recorded(shared, "dds_ops")
    assert torch.allclose(rotation_sum(ops["ct.vol"], views), ops[f"ct{views}_1.A"], atol=5e-5)
    assert torch.allclose(smear(ops[f"ct{views}_1.A"]), ops[f"ct{views}_1.AT"], atol=5e-5)


def released_estimate(x: Tensor, t: int) -> Tensor:
    return 0.9 * x * math.sqrt(1 - LINEAR.alpha_bar(t)) + 0.05 * torch.cos(3 * x)


@pytest.mark.parametrize("run", ["ct_sv8_noisy", "ct_sv8_noiseless", "ct3d_sv8"])
def test_the_whole_loop_on_tomography_as_released(shared, run):
    loops = recorded(shared, "dds_loops")
    data = gram(loops["inputs.ct_vol" if run == "ct3d_sv8" else "inputs.ct_slice"])
    step = {
        "ct_sv8_noisy": dds.proximal_step(gram, data, 1.0, ITERATIONS, axes=3),
        "ct_sv8_noiseless": dds.least_squares_step(gram, data, ITERATIONS, axes=3),
        "ct3d_sv8": dds.ZTotalVariation(gram, data, rho=10.0, lam=0.04, iterations=ITERATIONS, circular=True),
    }[run]
    before: list[Tensor] = []
    after: list[Tensor] = []

    def data_step(x0: Tensor) -> Tensor:
        before.append(x0)
        after.append(step(x0))
        return after[-1]

    noises = iter(loops[f"{run}.noises"])
    times = dds.descending_times(1000, 10)
    final = dds.sample(
        released_estimate, loops[f"{run}.x_T"], LINEAR.alpha_bar, times, data_step, ETA, lambda x: next(noises)
    )
    assert len(list(noises)) == 1, "the released code draws once more at the clean end, times 0"
    expected = loops[f"{run}.x0_pred_steps"]
    assert torch.allclose(torch.stack(before).reshape(expected.shape), expected, atol=3e-4)
    assert torch.allclose(final.reshape(loops[f"{run}.final"].shape), loops[f"{run}.final"], atol=3e-4)
    if run == "ct3d_sv8":
        assert torch.allclose(torch.stack(after), loops["ct3d_sv8.x0_dc_steps"], atol=3e-4)


def test_one_iteration_replaces_the_samples_of_a_single_coil(shared):
    """For a mask in k-space, x0 - A*(A x0 - y): the null-space replacement of DDNM too."""
    ops = recorded(shared, "dds_ops")
    mask = ops["mri.mask"]
    step = dds.least_squares_step(lambda x: ifft2c(mask * fft2c(x)), ifft2c(mask * ops["mri1.y"]), 1, axes=3)
    assert torch.allclose(step(ops["mri.x0"]), ops["mri1.proj"], atol=5e-5)


@settings(deadline=None, max_examples=60)
@given(total=st.integers(1, 2000), share=st.floats(0, 1))
def test_times_are_as_many_as_asked_for_and_spread_over_all(total, share):
    steps = max(1, round(share * total))
    times = dds.descending_times(total, steps)
    assert len(times) == steps
    assert times[-1] == 0
    gaps = {a - b for a, b in zip([total, *times], times, strict=False)}
    assert gaps <= {total // steps, -(-total // steps)}, "none is left out at the noisy end"


# ------------------------------------------------------------------------------------------ known posteriors

SIDE = 4
PIXELS = SIDE**2
SAMPLES = 512


class Gaussian:
    """Images drawn from N(mean, covariance), neighbours alike, six random projections of one of them known."""

    def __init__(self, sigma: float):
        generator = torch.Generator().manual_seed(0)
        grid = torch.cartesian_prod(torch.arange(SIDE), torch.arange(SIDE)).double()
        self.covariance = 0.25 * torch.exp(-torch.cdist(grid, grid) / 2)
        self.mean = torch.linspace(-0.5, 0.5, PIXELS, dtype=torch.float64)
        matrix = torch.randn(6, PIXELS, generator=generator, dtype=torch.float64)
        self.matrix = matrix / torch.linalg.matrix_norm(matrix, 2)
        draw = torch.randn(PIXELS, generator=generator, dtype=torch.float64)
        truth = self.mean + torch.linalg.cholesky(self.covariance) @ draw
        self.y = self.matrix @ truth + sigma * torch.randn(6, generator=generator, dtype=torch.float64)
        gain = self.covariance @ self.matrix.T
        gain = gain @ torch.linalg.inv(self.matrix @ gain + sigma**2 * torch.eye(6))
        self.posterior_mean = self.mean + gain @ (self.y - self.matrix @ self.mean)
        self.posterior_variance = (self.covariance - gain @ self.matrix @ self.covariance).trace()

    def estimate(self, x: Tensor, t: int) -> Tensor:
        """The noise in x_t, exactly."""
        now = LINEAR.alpha_bar(t)
        spread = now * self.covariance + (1 - now) * torch.eye(PIXELS)
        off = x.reshape(-1, PIXELS) - math.sqrt(now) * self.mean
        return (math.sqrt(1 - now) * torch.linalg.solve(spread, off.T).T).reshape(x.shape)

    def normal(self, x: Tensor) -> Tensor:
        return (x.reshape(-1, PIXELS) @ self.matrix.T @ self.matrix).reshape(x.shape)

    @property
    def adjoint_data(self) -> Tensor:
        return (self.matrix.T @ self.y).reshape(1, 1, SIDE, SIDE)

    def sample(self, step: dds.Map, eta: float) -> Tensor:
        generator = torch.Generator().manual_seed(1)

        def noise(like: Tensor) -> Tensor:
            return torch.randn(like.shape, generator=generator, dtype=like.dtype)

        start = noise(torch.empty(SAMPLES, 1, SIDE, SIDE, dtype=torch.float64))
        times = dds.descending_times(1000, 50)
        return dds.sample(self.estimate, start, LINEAR.alpha_bar, times, step, eta, noise).reshape(-1, PIXELS)


@pytest.mark.parametrize("eta", [0.0, 0.15])
def test_without_data_the_prior_itself_is_sampled(eta):
    problem = Gaussian(0.0)
    drawn = problem.sample(lambda x0: x0, eta)
    assert float((drawn.mean(0) - problem.mean).abs().max()) < 0.1
    assert float(drawn.var(0).sum()) == pytest.approx(float(problem.covariance.trace()), rel=0.15)


@pytest.mark.parametrize("eta", [0.0, 0.15, 0.85])
@pytest.mark.parametrize("sigma", [0.0, 0.05])
def test_the_mean_of_samples_comes_near_the_posterior_mean(sigma, eta):
    """Not to it: the loop's data step is the same at every noise level. Nor need the spread be the posterior's."""
    problem = Gaussian(sigma)
    data = problem.adjoint_data.expand(SAMPLES, -1, -1, -1)
    if sigma:
        step = dds.proximal_step(problem.normal, data, 0.02 / sigma**2, 12, axes=3)
    else:
        step = dds.least_squares_step(problem.normal, data, 12, axes=3)
    drawn = problem.sample(step, eta)
    error = (drawn.mean(0) - problem.posterior_mean).norm()
    least_squares = torch.linalg.pinv(problem.matrix) @ problem.y
    assert float(error) < 0.25 * float((problem.mean - problem.posterior_mean).norm())
    assert float(error) < 0.25 * float((least_squares - problem.posterior_mean).norm())
    assert 0.6 < float(drawn.var(0).sum() / problem.posterior_variance) < 1.1
    if not sigma:
        assert float((drawn @ problem.matrix.T - problem.y).abs().max()) < 1e-10, "data without noise are met exactly"


def test_a_slice_is_reconstructed_the_same_alone_and_in_a_batch():
    problem = Gaussian(0.05)
    x = torch.randn(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    x[1] *= 100  # its step lengths must not become its neighbours'
    step = dds.proximal_step(problem.normal, problem.adjoint_data, 30.0, 3, axes=3)
    alone = torch.cat([step(image[None]) for image in x])
    assert torch.allclose(step(x), alone, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("slices", [1, 4])
def test_the_splitting_along_z_converges_to_the_minimum_of_its_objective(slices):
    """½‖Ax − y‖² + lam ‖D_z x‖₁ rises in every direction from where it ends."""
    problem = Gaussian(0.0)
    generator = torch.Generator().manual_seed(2)
    data = problem.normal(torch.randn(slices, 1, SIDE, SIDE, generator=generator, dtype=torch.float64))
    lam = 0.02
    step = dds.ZTotalVariation(problem.normal, data, rho=0.05, lam=lam, iterations=40)
    x = torch.zeros_like(data)
    for _ in range(400):
        x = step(x)

    def objective(x: Tensor) -> float:
        fidelity = 0.5 * (x * problem.normal(x)).sum() - (x * data).sum()
        return float(fidelity + lam * x.diff(dim=0).abs().sum())

    for _ in range(20):
        away = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        assert objective(x + 1e-2 * away) > objective(x) - 1e-7
    assert slices > 1 or torch.allclose(problem.normal(x), data, atol=1e-6), "one slice has no neighbour to be like"
