"""The residuals of all Tikhonov weights from one bidiagonalisation, against dense solutions and conjugate gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recon.solvers.bidiagonal import Axes, bidiagonalised
from recon.solvers.krylov import cg

MATRIX = torch.rand(3, 30, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
DATA = torch.rand(3, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def apply(x: Tensor) -> Tensor:
    return (MATRIX @ x[..., None])[..., 0]


def adjoint(y: Tensor) -> Tensor:
    return (MATRIX.mT @ y[..., None])[..., 0]


@pytest.mark.parametrize("damping", [1e-3, 0.3, 20.0])
def test_all_steps_leave_the_residual_of_the_dense_solution(damping: float) -> None:
    found = bidiagonalised(apply, adjoint, DATA, 12, Axes(1, 1)).residual_power(damping)
    normal = MATRIX.mT @ MATRIX + damping * torch.eye(12, dtype=torch.float64)
    dense = torch.linalg.solve(normal, adjoint(DATA))
    assert found == pytest.approx(float((apply(dense) - DATA).square().sum()), rel=1e-7)


@pytest.mark.parametrize("damping", [1e-3, 0.3, 20.0])
def test_fewer_steps_leave_that_of_as_many_conjugate_gradient_iterations(damping: float) -> None:
    found = bidiagonalised(apply, adjoint, DATA, 4, Axes(1, 1)).residual_power(damping)

    def normal(x: Tensor) -> Tensor:
        return adjoint(apply(x)) + damping * x

    right = adjoint(DATA)
    image = cg(normal, right, torch.zeros_like(right), 4, 1)
    assert found == pytest.approx(float((apply(image) - DATA).square().sum()), rel=1e-7)


def test_complex_images_of_one_problem_for_the_whole_volume() -> None:
    """An operator that couples slices, and the real part of the inner product."""
    matrix = torch.randn(20, 6, generator=torch.Generator().manual_seed(2), dtype=torch.complex128)
    data = torch.randn(2, 10, generator=torch.Generator().manual_seed(3), dtype=torch.complex128)
    found = bidiagonalised(
        lambda x: (matrix @ x.flatten()).reshape(2, 10),
        lambda y: (matrix.mH @ y.flatten()).reshape(2, 3),
        data,
        6,
        Axes(2, 2),
    ).residual_power(0.5)
    dense = torch.linalg.solve(matrix.mH @ matrix + 0.5 * torch.eye(6), matrix.mH @ data.flatten())
    assert found == pytest.approx(float((matrix @ dense - data.flatten()).abs().square().sum()), rel=1e-7)


def test_a_problem_that_is_solved_and_one_without_data_stay_where_they_are() -> None:
    data = torch.stack([torch.zeros(30, dtype=torch.float64), MATRIX[1, :, 0], DATA[2]])
    found = bidiagonalised(apply, adjoint, data, 20, Axes(1, 1))
    assert bool(found.matrix.isfinite().all())
    assert found.residual_power(1e-9) < float(DATA[2].square().sum())
