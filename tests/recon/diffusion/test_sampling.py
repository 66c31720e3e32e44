"""The sampling loops of DDS, DDNM, DiffPIR and DOLCE: the released codes' numbers, and problems with known answers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from physics.mr.cartesian import fft2c, ifft2c
from priors.diffusion.schedule import GaussianDiffusion
from recon.diffusion import dds, diffpir, dolce

LINEAR = GaussianDiffusion(1000, "linear")
MEAN, SPREAD = 0.3, 0.2


def recorded(shared: Path, name: str) -> dict[str, Tensor]:
    with np.load(shared / "fixtures" / "baselines" / f"{name}.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


class Replay:
    """The recorded noise, in order."""

    def __init__(self, noises: Tensor):
        self.noises = iter(noises)

    def __call__(self, like: Tensor) -> Tensor:
        return next(self.noises)


# ------------------------------------------------------------------------------------------------ parity: DDS


def coils(ops: dict[str, Tensor], prefix: str = "mri") -> tuple[dds.Map, dds.Map]:
    mask, sens = ops[f"{prefix}.mask" if prefix == "mri" else "inputs.mri_mask"], ops[f"{prefix}.sens"]

    def adjoint(y: Tensor) -> Tensor:
        return (ifft2c(y * mask) * sens.conj()).sum(1, keepdim=True)

    return lambda x: adjoint(fft2c(x * sens) * mask), adjoint


def test_the_schedule_of_dds(shared):
    ops = recorded(shared, "dds_ops")
    found = [LINEAR.alpha_bar(int(t)) for t in ops["sched.t"]]
    assert torch.allclose(torch.tensor(found), ops["sched.alpha_bar"], atol=1e-6)


def test_conjugate_gradients_of_dds_right_and_as_released(shared):
    ops = recorded(shared, "dds_ops")
    normal, _ = coils(ops)
    data, x0 = ops["mri.ATy"], ops["mri.x0"]
    right = dds.proximal_step(normal, data, 1.0, 5, axes=3)(x0)
    assert torch.allclose(right, ops["mri.cg_noisy_g1_it5_hermitian"], atol=1e-5)
    for name, gamma, iterations in [("g1_it1", 1, 1), ("g1_it5", 1, 5), ("g1_it10", 1, 10), ("g10_it5", 10, 5)]:
        found = dds.unconjugated_cg(lambda x, g=gamma: x + g * normal(x), x0 + gamma * data, x0, iterations)
        assert torch.allclose(found, ops[f"mri.cg_noisy_{name}"], atol=1e-4), name
    found = dds.unconjugated_cg(normal, data, x0, 5)
    assert torch.allclose(found, ops["mri.cg_noiseless_it5"], atol=1e-4)


def test_differences_along_z(shared):
    ops = recorded(shared, "dds_ops")
    step = dds.ZTotalVariation(lambda x: x, torch.zeros(1), 1.0, 1.0, circular=True)
    z = ops["tv.z"]
    assert torch.equal(step.difference(z), ops["tv.Dz"])
    assert torch.equal(step.adjoint_difference(z), ops["tv.DzT"])
    assert torch.equal(dds.soft_threshold(z, 0.3), ops["tv.shrink_0.3"])


@pytest.mark.parametrize("circular", [True, False])
def test_the_difference_and_its_adjoint_are_a_pair(circular):
    step = dds.ZTotalVariation(lambda x: x, torch.zeros(1), 1.0, 1.0, circular=circular)
    x, y = torch.randn(2, 5, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert float((step.difference(x) * y).sum() - (x * step.adjoint_difference(y)).sum()) == pytest.approx(0, abs=1e-12)


def released_estimate(x: Tensor, t: int) -> Tensor:
    return 0.9 * x * math.sqrt(1 - LINEAR.alpha_bar(t)) + 0.05 * torch.cos(3 * x)


@pytest.mark.parametrize(("run", "gamma"), [("mri_multi_noisy", 1.0), ("mri_multi_g5", 5.0)])
def test_the_whole_loop_of_dds_as_released(shared, run, gamma):
    loops = recorded(shared, "dds_loops")
    normal, _ = coils(loops, "inputs")
    step = dds.released_complex_step(normal, loops[f"{run}.Apy"][None, None], gamma, 5)
    seen: list[Tensor] = []

    def data_step(x: Tensor) -> Tensor:
        image = torch.complex(x[:, :1], x[:, 1:])
        seen.append(image[0, 0])
        image = step(image)
        return torch.cat([image.real, image.imag], dim=1)

    times = dds.descending_times(1000, 10)
    assert times == list(range(900, -1, -100))
    noise = Replay(loops[f"{run}.noises"])
    final = dds.sample(released_estimate, loops[f"{run}.x_T"], LINEAR.alpha_bar, times, data_step, 0.85, noise)
    assert torch.allclose(torch.stack(seen), loops[f"{run}.x0_pred_steps"], rtol=1e-3, atol=3e-4)
    assert torch.allclose(torch.complex(final[0, 0], final[0, 1]), loops[f"{run}.final"], rtol=1e-3, atol=3e-4)


def test_the_splitting_of_dds_in_3d(shared, monkeypatch):
    """Right-hand sides of every step follow from the recorded volumes after conjugate gradients."""
    loops = recorded(shared, "dds_loops")
    rhs, volumes = loops["ct3d_sv8.b_steps"], loops["ct3d_sv8.x0_dc_steps"]
    step = dds.ZTotalVariation(lambda x: x, rhs[0], rho=10.0, lam=0.04, circular=True)
    found: list[Tensor] = []
    answers = iter(volumes)

    def recorded_answer(apply: dds.Map, rhs: Tensor, x: Tensor, iterations: int, axes: int) -> Tensor:
        found.append(rhs)
        return next(answers)

    monkeypatch.setattr(dds, "cg", recorded_answer)
    for volume in volumes:
        step(volume)
    assert torch.allclose(torch.stack(found), rhs, rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------------------------------------- parity: DOLCE


@pytest.fixture
def released(shared) -> dict[str, Tensor]:
    return recorded(shared, "dolce")


def dense(pieces: dict[str, Tensor]) -> tuple[dds.Map, Tensor]:
    matrix = pieces["A_mat"]
    data = (pieces["y"].reshape(1, -1) @ matrix).reshape(1, 1, 24, 24)
    return lambda x: (x.reshape(len(x), -1) @ matrix.T @ matrix).reshape(x.shape), data


def test_dolce_visits_the_same_steps(released):
    times = dolce.respaced_times(2000, 40)
    assert times[::-1] == released["ddim40.timestep_map"].tolist()
    diffusion = GaussianDiffusion(2000, "linear")
    found = torch.tensor([diffusion.alpha_bar(t) for t in times[::-1]], dtype=torch.float64)
    assert torch.allclose(found, released["ddim40.alphas_cumprod"], atol=1e-12)


@pytest.mark.parametrize("lam", [250000, 10, 1])
def test_the_data_step_of_dolce(released, lam):
    found = dolce.conjugate_gradient_step(*dense(released), lam)(released["z"], 0)
    assert torch.allclose(found, released[f"cgrad_lam{lam}"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rho", ["0.02", "0.1"])
def test_the_other_data_step_of_dolce(released, rho):
    normal, data = dense(released)
    steps = 40
    number = steps + 8 * steps * math.log(1 - float(rho))  # where the pull is just rho
    step = dolce.accelerated_gradient_step(normal, lambda number: data, steps, 5e-6)
    assert torch.allclose(step(released["z"], number), released[f"apgm_rho{rho}"], rtol=1e-4, atol=1e-5)


def dolce_estimate(pieces: dict[str, Tensor]) -> dds.Estimate:
    return lambda x, t: 0.7 * x - 0.3 * pieces["cond"] + 0.0005 * t


@pytest.mark.parametrize("number", [39, 20, 1, 0])
def test_the_steps_of_dolce(released, number):
    diffusion = GaussianDiffusion(2000, "linear")
    now, then = diffusion.alpha_bar(50 * number), diffusion.alpha_bar(50 * number - 50)
    eps = dolce_estimate(released)(released["xt"], 50 * number)
    noise = released[f"noise_{number}"]
    found = dolce.ddim_step(released["xt"], eps, now, then, noise, (0, 1), released["fov_mask"], 1.0)
    assert torch.allclose(found, released[f"ddim_{number}.sample"], rtol=1e-4, atol=1e-5)


def test_the_whole_loop_of_dolce(released):
    diffusion = GaussianDiffusion(2000, "linear")
    torch.manual_seed(11)
    start = torch.randn(1, 1, 24, 24)
    found = dolce.sample(
        dolce_estimate(released),
        start,
        diffusion.alpha_bar,
        dolce.respaced_times(2000, 40),
        dolce.conjugate_gradient_step(*dense(released), 250000),
        lambda x: torch.randn(x.shape),
        field_of_view=released["fov_mask"],
    )
    assert torch.allclose(found, released["loop_seed11_ddim40_cgrad"], rtol=1e-4, atol=1e-4)


# -------------------------------------------------------------------------------------------- known answers


def gaussian_estimate(x: Tensor, t: int) -> Tensor:
    """The noise in x_t, exactly, where images are N(MEAN, SPREAD²) pixel by pixel."""
    now = LINEAR.alpha_bar(t)
    return math.sqrt(1 - now) * (x - math.sqrt(now) * MEAN) / (now * SPREAD**2 + 1 - now)


def seeded(seed: int = 0) -> dds.Noise:
    generator = torch.Generator().manual_seed(seed)
    return lambda like: torch.randn(like.shape, generator=generator)


def half_seen() -> tuple[Tensor, Tensor, dds.Map]:
    """A mask of half the pixels, its data, and A*A."""
    generator = torch.Generator().manual_seed(5)
    mask = (torch.rand(2, 1, 32, 32, generator=generator) < 0.5).float()
    truth = MEAN + SPREAD * torch.randn(mask.shape, generator=generator)
    return mask, mask * truth, lambda x: mask * x


def start() -> Tensor:
    return seeded(9)(torch.empty(2, 1, 32, 32))


@pytest.mark.parametrize("method", ["dds", "diffpir"])
def test_seen_pixels_are_kept_and_the_others_are_drawn_from_the_prior(method):
    mask, data, normal = half_seen()
    times = dds.descending_times(1000, 100)
    if method == "dds":
        step = dds.least_squares_step(normal, data, 5, axes=3)
        found = dds.sample(gaussian_estimate, start(), LINEAR.alpha_bar, times, step, 0.85, seeded())
    else:

        def proximal(x0: Tensor, rho: float) -> Tensor:
            return (data + rho * x0) / (mask + rho)

        found = diffpir.sample(gaussian_estimate, start(), LINEAR.alpha_bar, times, proximal, 1e-6, 0.5, seeded())
    assert float((found - data)[mask > 0].abs().max()) < 0.01
    unseen = found[mask == 0]
    assert float(unseen.mean()) == pytest.approx(MEAN, abs=0.02)
    assert 0.5 * SPREAD < float(unseen.std()) < 1.1 * SPREAD


def test_the_proximal_step_weighs_prior_and_noise():
    """(I + gamma A*A) x = x0 + gamma A*y, pixel by pixel."""
    mask, data, normal = half_seen()
    x0 = start()
    found = dds.proximal_step(normal, data, 4.0, 10, axes=3)(x0)
    assert torch.allclose(found, (x0 + 4 * data) / (1 + 4 * mask), atol=1e-5)


def test_total_variation_along_z_takes_out_what_differs_from_slice_to_slice():
    generator = torch.Generator().manual_seed(3)
    truth = torch.rand(1, 1, 8, 8, generator=generator).expand(6, 1, 8, 8)
    noisy = truth + 0.1 * torch.randn(6, 1, 8, 8, generator=generator)
    step = dds.ZTotalVariation(lambda x: x, noisy, rho=1.0, lam=0.2, iterations=20)
    x = noisy
    for _ in range(50):
        x = step(x)
    assert float((x - truth).norm()) < 0.5 * float((noisy - truth).norm())
    assert float(step.difference(x).abs().mean()) < 0.02


@pytest.mark.parametrize("loop", ["dds", "diffpir", "dolce"])
def test_the_same_seed_gives_the_same_image_and_progress_is_told(loop):
    _, data, normal = half_seen()
    times = dds.descending_times(1000, 10)

    def run(seed: int) -> tuple[Tensor, list[tuple[int, int]]]:
        told: list[tuple[int, int]] = []

        def on_step(done: int, total: int) -> None:
            told.append((done, total))

        common = (gaussian_estimate, start(), LINEAR.alpha_bar, times)
        if loop == "dds":
            step = dds.least_squares_step(normal, data, 2, axes=3)
            return dds.sample(*common, step, 0.85, seeded(seed), on_step), told
        if loop == "diffpir":
            return diffpir.sample(*common, lambda x, rho: x, 1e-4, 0.5, seeded(seed), on_step), told
        step = dolce.conjugate_gradient_step(normal, data, 1.0)
        return dolce.sample(*common, step, seeded(seed), on_step=on_step), told

    (one, told), (again, _), (other, _) = run(1), run(1), run(2)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert told == [(n, 10) for n in range(1, 11)]


@pytest.mark.parametrize(("total", "steps"), [(1000, 0), (1000, 1001), (10, 11)])
def test_impossible_numbers_of_steps(total, steps):
    with pytest.raises(ValueError, match=f"{steps} steps of {total}"):
        dds.descending_times(total, steps)
    with pytest.raises(ValueError, match=f"{steps} steps of {total}"):
        dolce.respaced_times(total, steps)
