"""Unrolled networks: they begin at what they start from, contain the classical iterations, and learn to beat them."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.networks.unrolled import DataStep, LearnedPrimalDual, Map, MoDL, MoDLConfig, PrimalDualConfig, UnrolledStep
from priors.training.activation import checkpoint_activations

IMAGE = (8, 7)
VIEWS, CELLS = 4, 6


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth(count: int, channels: int, size: tuple[int, int], seed: int) -> Tensor:
    """Random images (count, channels, H, W) with a structure to be learned."""
    coarse = torch.randn(count, channels, 3, 3, generator=generator(seed))
    return functional.interpolate(coarse, size, mode="bicubic", align_corners=True)


def matrix(rows: int, columns: int, seed: int = 0) -> Tensor:
    """A dense operator of norm 1."""
    dense = torch.randn(rows, columns, generator=generator(seed))
    return dense / torch.linalg.matrix_norm(dense, 2)


def scanner(a: Tensor, views: int = VIEWS, size: tuple[int, int] = IMAGE) -> tuple[Map, Map]:
    """``a`` between images (B, 1, H, W) and sinograms (B, 1, V, C), and its adjoint."""
    return (
        lambda image: (image.flatten(1) @ a.T).unflatten(1, (1, views, -1)),
        lambda sinogram: (sinogram.flatten(1) @ a).unflatten(1, (1, *size)),
    )


def exact_step(a: Tensor, y: Tensor) -> DataStep:
    """argmin of the data term for a dense real ``a`` on all channels, with ``y`` (B, rows)."""

    def step(denoised: Tensor, weight: Tensor) -> Tensor:
        right = y @ a + weight * denoised.flatten(1)
        return torch.linalg.solve(a.T @ a + weight * torch.eye(a.shape[1]), right.T).T.reshape(denoised.shape)

    return step


def masked_step(mask: Tensor, samples: Tensor) -> DataStep:
    """The same in closed form for a masked Fourier transform, ``samples`` (B, H, W)."""

    def step(denoised: Tensor, weight: Tensor) -> Tensor:
        kspace = fourier(denoised)
        mixed = torch.where(mask, (samples + weight * kspace) / (1 + weight), kspace)
        return as_channels(torch.fft.ifft2(mixed, norm="ortho"))

    return step


def fourier(channels: Tensor) -> Tensor:
    return torch.fft.fft2(torch.complex(channels[:, 0], channels[:, 1]), norm="ortho")


def as_channels(image: Tensor) -> Tensor:
    return torch.stack([image.real, image.imag], dim=1)


def stirred(network: nn.Module) -> nn.Module:
    """The network with something in the layers that begin as zero."""
    torch.manual_seed(5)
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return network


def fit(network: nn.Module, reconstruct: Callable[[], Tensor], truth: Tensor, steps: int) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(steps):
        loss = functional.mse_loss(reconstruct(), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def primal_dual(**changes: int) -> LearnedPrimalDual:
    torch.manual_seed(0)
    sizes = {"iterations": 3, "primal_memory": 3, "dual_memory": 2, "width": 8}
    return LearnedPrimalDual(PrimalDualConfig(**(sizes | changes)))


def modl(**changes: int | bool) -> MoDL:
    torch.manual_seed(0)
    return MoDL(MoDLConfig(**({"iterations": 3, "width": 12, "depth": 3} | changes)))  # type: ignore[arg-type]


# Learned primal-dual


@pytest.mark.parametrize(("size", "views", "cells"), [((8, 7), 4, 6), ((5, 16), 1, 9), ((3, 3), 11, 2), ((1, 1), 1, 1)])
def test_untrained_primal_dual_returns_its_start_exactly(size, views, cells):
    project, backproject = scanner(matrix(views * cells, size[0] * size[1]), views, size)
    start, sinogram = torch.randn(2, 1, *size), torch.randn(2, 1, views, cells)
    assert torch.equal(primal_dual()(start, sinogram, project, backproject), start)


@pytest.mark.parametrize(("primal", "dual"), [(1, 1), (2, 3)])
def test_primal_dual_contains_landweber_iterations(primal, dual):
    """With linear layers that pass on Kf - g, and take a multiple of its backprojection from every image."""
    a, rate, iterations = matrix(VIEWS * CELLS, IMAGE[0] * IMAGE[1]), 0.7, 4
    network = primal_dual(iterations=iterations, primal_memory=primal, dual_memory=dual, width=8)
    dual_rule = torch.zeros(dual, dual + 2)
    dual_rule[0, [0, dual, dual + 1]] = torch.tensor([-1.0, 1.0, -1.0])
    primal_rule = torch.zeros(primal, primal + 1)
    primal_rule[:, primal] = -rate
    for step in network.dual_steps:
        make_linear(step, dual_rule)
    for step in network.primal_steps:
        make_linear(step, primal_rule)
    start, y = torch.randn(2, 1, *IMAGE), torch.randn(2, VIEWS * CELLS)
    expected = start.flatten(1)
    for _ in range(iterations):
        expected = expected - rate * (expected @ a.T - y) @ a
    output = network(start, y.unflatten(1, (1, VIEWS, CELLS)), *scanner(a))
    assert torch.allclose(output.flatten(1), expected, atol=1e-6)


@torch.no_grad()
def make_linear(step: UnrolledStep, rule: Tensor) -> None:
    """The small network as a matrix (outputs, inputs) on the channels of every pixel."""
    first, activation, middle, other_activation, last = step.layers
    for convolution in (first, middle, last):
        convolution.weight.zero_()
        convolution.bias.zero_()
    first.weight[: rule.shape[1], :, 1, 1] = torch.eye(rule.shape[1])
    middle.weight[:, :, 1, 1] = torch.eye(middle.in_channels)
    last.weight[:, : rule.shape[1], 1, 1] = rule
    for slope in (activation.weight, other_activation.weight):
        slope.fill_(1.0)


def test_primal_dual_learns_to_beat_its_start_and_least_squares():
    """On images it has not seen, of which a third of the pixels' number is measured."""
    a = matrix(20, 64)
    project, backproject = scanner(a, 4, (8, 8))
    train, held_out = smooth(24, 1, (8, 8), 1), smooth(24, 1, (8, 8), 2)
    network = primal_dual(width=16)
    sinogram = project(train)
    start = backproject(sinogram)
    fit(network, lambda: network(start, sinogram, project, backproject), train, 80)
    seen = project(held_out)
    least_squares = (seen.flatten(1) @ torch.linalg.pinv(a).T).reshape(held_out.shape)
    with torch.no_grad():
        learned = functional.mse_loss(network(backproject(seen), seen, project, backproject), held_out)
    assert learned < 0.5 * functional.mse_loss(least_squares, held_out)
    assert learned < 0.5 * functional.mse_loss(backproject(seen), held_out)


