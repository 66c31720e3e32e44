"""Iterative solvers on problems whose answers linear algebra gives."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from operators import Coupled, Matrix, Weighting, dense, draw_pair, random_matrix
from torch import Tensor

from recon.solvers.krylov import cg, cgls, inner, problem_axes, sirt

TYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])


def vectors(batch: int, size: int, dtype: torch.dtype = torch.float64, seed: int = 5) -> Tensor:
    return torch.randn(batch, size, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def positive_definite(size: int, dtype: torch.dtype) -> Tensor:
    matrix = random_matrix(size + 3, size, dtype).matrix
    return matrix.mH @ matrix + 0.1 * torch.eye(size, dtype=dtype)


@TYPES
def test_inner_products_run_over_the_problems_axes(dtype: torch.dtype) -> None:
    a, b = vectors(6, 4, dtype, 1).reshape(2, 3, 4), vectors(6, 4, dtype, 2).reshape(2, 3, 4)
    expected = torch.stack([torch.vdot(x.flatten(), y.flatten()).real for x, y in zip(a, b, strict=True)])
    torch.testing.assert_close(inner(a, b, 2), expected.reshape(2, 1, 1))
    assert inner(a, b, 1).shape == (2, 3, 1)


@TYPES
def test_cg_solves_the_system(dtype: torch.dtype) -> None:
    matrix, rhs = positive_definite(7, dtype), vectors(4, 7, dtype)
    found = cg(lambda x: x @ matrix.T, rhs, torch.zeros_like(rhs), 60, 1, tolerance=1e-13)
    torch.testing.assert_close(found, torch.linalg.solve(matrix, rhs.T).T, rtol=1e-8, atol=1e-8)


def test_cg_needs_as_many_iterations_as_unknowns() -> None:
    matrix, rhs = positive_definite(5, torch.float64), vectors(1, 5)
    found = cg(lambda x: x @ matrix.T, rhs, vectors(1, 5, seed=9), 5, 1)
    torch.testing.assert_close(found, torch.linalg.solve(matrix, rhs.T).T, rtol=1e-6, atol=1e-6)


def test_cg_keeps_the_problems_of_a_batch_apart() -> None:
    """Of very different sizes, one of them zero: three iterations of all are three iterations of each."""
    matrix = positive_definite(7, torch.float64)
    rhs = vectors(4, 7) * torch.tensor([1e-4, 1.0, 0.0, 1e4]).double()[:, None]
    together = cg(lambda x: x @ matrix.T, rhs, torch.zeros_like(rhs), 3, 1)
    alone = torch.cat([cg(lambda x: x @ matrix.T, r[None], torch.zeros(1, 7).double(), 3, 1) for r in rhs])
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=0)
    assert not together[2].any()


def test_cg_of_no_data_is_the_start_without_what_the_operator_sees() -> None:
    """As of an empty slice behind a mask: the residual becomes rounding, and going on would amplify it."""
    torch.manual_seed(0)
    kept = (torch.arange(64) % 3 == 0).float()

    def project(x: torch.Tensor) -> torch.Tensor:
        return torch.fft.ifft(torch.fft.fft(x) * kept).real

    start = torch.randn(3, 64) * 1e3
    rhs = torch.zeros(3, 64)
    for iterations in (1, 5, 500):
        x = cg(project, rhs, start, iterations, axes=1)
        assert bool(x.isfinite().all())
        assert float(x.abs().max()) <= 2 * float(start.abs().max())
    assert float(project(x).abs().max()) < 0.01


def test_cg_stops_when_told() -> None:
    matrix, rhs = positive_definite(7, torch.float64), vectors(2, 7)
    seen: list[int] = []

    def stop_at_two(iteration: int, x: Tensor, residual: Tensor) -> bool:
        seen.append(iteration)
        return iteration == 2

    cg(lambda x: x @ matrix.T, rhs, torch.zeros_like(rhs), 9, 1, callback=stop_at_two)
    assert seen == [1, 2]
    start = torch.zeros_like(rhs)
    loose = cg(lambda x: x @ matrix.T, rhs, start, 50, 1, tolerance=0.3)
    assert ((rhs - loose @ matrix.T).norm(dim=1) <= 0.3 * rhs.norm(dim=1)).all()
    assert not start.any(), "the start is not overwritten"
    solved = torch.linalg.solve(matrix, rhs.T).T
    assert torch.equal(cg(lambda x: x @ matrix.T, rhs, solved, 50, 1, tolerance=1e-9), solved)


@TYPES
def test_cgls_is_the_least_squares_solution(dtype: torch.dtype) -> None:
    operator, data = random_matrix(9, 5, dtype), vectors(3, 9, dtype)
    expected = torch.linalg.lstsq(operator.matrix, data.T).solution.T
    torch.testing.assert_close(cgls(operator, data, 12), expected, rtol=1e-8, atol=1e-8)


def test_cgls_of_too_few_data_is_the_smallest_solution() -> None:
    operator, data = random_matrix(4, 9), vectors(3, 4)
    expected = data @ torch.linalg.pinv(operator.matrix).T
    torch.testing.assert_close(cgls(operator, data, 10), expected, rtol=1e-8, atol=1e-8)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 8), st.integers(1, 8), st.floats(1e-2, 10))
def test_damping_is_tikhonovs(rows: int, columns: int, damping: float) -> None:
    operator, data = random_matrix(rows, columns), vectors(2, rows)
    normal = operator.matrix.T @ operator.matrix + damping * torch.eye(columns).double()
    expected = torch.linalg.solve(normal, operator.matrix.T @ data.T).T
    torch.testing.assert_close(cgls(operator, data, 40, damping), expected, rtol=1e-6, atol=1e-6)


@settings(deadline=None, max_examples=60)
@example(4, 1, 0.0, 348)  # data nearly orthogonal to the operator's range
@given(st.integers(1, 8), st.integers(1, 8), st.sampled_from([0.0, 0.1]), st.integers(0, 1000))
def test_cgls_stays_when_it_has_arrived(rows: int, columns: int, damping: float, seed: int) -> None:
    """Rounding must not be taken for a direction, however many iterations are left."""
    operator, data = random_matrix(rows, columns), vectors(3, rows, seed=seed)
    arrived = cgls(operator, data, 100, damping)
    torch.testing.assert_close(cgls(operator, data, 300, damping), arrived, rtol=1e-6, atol=1e-6)


def test_cgls_keeps_the_problems_of_a_batch_apart() -> None:
    operator = random_matrix(9, 6)
    data = vectors(4, 9) * torch.tensor([1e-4, 1.0, 0.0, 1e4]).double()[:, None]
    together = cgls(operator, data, 3, 0.1)
    torch.testing.assert_close(together, torch.cat([cgls(operator, d[None], 3, 0.1) for d in data]), rtol=1e-10, atol=0)
    assert not together[2].any()


def test_cgls_reports_its_residual_and_stops() -> None:
    operator, data = random_matrix(9, 6), vectors(2, 9)
    before, residuals = data.clone(), []

    def stop_at_three(iteration: int, residual: Tensor) -> bool:
        residuals.append(residual.clone())
        return iteration == 3

    x = cgls(operator, data, 20, callback=stop_at_three)
    torch.testing.assert_close(residuals[-1], data - operator(x))
    norms = [float(r.norm()) for r in residuals]
    assert len(norms) == 3
    assert norms == sorted(norms, reverse=True)
    assert torch.equal(data, before)


def test_sirt_approaches_a_non_negative_solution() -> None:
    operator = Matrix(random_matrix(12, 5).matrix.abs())
    truth = torch.tensor([[0.0, 1.0, 0.0, 2.0, 0.5]]).double()
    norms: list[float] = []
    found = sirt(operator, operator(truth), 6000, lambda _, residual: norms.append(float(residual.norm())))
    torch.testing.assert_close(found, truth, rtol=1e-3, atol=1e-3)
    assert norms[-1] < 1e-4 * norms[0]


def test_sirt_lowers_its_weighted_residual_and_stays_non_negative() -> None:
    operator, data = Matrix(random_matrix(12, 5).matrix.abs()), vectors(2, 12)  # data that no image explains
    weights = 1 / operator.matrix.sum(1)
    norms: list[float] = []

    def watch(iteration: int, residual: Tensor) -> bool:
        norms.append(float((weights * residual.square()).sum()))
        return iteration == 50

    x = sirt(operator, data, 100, watch)
    assert len(norms) == 50
    assert all(after <= before * (1 + 1e-12) for before, after in pairwise(norms))
    assert norms[-1] < float((weights * data.square()).sum())
    assert (x >= 0).all()


def test_sirt_ignores_rays_that_miss_and_pixels_unseen() -> None:
    matrix = random_matrix(6, 4).matrix.abs()
    matrix[2], matrix[:, 1] = 0, 0
    x = sirt(Matrix(matrix), vectors(1, 6).abs(), 30)
    assert x.isfinite().all()
    assert float(x[0, 1]) == 0


@pytest.mark.parametrize("solve", [lambda *args: cgls(*args), lambda *args: sirt(*args)], ids=["cgls", "sirt"])
def test_slices_of_a_separable_operator_are_problems_apart(solve: Callable[..., Tensor]) -> None:
    operator = Weighting(torch.rand(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1)
    data = torch.rand(3, 4, 5).double() * torch.tensor([1e-4, 1.0, 1e4]).double()[:, None, None]
    together = solve(operator, data, 3)
    for k in range(3):
        part = slice(k, k + 1)
        torch.testing.assert_close(together[part], solve(operator.slices(part), data[part], 3), rtol=1e-10, atol=0)


def test_cgls_takes_a_batch_of_stacks() -> None:
    operator = Weighting(torch.rand(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1)
    data = torch.rand(2, 3, 4, 5).double()
    expected = torch.stack([cgls(operator, each, 3) for each in data])
    torch.testing.assert_close(cgls(operator, data, 3), expected, rtol=1e-10, atol=0)


def test_cgls_takes_coupled_slices_for_one_problem() -> None:
    """Step lengths of their own would not find the least squares."""
    operator = Coupled((3, 2, 2))
    assert (problem_axes(operator), problem_axes(Weighting(torch.ones(3, 2, 2)))) == (3, 2)
    data = draw_pair(operator, (), torch.float64, 0)[1] * torch.arange(1.0, 7).double()[:, None, None]
    expected = torch.linalg.lstsq(dense(operator, torch.float64), data.flatten()[:, None]).solution.reshape(3, 2, 2)
    torch.testing.assert_close(cgls(operator, data, 30), expected, rtol=1e-8, atol=1e-8)
    nonnegative = sirt(operator, data.abs(), 5)
    assert nonnegative.shape == (3, 2, 2)
