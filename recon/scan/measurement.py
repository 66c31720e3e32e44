"""What a method gets and what it gives. A method sees the measurement and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from physics.noise import Sigma
from physics.operator import LinearOperator
from recon.scan.volume import Volume, shape_text


@dataclass(frozen=True)
class ProgressEvent:
    """One step of a run, for whoever shows how far it is.

    Attributes:
        stage: what is being done, in words, such as "iterations" or "data step 3 of 5"; empty: the method as a whole. A
            run puts the method's name before it: "TV: iterations".
        done: steps of this stage that are done.
        total: steps of this stage.
        residual: relative data residual ‖Ax − y‖/‖y‖ after this step; None where the step does not compute one.
    """

    stage: str
    done: int
    total: int
    residual: float | None = None


_ROUNDING = 1e-6
"""A noise variance below this share of all variance is rounding."""

Progress = Callable[[ProgressEvent], None]
"""Called after each step of a run."""


def no_progress(event: ProgressEvent) -> None:
    """The progress callback that shows nothing."""


@dataclass(frozen=True)
class Protocol:
    """How data came to be, in words for the report and in plain values for ``result.json``. Never the ground truth.

    Attributes:
        sentences: the protocol in words.
        notices: what the reader of a result must know ("simulated from magnitude", warnings about the input).
        geometry: CT: the geometry as plain values.
        mask: MR: kind, nominal acceleration, calibration, seed.
        true_acceleration: MR: points of k-space over samples.
        noise: plain values; None for noise-free data.
        model_error: ‖y − Ax‖/‖y‖ that the ground truth x would leave without noise, since no operator A is the
            scanner; None where it is not known.
        simulation: how data were simulated, ``"ideal"`` or ``"continuous"``; None for measured data, or where it is
            not known.
        coils: MR: number of receive coils; None where it is not known.
    """

    sentences: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    geometry: dict[str, Any] | None = None
    mask: dict[str, Any] | None = None
    true_acceleration: float | None = None
    noise: dict[str, Any] | None = None
    model_error: float | None = None
    simulation: str | None = None
    coils: int | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Measurement:
    """Data and the operator that explains them. Two measurements are equal only if they are the same object.

    Attributes:
        y: CT: (z, views, cells) line integrals of attenuation, dimensionless.
            MR: (z, coils, y, x) complex k-space, zero where not sampled.
        operator: operator that maps (z, y, x) images to ``y`` (CT: attenuation in 1/mm; MR: complex image).
        sigma: standard deviation of what the operator does not explain of the data, noise and model error together: CT,
            (z, views, cells) or a number, in line integrals; MR: a number, per complex sample, E|n|² = sigma². None
            where nothing is known of it.
        model_error: standard deviation of the model error, which ``sigma`` includes, in the same form; None where it is
            nothing or unknown.
        finer: (z, y, x) estimate of the image on a grid finer than the operator's, which told what of the model error
            was taken off ``y``, in the unit of the images; None where there is none.
        spacing: voxel size (z, y, x) in mm of the images, for methods that work in 3D.
        protocol: how the data came to be.
    """

    y: Tensor
    operator: LinearOperator
    sigma: Sigma = None
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    protocol: Protocol = field(default_factory=Protocol)
    model_error: Sigma = None
    finer: Tensor | None = None

    def __repr__(self) -> str:
        """Kind, shapes and deviation in one line, without the data."""
        kind, axes = ("MR", "(z, coils, y, x)") if self.y.is_complex() else ("CT", "(z, views, cells)")
        axes = axes if self.operator.separable or kind == "MR" else "(rows, views, cells)"
        sigma = "unknown" if self.sigma is None else f"{self.noise_level:.3g}"
        image = shape_text(self.operator.domain)
        return f"<{kind} measurement, {shape_text(self.y.shape)} {axes}, of {image} voxels, sigma {sigma}>"

    def slices(self, part: slice) -> Measurement:
        """The measurement of some slices alone; ``ValueError`` if the operator couples them."""
        return replace(
            self,
            y=self.y[part],
            operator=self.operator.slices(part),
            sigma=self._of(self.sigma, part),
            model_error=self._of(self.model_error, part),
            finer=None if self.finer is None else self.finer[part],
        )

    def _of(self, deviation: Sigma, part: slice) -> Sigma:
        """A standard deviation of some slices alone."""
        if isinstance(deviation, Tensor) and deviation.ndim:
            return deviation.expand(self.y.shape)[part]
        return deviation

    @property
    def noise_free(self) -> bool:
        """Whether the data are known to be without noise and model error, and not only of unknown noise."""
        return self.sigma is None and self.protocol.simulation == "ideal"

    @property
    def noise_level(self) -> float:
        """Root mean square of sigma over the measured data; 0 where nothing is known of it."""
        return self._mean_variance(self.sigma) ** 0.5

    @property
    def model_error_variance(self) -> float:
        """Mean variance of the model error; 0 where it is nothing or unknown."""
        return self._mean_variance(self.model_error)

    @property
    def noise_variance(self) -> float | None:
        """Mean variance of the noise alone, without the model error; None where no noise is known."""
        total = self._mean_variance(self.sigma)
        noise = total - self.model_error_variance
        return noise if noise > _ROUNDING * total else None

    @property
    def noisy(self) -> bool:
        """Whether noise, and not model error, is what the operator does not explain of the data."""
        noise = self.noise_variance
        return noise is not None and noise > self.model_error_variance

    def _mean_variance(self, deviation: Sigma) -> float:
        """Mean square of a standard deviation over the measured data; 0 of None."""
        if deviation is None:
            return 0.0
        variance, mask = _variance(deviation), self.operator.mask
        if variance.ndim and mask is not None:
            variance = variance.expand(self.y.shape)[mask.expand(self.y.shape)]
        return float(variance.mean())

    @property
    def noise_power(self) -> float:
        """E‖n‖² of all measured data, the ‖Ax − y‖² that the ground truth itself would leave; 0 where it is unknown."""
        if self.sigma is None:
            return 0.0
        variance, mask = _variance(self.sigma), self.operator.mask
        if variance.ndim == 0:
            return float(variance) * (self.y.numel() if mask is None else int(mask.expand(self.y.shape).sum()))
        variance = variance.expand(self.y.shape)
        return float(variance.sum() if mask is None else variance[mask.expand(self.y.shape)].sum())


def _variance(deviation: Tensor | float) -> Tensor:
    return torch.as_tensor(deviation, dtype=torch.float64).square()


@dataclass(frozen=True, repr=False)
class Scan:
    """A measurement with the volumes that belong to it, which methods do not see.

    Attributes:
        measurement: data and their operator.
        grid: volume on whose grid the result is; its data are not looked at.
        truth: ground truth on that grid, or None where there is none.
    """

    measurement: Measurement
    grid: Volume
    truth: Volume | None

    def __repr__(self) -> str:
        """The measurement and whether there is a ground truth, in one line."""
        return f"<scan of {self.measurement!r}, {'with' if self.truth else 'without'} ground truth>"


@dataclass(frozen=True)
class TracePoint:
    """One point of a convergence curve: relative data residual ‖Ax − y‖/‖y‖ after an iteration."""

    iteration: int
    residual: float


@dataclass(frozen=True)
class Reconstruction:
    """A method's answer.

    Attributes:
        mean: (z, y, x). CT: attenuation in 1/mm. MR: complex image (or its magnitude).
        std: voxelwise standard deviation in the unit of ``mean``, or None.
        trace: convergence, empty for direct methods.
        weights: hash of each trained network that took part, by name, those included that made the images which it was
            shown; None for methods without.
        notices: what the reader of the result must know, such as that a network was not made for the scan, or was
            trained with other weights.
    """

    mean: Tensor
    std: Tensor | None = None
    trace: tuple[TracePoint, ...] = ()
    weights: dict[str, str] | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunContext:
    """What a run gives a method besides its data.

    Attributes:
        generator: the generator of the run's randomness.
        progress: the callback that is told the run's progress.
        device: the device on which the run computes.
        before: the answer of NAME to the same measurement and options, for ``NAME+dc``, where it is known already.
    """

    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))
    progress: Progress = no_progress
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    before: Reconstruction | None = None

    def report(self, stage: str, done: int, total: int, residual: float | None = None) -> None:
        """Tell the run's progress; arguments as for :class:`ProgressEvent`."""
        self.progress(ProgressEvent(stage, done, total, residual))

    def under(self, heading: str) -> RunContext:
        """The same run for a part of it, whose stages are told under a heading: "TV image: iterations"."""

        def told(event: ProgressEvent) -> None:
            stage = f"{heading}: {event.stage}" if event.stage else heading
            self.progress(replace(event, stage=stage))

        return replace(self, progress=told)