# MoDL


def test_untrained_modl_returns_a_start_that_agrees_with_the_data():
    """Zero filling does, whatever the weight."""
    mask = torch.rand(16, 12, generator=generator(3)) < 0.4
    samples = torch.where(mask, fourier(torch.randn(2, 2, 16, 12)), 0)
    start = as_channels(torch.fft.ifft2(samples, norm="ortho"))
    assert torch.allclose(modl()(start, masked_step(mask, samples)), start, atol=1e-6)


@pytest.mark.parametrize("shared", [True, False])
def test_untrained_modl_does_the_data_steps_alone(shared):
    """The network changes nothing, so that any start goes through the steps as it would without one."""
    step, start = exact_step(matrix(20, 2 * 16), torch.randn(3, 20)), torch.randn(3, 2, 4, 4)
    expected = start
    for _ in range(3):
        expected = step(expected, functional.softplus(torch.tensor(-3.0)))
    assert torch.equal(modl(shared=shared)(start, step), expected)


@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.4])
def test_modl_with_a_linear_denoiser_has_a_known_answer(factor):
    """A factor of 0 is ridge regression, of 1 the proximal point algorithm."""
    a, iterations, weight = matrix(20, 2 * 16).double(), 4, 0.3
    network = modl(iterations=iterations, width=4, depth=2).double()
    scale_by(network, factor, weight)
    y, start = torch.randn(3, 20).double(), torch.randn(3, 2, 4, 4).double()
    inverse = torch.linalg.inv(a.T @ a + weight * torch.eye(32))
    expected = start.flatten(1)
    for _ in range(iterations):
        expected = (y @ a + weight * factor * expected) @ inverse
    assert torch.allclose(network(start, exact_step(a, y)).flatten(1), expected, atol=1e-9)


@torch.no_grad()
def scale_by(network: MoDL, factor: float, weight: float) -> None:
    """Make the denoiser x + (factor - 1) x, by way of relu(x) - relu(-x) = x, and set the weight."""
    first, _, last = network.denoisers[0].layers
    for convolution in (first, last):
        convolution.weight.zero_()
        convolution.bias.zero_()
    both = torch.cat([torch.eye(2), -torch.eye(2)])
    first.weight[:, :, 1, 1] = both
    last.weight[:, :, 1, 1] = (factor - 1) * both.T
    network.raw_weight.fill_(torch.tensor(weight).expm1().log())


