"""The data-consistency step: it brings an estimate to agree with the measurement, by a proximal step of the data term.

argmin ‖Ax − y‖² + λ ‖(x − x̂)/s‖² by conjugate gradients on the exact adjoint pair. λ follows from the noise by the
discrepancy principle (Morozov 1966): the largest whose residual is no more than the noise explains. Without noise it is
a small fixed share of ‖A‖², which leaves what the measurement does not see as it was.

What is wrong with an estimate lies at its edges more than between them. So the distance to it is measured in units of
the error to be expected, s, which follows from the estimate's own gradient (:func:`error_scale`): what data say against
it is put where it may well be wrong, and tells of what they did not see there.

An MR image is its magnitude times a phase that is smooth, so that k-space is nearly Hermitian once that is divided out:
a sample tells half of its mirror image's (partial Fourier imaging, Noll et al. 1991; as a penalty, Bydder & Robson
2005). x = φ (a + i b) with φ the estimate's own smoothed phase, and b, which should be nothing, costs more than a
change of a.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from physics.mr.cartesian import fft2c, ifft2c
from physics.mr.masks import calibration_width
from physics.mr.phase import smoothed_phase
from recon.scan.measurement import Measurement
from recon.solvers.bidiagonal import Axes, bidiagonalised
from recon.solvers.krylov import cg, problem_axes
from recon.solvers.slabs import in_slabs

NOISE_FREE_WEIGHT = 1e-3
"""λ / ‖A‖² for data without noise."""

ITERATIONS = 20

_WEIGHTS = tuple(10 ** (-exponent / 2) for exponent in range(-4, 9))
"""λ / ‖A‖² that the discrepancy principle chooses among, descending: 100 to 1e-4."""

LEAST_FITTED = 0.04
"""Least share of the noise power of as many data as an image has voxels, at most of all data, that some image fits. 20
iterations fitted 0.08 to 0.4 of it where the operator was right; they fitted 0.01 and less than nothing where an image
wrapped around its field of view, for which coil maps have one value a place."""

UNEXPLAINED = 2.0
"""Residual power that is allowed where no image explains the data, over the least one. Fitting them to the noise would
put noise, and the image of what is not explained, in the place of the estimate."""

PHASE_TRUST = 0.5
"""How far a k-space sample's mirror image follows its change; 1 is for a phase known exactly. Chosen on validation
scans with drawn phases, where more gains nothing, and loses where the phase is off by a few hundredths of a radian."""

_ACROSS = ((1 - PHASE_TRUST) / (1 + PHASE_TRUST)) ** 0.5
"""The unit of a change across the phase over that of one along it."""

EDGE_POWER, EDGE_FLOOR, EDGE_WINDOW = 0.25, 0.1, 5
"""Expected error: this power of the squared gradient's mean over so many pixels both ways, and that share of its mean
over the slice besides. Chosen on validation cases, CT and MR; more power gains on smooth images and loses on grainy."""

_SLAB_SLICES = 16


def enforce_data(
    measurement: Measurement,
    estimate: Tensor,
    weight: float | None = None,
    iterations: int = ITERATIONS,
    phase: Tensor | None = None,
    scale: Tensor | None = None,
) -> tuple[Tensor, float]:
    """The image nearest to an estimate that the measurement allows.

    Args:
        measurement: the measurement, of any operator.
        estimate: (z, y, x) in the operator's unit; complex for MR (see :func:`with_calibration_phase`).
        weight: λ / ‖A‖²; None by the discrepancy principle.
        iterations: the conjugate gradient iterations.
        phase: (z, y, x) of magnitude 1, that of a complex image, where it is known nearly; None takes any.
        scale: (z, y, x) how far the estimate may be off, its mean square 1; None takes the same everywhere.

    Returns:
        (z, y, x), and the weight that was used.
    """
    square = measurement.operator.norm_bound**2
    if weight is None:
        weight = discrepancy_weight(measurement, estimate, square, iterations, phase, scale)
    parts = [
        _proximal(slab, estimate[part], weight * square, iterations, _of(phase, part), _of(scale, part))
        for part, slab in in_slabs(measurement, _SLAB_SLICES)
    ]
    return torch.cat(parts), weight


def agreeing(
    measurement: Measurement, estimate: Tensor, weight: float | None = None, iterations: int = ITERATIONS
) -> Tensor:
    """As :func:`enforce_data` for any method's image: attenuation is not negative, and an MR image has a smooth phase.

    A magnitude gets one first (:func:`with_calibration_phase`); of a complex image its own is believed. Either is taken
    to be wrong at its edges above all.
    """
    scale = error_scale(estimate)
    if not measurement.y.is_complex():
        return enforce_data(measurement, estimate, weight, iterations, scale=scale)[0].clamp_min(0)
    if not estimate.is_complex():
        estimate = with_calibration_phase(measurement, estimate)
    return enforce_data(measurement, estimate, weight, iterations, smoothed_phase(estimate), scale)[0]


def error_scale(estimate: Tensor) -> Tensor:
    """How far an estimate (z, y, x) may be off, from the gradient of its magnitude; mean square 1 in each slice."""
    magnitude = estimate.abs()
    power = torch.zeros_like(magnitude)
    power[:, 1:] += magnitude.diff(dim=1).square()
    power[:, :, 1:] += magnitude.diff(dim=2).square()
    around = avg_pool2d(power[:, None], EDGE_WINDOW, 1, EDGE_WINDOW // 2, count_include_pad=False)[:, 0]
    mean = around.mean((1, 2), keepdim=True)
    scale = (around / mean.clamp_min(torch.finfo(mean.dtype).tiny) + EDGE_FLOOR).pow(EDGE_POWER)
    return scale / scale.square().mean((1, 2), keepdim=True).sqrt()


def discrepancy_weight(
    measurement: Measurement,
    estimate: Tensor,
    square: float,
    iterations: int,
    phase: Tensor | None = None,
    scale: Tensor | None = None,
) -> float:
    """The largest λ / ‖A‖² whose residual the noise, or what no image explains, allows; judged on the middle slices.

    One bidiagonalisation tells the residuals of all weights after as many iterations.

    Args:
        measurement, estimate, phase, scale: the arguments of :func:`enforce_data`.
        square: ‖A‖².
        iterations: the conjugate gradient iterations.
    """
    slabs = list(in_slabs(measurement, _SLAB_SLICES))
    part, slab = slabs[len(slabs) // 2]
    allowed = slab.noise_power
    if allowed == 0:
        return NOISE_FREE_WEIGHT
    operator, units = slab.operator, _Units(_of(phase, part), _of(scale, part))
    found = bidiagonalised(
        lambda change: operator(units.image(change)),
        lambda data: units.gradient(operator.adjoint(data)),
        slab.y - operator(units.possible(estimate[part])),
        iterations,
        Axes(problem_axes(operator), len(operator.range) - operator.separable),
    )

    least = found.residual_power(_WEIGHTS[-1] * square)
    voxels, samples = estimate[part].numel(), max(1, int(torch.count_nonzero(slab.y)))
    if least > (1 - LEAST_FITTED * min(1, voxels / samples)) * allowed:
        allowed = UNEXPLAINED * least

    def explained(weight: float) -> bool:
        return found.residual_power(weight * square) <= allowed

    return _WEIGHTS[min(bisect_left(_WEIGHTS, True, key=explained), len(_WEIGHTS) - 1)]


def _of(volume: Tensor | None, part: slice) -> Tensor | None:
    return None if volume is None else volume[part]


@dataclass(frozen=True)
class _Units:
    """The units in which a change of the estimate is measured, so that its penalty is λ times its square.

    Attributes:
        phase: φ, where it is known nearly; what a change adds across it costs more.
        scale: s, how far the estimate may be off.
    """

    phase: Tensor | None
    scale: Tensor | None

    def possible(self, estimate: Tensor) -> Tensor:
        """The part of an estimate that has the phase."""
        return estimate if self.phase is None else self.phase * (self.phase.conj() * estimate).real

    def image(self, change: Tensor) -> Tensor:
        """What a change in these units adds to the image."""
        if self.phase is not None:
            change = self.phase * torch.complex(change.real, _ACROSS * change.imag)
        return change if self.scale is None else self.scale * change

    def gradient(self, image: Tensor) -> Tensor:
        """The adjoint of :meth:`image`."""
        if self.scale is not None:
            image = self.scale * image
        if self.phase is None:
            return image
        along = self.phase.conj() * image
        return torch.complex(along.real, _ACROSS * along.imag)


def _proximal(
    slab: Measurement,
    estimate: Tensor,
    weight: float,
    iterations: int,
    phase: Tensor | None,
    scale: Tensor | None,
) -> Tensor:
    """Solved for the difference to the estimate in units that make its penalty alike, which starts at zero."""
    operator, units = slab.operator, _Units(phase, scale)
    estimate = units.possible(estimate)

    def normal(change: Tensor) -> Tensor:
        return torch.add(units.gradient(operator.gram(units.image(change))), change, alpha=weight)

    gradient = units.gradient(operator.adjoint(slab.y - operator(estimate)))
    change = cg(normal, gradient, torch.zeros_like(gradient), iterations, problem_axes(operator))
    return estimate + units.image(change)


def with_calibration_phase(measurement: Measurement, magnitude: Tensor) -> Tensor:
    """A magnitude image (z, y, x) with the phase that the fully sampled centre of k-space shows.

    Magnitude networks say nothing of the phase; that of the centre is smooth and nearly as good as the true one. Where
    the samples lie on no grid, it is the smoothed phase of Aᴴy.
    """
    operator = measurement.operator
    direct, mask = operator.adjoint(measurement.y), operator.mask
    if mask is None or mask.ndim != 2:
        return magnitude.float() * smoothed_phase(direct)
    rows, columns = mask.shape
    half = max(2, calibration_width(mask) // 2)
    window = _hann(rows, half)[:, None] * _hann(columns, half)[None]
    low = ifft2c(fft2c(direct) * window.to(measurement.y.device))
    return torch.polar(magnitude.float(), low.angle())


def _hann(size: int, half: int) -> Tensor:
    """A window of 2 · ``half`` samples around the centre of k-space at ``size // 2``."""
    distance = (torch.arange(size) - size // 2).abs() / half
    return torch.where(distance < 1, torch.cos(distance * math.pi / 2).square(), 0.0)
