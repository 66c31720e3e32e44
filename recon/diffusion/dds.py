"""Decomposed Diffusion Sampling: a few conjugate gradients on every denoised estimate.

Chung, Lee and Ye, "Decomposed Diffusion Sampler for Accelerating Large-Scale Inverse Problems" (2024). Images are
(B, C, H, W); what a data-consistency step does with them is the caller's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from recon.solvers.krylov import cg

Estimate = Callable[[Tensor, int], Tensor]
"""(x_t, t) to the noise in x_t."""

AlphaBar = Callable[[int], float]
"""Step to abar; 1 for -1, the clean end."""

Noise = Callable[[Tensor], Tensor]
"""Standard normal noise like a tensor."""

OnStep = Callable[[int, int], None]
"""Called with the steps done and all steps."""

Map = Callable[[Tensor], Tensor]


def descending_times(total: int, steps: int) -> list[int]:
    """Evenly spread steps, descending to 0; every ``total // steps``-th where that divides, as DDS takes them.

    Where it does not, the highest is still near ``total``, since the loop starts there from noise alone.

    Raises:
        ValueError: fewer than one step or more than there are.
    """
    if not 1 <= steps <= total:
        raise ValueError(f"{steps} steps of {total}; 1 to {total} are possible")
    return [number * total // steps for number in reversed(range(steps))]


def sample(
    estimate: Estimate,
    x: Tensor,
    alpha_bar: AlphaBar,
    times: Sequence[int],
    data_step: Map,
    eta: float,
    noise: Noise,
    on_step: OnStep | None = None,
) -> Tensor:
    """DDS, and DDNM with its own data-consistency step.

    Args:
        estimate: the noise estimator.
        x: (B, C, H, W) noise to start from.
        alpha_bar: the schedule's cumulative product of signal shares.
        times: descending steps, the last one 0.
        data_step: the map from a denoised image to a more data-consistent one.
        eta: share of the noise that is fresh at each step (its amplitude; not DDIM's eta).
        noise: drawn at every step but the last two, which add none.
        on_step: progress.

    Returns:
        The last estimate after its data-consistency step.
    """
    for done, (t, before) in enumerate(zip(times, [*times[1:], -1], strict=True), start=1):
        now, then = alpha_bar(t), alpha_bar(before)
        eps = estimate(x, t)
        x0 = data_step((x - math.sqrt(1 - now) * eps) / math.sqrt(now))
        if before > 0:
            fresh = eta * noise(x) + math.sqrt(1 - eta**2) * eps
            x = math.sqrt(then) * x0 + math.sqrt(1 - then) * fresh
        else:
            x = x0
        if on_step:
            on_step(done, len(times))
    return x


def least_squares_step(normal: Map, adjoint_data: Tensor, iterations: int, axes: int) -> Map:
    """Towards A*A x = A*y from the estimate, for data without noise (equation 11)."""
    return lambda x0: cg(normal, adjoint_data, x0, iterations, axes)


def proximal_step(normal: Map, adjoint_data: Tensor, gamma: float, iterations: int, axes: int) -> Map:
    """(I + gamma A*A) x = x0 + gamma A*y from the estimate, for noisy data (equation 12)."""
    return lambda x0: cg(lambda x: x + gamma * normal(x), x0 + gamma * adjoint_data, x0, iterations, axes)


@dataclass
class ZTotalVariation:
    """The data-consistency step of DDS in 3D: one step of ADMM for ½‖Ax − y‖² + lam ‖D_z x‖₁, its state carried along.

    The released step fits the data as well as its few iterations can, from the estimate on. Of noisy data that fits the
    noise, so that the distance to the estimate x0 may count too, ½ weight ‖x − x0‖², as in the step for slices
    (equation 12).

    Attributes:
        normal: A*A on (Z, C, H, W), scaled to norm 1, as rho and lam are relative to it.
        adjoint_data: A*y.
        rho: weight of the splitting.
        lam: weight of the differences along z.
        iterations: the conjugate gradient iterations, jointly over the volume.
        circular: the last slice is the first one's neighbour, as in the released code.
        weight: weight of the distance to the estimate; 0 for data without noise.
    """

    normal: Map
    adjoint_data: Tensor
    rho: float
    lam: float
    iterations: int = 5
    circular: bool = False
    weight: float = 0.0
    _split: Tensor | None = field(default=None, repr=False)
    _dual: Tensor | None = field(default=None, repr=False)

    def __call__(self, x0: Tensor) -> Tensor:
        """One step from an estimate (Z, C, H, W)."""
        split = torch.zeros_like(x0) if self._split is None else self._split
        dual = torch.zeros_like(x0) if self._dual is None else self._dual
        rhs = self.adjoint_data + self.weight * x0 + self.rho * self.adjoint_difference(split - dual)
        x = cg(self._system, rhs, x0, self.iterations, axes=4)
        difference = self.difference(x)
        self._split = soft_threshold(difference + dual, self.lam / self.rho)
        self._dual = dual + difference - self._split
        return x

    def _system(self, x: Tensor) -> Tensor:
        return self.normal(x) + self.weight * x + self.rho * self.adjoint_difference(self.difference(x))

    def difference(self, x: Tensor) -> Tensor:
        """To the next slice; of the last one 0, or to the first."""
        step = x.roll(-1, 0) - x
        if not self.circular:
            step[-1] = 0
        return step

    def adjoint_difference(self, step: Tensor) -> Tensor:
        """The adjoint of :meth:`difference`."""
        if not self.circular:
            step = step.clone()
            step[-1] = 0
        return step.roll(1, 0) - step


def soft_threshold(x: Tensor, threshold: float) -> Tensor:
    """Shrink magnitudes by ``threshold``."""
    return x.sign() * (x.abs() - threshold).clamp_min(0)


def released_complex_step(normal: Map, adjoint_data: Tensor, gamma: float, iterations: int) -> Map:
    """The released code's step for MR with noise, its defects included, for comparison with its output alone.

    Its conjugate gradients leave out the conjugate, and its right-hand side turns the data: x0 + (1 + i) gamma A*y.
    Complex images (…, H, W), each for itself.
    """
    rhs_data = (1 + 1j) * gamma * adjoint_data
    return lambda x0: unconjugated_cg(lambda x: x + gamma * normal(x), x0 + rhs_data, x0, iterations)


def unconjugated_cg(apply: Map, rhs: Tensor, x: Tensor, iterations: int, tolerance: float = 1e-5) -> Tensor:
    """Conjugate gradients with rᵀr in place of rᴴr, as the released code has them, over the last two axes."""

    def product(one: Tensor, other: Tensor) -> Tensor:
        return (one * other).sum((-2, -1), keepdim=True)

    residual = rhs - apply(x)
    direction, power = residual, product(residual, residual)
    for _ in range(iterations):
        image = apply(direction)
        step = power / product(direction, image)
        x, residual = x + step * direction, residual - step * image
        new = product(residual, residual)
        if float(new.abs().sqrt().max()) < tolerance:
            break
        direction, power = residual + new / power * direction, new
    return x