def test_modl_learns_to_beat_zero_filling_which_is_least_squares_here():
    frequency = torch.fft.fftfreq(16, 1 / 16).abs()
    centre = (frequency[:, None] <= 1) & (frequency <= 1)
    mask = centre | (torch.rand(16, 16, generator=generator(3)) < 0.25)
    train, held_out = smooth(16, 2, (16, 16), 1), smooth(16, 2, (16, 16), 2)
    network = modl(width=16)
    samples = torch.where(mask, fourier(train), 0)
    start = as_channels(torch.fft.ifft2(samples, norm="ortho"))
    before = float(functional.softplus(network.raw_weight.detach()))
    fit(network, lambda: network(start, masked_step(mask, samples)), train, 80)
    seen = torch.where(mask, fourier(held_out), 0)
    zero_filled = as_channels(torch.fft.ifft2(seen, norm="ortho"))
    with torch.no_grad():
        learned = functional.mse_loss(network(zero_filled, masked_step(mask, seen)), held_out)
    assert learned < 0.5 * functional.mse_loss(zero_filled, held_out)
    assert float(functional.softplus(network.raw_weight.detach())) != before, "the weight is learned too"


def test_one_denoiser_serves_all_iterations_if_shared():
    def size(**changes: int | bool) -> int:
        return sum(parameter.numel() for parameter in modl(**changes).parameters())

    assert size(iterations=2) == size(iterations=7)
    assert size(iterations=7, shared=False) == 7 * size(shared=True)


def test_each_iteration_has_its_own_weight_and_denoiser_unless_shared():
    network = modl(iterations=3, shared=False)
    with torch.no_grad():
        network.raw_weight.copy_(torch.tensor([-40.0, 0.0, 40.0]))
        for index, denoiser in enumerate(network.denoisers):
            denoiser.layers[-1].bias.fill_(10.0**index)
    weights, seen = [], []

    def step(denoised: Tensor, weight: Tensor) -> Tensor:
        weights.append(float(weight))
        seen.append(float(denoised.flatten()[0]))
        return denoised

    network.requires_grad_(False)(torch.zeros(1, 2, 3, 3), step)
    assert 0 < weights[0] < weights[1] < weights[2], "a weight is above zero, however small its parameter"
    assert seen == [1.0, 11.0, 111.0]


# Both


def run_primal_dual(network: nn.Module, count: int = 3) -> Tensor:
    project, backproject = scanner(matrix(VIEWS * CELLS, IMAGE[0] * IMAGE[1]))
    sinogram = torch.randn(3, 1, VIEWS, CELLS, generator=generator(7))[:count]
    return network(backproject(sinogram), sinogram, project, backproject)


def run_modl(network: nn.Module, count: int = 3) -> Tensor:
    a = matrix(20, 2 * 16)
    y = torch.randn(3, 20, generator=generator(7))[:count]
    return network((y @ a).reshape(-1, 2, 4, 4), exact_step(a, y))


BOTH = pytest.mark.parametrize(
    ("make", "run"),
    [(primal_dual, run_primal_dual), (modl, run_modl), (lambda: modl(shared=False), run_modl)],
    ids=["primal-dual", "modl", "modl, not shared"],
)


@BOTH
def test_gradients_reach_every_parameter_within_two_steps(make, run):
    """Those behind a layer that begins as zero have to wait for it."""
    network = make()
    target = torch.randn(run(network).shape, generator=generator(9))
    fit(network, lambda: run(network), target, 2)
    functional.mse_loss(run(network), target).backward()
    assert [name for name, parameter in network.named_parameters() if not parameter.grad.any()] == []


@BOTH
def test_a_slice_is_independent_of_the_others_of_its_batch(make, run):
    network = stirred(make())
    assert torch.allclose(run(network)[:1], run(network, 1), atol=1e-6)


@BOTH
def test_activations_can_be_computed_twice_to_hold_fewer(make, run):
    network = stirred(make())
    changed = deepcopy(network)
    assert checkpoint_activations(changed) > 0
    for either in (network, changed):
        run(either).square().mean().backward()
    for ours, theirs in zip(changed.parameters(), network.parameters(), strict=True):
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-7)
