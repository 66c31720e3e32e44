"""DOLCE: a conditional diffusion model whose every noisy image is drawn towards the data.

Liu et al., "DOLCE: A Model-Based Probabilistic Diffusion Framework for Limited-Angle CT Reconstruction" (2023).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from recon.diffusion.dds import AlphaBar, Estimate, Map, Noise, OnStep
from recon.solvers.krylov import cg

DataStep = Callable[[Tensor, int], Tensor]
"""(x_{t-1}, number of the step from 0 at the clean end) to an image that agrees better with the data."""


def respaced_times(total: int, steps: int) -> list[int]:
    """Every ``total // steps``-th step from 0, descending (``ddim40`` for 40)."""
    if not 1 <= steps <= total or total % steps:
        raise ValueError(f"{steps} steps of {total}; a divisor of it is wanted")
    return list(range(0, total, total // steps))[::-1]


def sample(
    estimate: Estimate,
    x: Tensor,
    alpha_bar: AlphaBar,
    times: Sequence[int],
    data_step: DataStep,
    noise: Noise,
    limits: tuple[float, float] = (0.0, 1.0),
    field_of_view: Tensor | None = None,
    eta: float = 1.0,
    on_step: OnStep | None = None,
) -> Tensor:
    """DOLCE with DDIM steps.

    Args:
        estimate: the noise estimator under the condition.
        x: (B, C, H, W) noise to start from.
        alpha_bar: the schedule's cumulative product of signal shares; before the last of ``times`` it is 1.
        times: descending steps.
        data_step: the data-consistency step, see :data:`DataStep`.
        noise: drawn at every step.
        limits: the limits of an image's values.
        field_of_view: factor on estimates, 1 inside; None is 1 everywhere.
        eta: DDIM's.
        on_step: progress.
    """
    for done, (t, before) in enumerate(zip(times, [*times[1:], -1], strict=True), start=1):
        x = ddim_step(x, estimate(x, t), alpha_bar(t), alpha_bar(before), noise(x), limits, field_of_view, eta)
        x = data_step(x, len(times) - done)
        if on_step:
            on_step(done, len(times))
    return x


def ddim_step(
    x: Tensor,
    eps: Tensor,
    now: float,
    then: float,
    noise: Tensor,
    limits: tuple[float, float],
    field_of_view: Tensor | None,
    eta: float,
) -> Tensor:
    """x_{t-1} from x_t: the estimate masked and clamped, the noise derived from it anew, DDIM."""
    x0 = (x - math.sqrt(1 - now) * eps) / math.sqrt(now)
    if field_of_view is not None:
        x0 = limits[0] + (x0 - limits[0]) * field_of_view
    x0 = x0.clamp(*limits)
    eps = (x - math.sqrt(now) * x0) / math.sqrt(1 - now)
    sigma = eta * math.sqrt((1 - then) / (1 - now)) * math.sqrt(1 - now / then)
    mean = math.sqrt(then) * x0 + math.sqrt(max(0.0, 1 - then - sigma**2)) * eps
    return mean + sigma * noise if then < 1 else mean


def conjugate_gradient_step(
    normal: Map, adjoint_data: Tensor, lam: float, iterations: int = 100, axes: int = 2
) -> DataStep:
    """argmin ‖Ax − y‖² + lam ‖x − z‖² from zero, as the released scripts use it (``cgrad``)."""

    def step(z: Tensor, number: int) -> Tensor:
        rhs = adjoint_data + lam * z
        return cg(lambda x: normal(x) + lam * x, rhs, torch.zeros_like(z), iterations, axes, tolerance=1e-7)

    return step


def accelerated_gradient_step(
    normal: Map, adjoint_data: Callable[[int], Tensor], steps: int, rate: float, iterations: int = 30
) -> DataStep:
    """Accelerated proximal gradients with a pull back to z that grows towards the clean end (``apgm``).

    Args:
        normal: A*A.
        adjoint_data: the map from the number of a step to A* of the data, noised as an image of that step would be.
        steps: the steps of the sampler, from which the pull follows: 1 − exp(−(steps − number) / (8 · steps)).
        rate: the rate of the gradient steps.
        iterations: the number of gradient steps.
    """

    def step(z: Tensor, number: int) -> Tensor:
        pull = 1 - math.exp(-(steps - number) / (8 * steps))
        data = adjoint_data(number)
        x, ahead, momentum = z, z, 1.0
        for _ in range(iterations):
            new = ahead - rate * (normal(ahead) - data) - pull * (ahead - z)
            following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            ahead = new + (momentum - 1) / following * (new - x)
            x, momentum = new, following
        return x

    return step
