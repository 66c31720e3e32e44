"""Total variation: the optimum against a plain solver on dense matrices, and what the model must do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from operators import Matrix, dense
from torch import Tensor

from physics.ct.geometry import FanBeam, ImageGrid, circular_angles
from physics.ct.projector import CTProjector
from physics.operator import LinearOperator
from recon.solvers.tv import tv_reconstruct
from recon.solvers.tv_steps import _divergence, _gradient

SIGMA = 0.05
AXES = (0.5, 1.0, 1.0)


def projector(size: int = 8, views: int = 5, slices: int = 2) -> CTProjector:
    geometry = FanBeam(circular_angles(views), 1.4, source_isocentre=60, source_detector=90)
    return CTProjector(geometry, ImageGrid((size, size), (1.0, 1.0)), torch.float64, slices=slices)


def blocks(depth: int, size: int) -> Tensor:
    """(z, y, x) two constant blocks on nothing."""
    image = torch.zeros(depth, size, size, dtype=torch.float64)
    image[:, size // 8 : size // 2, size // 8 : -size // 8] = 1.0
    image[:, size // 2 : -size // 8, size // 4 : size // 2] = 0.5
    return image


def measure(operator: CTProjector, image: Tensor, sigma: float = SIGMA) -> Tensor:
    clean = operator(image)
    return clean + sigma * torch.randn(clean.shape, dtype=clean.dtype, generator=torch.Generator().manual_seed(3))


def solve(
    operator: LinearOperator,
    data: Tensor,
    weight: float,
    axes: tuple[float, float, float] = AXES,
    iterations: int = 800,
    sigma: Tensor | float = SIGMA,
    balance: float = 0.1,
) -> Tensor:
    start = torch.zeros(operator.domain, dtype=data.dtype)
    return tv_reconstruct(operator, data, sigma, weight, axes, start, balance, iterations)


def differences(shape: tuple[int, ...], axis: int) -> np.ndarray:
    """The dense matrix of forward differences along an axis, 0 at the end, one entry at a time."""
    index = np.arange(math.prod(shape)).reshape(shape)
    matrix = np.zeros((index.size, index.size))
    for position in np.ndindex(*shape):
        if position[axis] + 1 < shape[axis]:
            after = tuple(p + (k == axis) for k, p in enumerate(position))
            matrix[index[position], index[after]] = 1
            matrix[index[position], index[position]] = -1
    return matrix


def plain_admm(a: np.ndarray, b: np.ndarray, gradients: np.ndarray, weight: float, steps: int) -> np.ndarray:
    """min over x ≥ 0 of ½‖ax − b‖² + weight Σ‖∇x‖₂ by splitting z = ∇x, v = x (Boyd et al. 2011, section 6.4.1).

    ``gradients`` is (3, n, n).
    """
    size, penalty = a.shape[1], 20.0
    stacked = np.concatenate([*gradients, np.eye(size)])
    inverse = np.linalg.inv(a.T @ a + penalty * stacked.T @ stacked)
    split = scaled = np.zeros(4 * size)
    for _ in range(steps):
        x = inverse @ (a.T @ b + penalty * stacked.T @ (split - scaled))
        wanted = (stacked @ x + scaled).reshape(4, size)
        length = np.maximum(np.linalg.norm(wanted[:3], axis=0), 1e-300)
        shrunk = wanted[:3] * np.maximum(1 - weight / penalty / length, 0)
        split = np.concatenate([shrunk, np.maximum(wanted[3:], 0)]).ravel()
        scaled = wanted.ravel() - split
    return np.maximum(x, 0)


@pytest.mark.parametrize("weight", [0.3, 3.0, 30.0])
def test_the_optimum_is_that_of_a_plain_solver(weight: float) -> None:
    depth = 3
    operator = projector(6, 9, depth)
    data = measure(operator, blocks(depth, 6) * torch.tensor([0.4, 1.0, 0.7])[:, None, None])
    a = dense(operator, torch.float64).numpy() / SIGMA
    b = data.numpy().ravel() / SIGMA
    gradients = np.stack([f * differences((depth, 6, 6), k) for k, f in enumerate(AXES)])

    def objective(x: np.ndarray) -> float:
        return 0.5 * float(np.sum((a @ x - b) ** 2)) + weight * float(np.linalg.norm(gradients @ x, axis=0).sum())

    expected = plain_admm(a, b, gradients, weight, 5000)
    found = solve(operator, data, weight, iterations=4000).numpy().ravel()
    assert found.min() >= 0
    assert objective(found) == pytest.approx(objective(expected), rel=1e-4)
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_a_piecewise_constant_image_is_recovered_from_few_views() -> None:
    """10 views of 24² pixels: least squares cannot, total variation can."""
    operator, image = projector(24, 10), blocks(2, 24)
    found = solve(operator, operator(image), 3.0, iterations=1500, sigma=0.01)
    assert float((found - image).abs().max()) < 0.05
    least_squares = torch.linalg.pinv(dense(operator.stack(1), torch.float64)) @ operator(image)[0].flatten()
    assert float((least_squares.reshape(24, 24) - image[0]).abs().max()) > 0.2


def test_a_large_weight_leaves_the_best_constant() -> None:
    operator = projector()
    data = measure(operator, blocks(2, 8))
    found = solve(operator, data, 1e4, iterations=3000)
    shadow = operator(torch.ones(2, 8, 8, dtype=torch.float64))
    constant = float((shadow * data).sum() / shadow.square().sum())
    torch.testing.assert_close(found, torch.full_like(found, constant), rtol=1e-2, atol=1e-3)


def test_the_divergence_is_minus_the_adjoint_of_the_gradient() -> None:
    """For fields that are zero beyond the volume's last differences, as the solver's always are."""
    x, field = torch.randn(4, 5, 6, dtype=torch.float64), torch.randn(3, 4, 5, 6, dtype=torch.float64)
    field[0, -1], field[1, :, -1], field[2, :, :, -1] = 0, 0, 0
    whole = slice(0, 4)
    left = float((_gradient(x, whole, (0.3, 0.8, 1.0)) * field).sum())
    right = -float((x * _divergence(field, whole, (0.3, 0.8, 1.0))).sum())
    assert left == pytest.approx(right, rel=1e-10)


def test_without_coupling_each_slice_is_its_own_problem() -> None:
    operator = projector(slices=3)
    data = measure(operator, blocks(3, 8))
    apart = torch.cat([solve(operator.stack(1), slice_[None], 3.0, iterations=50) for slice_ in data])
    torch.testing.assert_close(solve(operator, data, 3.0, (0.0, 1.0, 1.0), 50), solve_apart(operator, data))
    assert float((solve(operator, data, 3.0, (1.0, 1.0, 1.0), 400) - apart).abs().max()) > 0.01


def solve_apart(operator: CTProjector, data: Tensor) -> Tensor:
    return torch.cat([solve(operator.stack(1), slice_[None], 3.0, (0.0, 1.0, 1.0), 50) for slice_ in data])


def test_coupling_slices_averages_their_noise() -> None:
    operator, image = projector(16, 8, 6), blocks(6, 16)
    data = measure(operator, image, 0.3)
    errors = [float((solve(operator, data, 8.0, (z, 1.0, 1.0), sigma=0.3) - image).norm()) for z in (0.0, 1.0)]
    assert errors[1] < 0.9 * errors[0]


def test_data_count_by_their_noise() -> None:
    """A broken view with a large standard deviation does no harm; believed, it does."""
    operator, image = projector(16, 12, 1), blocks(1, 16)
    data, sigma = operator(image), torch.full(operator.range, 0.01, dtype=torch.float64)
    clean = solve(operator, data, 1.0, sigma=sigma)
    data[:, 3] = 30.0
    believed = solve(operator, data, 1.0, sigma=sigma)
    sigma[:, 3] = 1e4
    ignored = solve(operator, data, 1.0, sigma=sigma)
    assert float((ignored - clean).abs().max()) < 0.05
    assert float((believed - clean).abs().max()) > 0.5


def test_the_callback_sees_residual_and_change_and_stops() -> None:
    operator = projector()
    data = measure(operator, blocks(2, 8))
    seen: list[tuple[int, float, float]] = []

    def stop_at(iteration: int, residual: float, change: float) -> bool:
        seen.append((iteration, residual, change))
        return iteration == 300

    start, before = torch.zeros(2, 8, 8, dtype=torch.float64), data.clone()
    found = tv_reconstruct(operator, data, SIGMA, 3.0, AXES, start, 0.1, 5000, stop_at)
    assert found is start
    assert torch.equal(data, before)
    assert [iteration for iteration, _, _ in seen] == list(range(1, 301))
    assert seen[-1][1] == pytest.approx(float((operator(found) - data).norm() / data.norm()), rel=1e-2)
    assert seen[-1][2] < 1e-3 * seen[1][2]


def test_no_data_give_nothing() -> None:
    operator = projector()
    found = solve(operator, torch.zeros(operator.range, dtype=torch.float64), 3.0, iterations=20)
    assert torch.equal(found, torch.zeros_like(found))


def test_an_operator_that_couples_slices_is_one_problem() -> None:
    """Neither step sizes nor slabs take its slices for alike or independent."""
    shape = (3, 4, 5)
    mixing = Matrix(torch.rand(70, 60, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    operator, image = _Reshaped(mixing, shape), torch.rand(shape, dtype=torch.float64)
    found = solve(operator, operator(image), 1e-3, iterations=4000, sigma=0.01)
    torch.testing.assert_close(found, image, rtol=0, atol=0.02)


class _Reshaped(LinearOperator):
    """A matrix without negative entries on images (z, y, x)."""

    def __init__(self, matrix: Matrix, shape: tuple[int, int, int]) -> None:
        self.matrix, self.domain, self.range, self.dtype = matrix, shape, matrix.range, matrix.dtype

    def _forward(self, x: Tensor) -> Tensor:
        return self.matrix(x.flatten(-3))

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.matrix.adjoint(y).unflatten(-1, self.domain)
