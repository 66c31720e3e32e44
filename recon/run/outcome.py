"""One reconstruction with everything that is known about it; files and reports are functions of it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

import torch
from torch import Tensor

from recon.acquisition.mr import image_of
from recon.diffusion.calibration import coverage
from recon.errors import InputError, RunError
from recon.methods import get_method, parse_options
from recon.methods.method import Method, method_label
from recon.metrics import METRICS, evaluate
from recon.options import Options, all_values, plain
from recon.run.choose import AUTO, choose_method
from recon.run.devices import describe_device
from recon.run.memory import memory_errors, run_bytes
from recon.run.residual import Residual, notice_of, residual_of
from recon.scan.measurement import Measurement, Progress, Reconstruction, RunContext, no_progress
from recon.scan.units import CTUnit, attenuation_in
from recon.scan.volume import Modality, Volume
from recon.solvers.seen import only_seen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from recon.run.plot import Views

BASELINES: dict[Modality, str] = {"CT": "fbp", "MR": "zero-filled"}
"""The direct method that every result of a modality stands beside."""

CONE_BASELINE = "fdk"
"""The direct method of CT whose rays cross the slices."""

TASKS: dict[Modality, str] = {"CT": "svct", "MR": "mri"}
CONVENTION = "primary"
"""Name of the metric convention of :mod:`recon.metrics` in ``result.json``."""


@dataclass(frozen=True, repr=False)
class Outcome:
    """What a run produced.

    Attributes:
        method: name of the method.
        settings: options that the user set, as plain values.
        measurement: data that the method saw.
        result: (z, y, x) volume on the input's grid: HU, or magnitude.
        baseline: result of the direct method, on the same grid.
        std: voxelwise standard deviation, or None.
        trace: convergence (iteration, relative data residual).
        metrics, baseline_metrics: figures by name; None where undefined.
        truth: ground truth that the metrics compare with, or None.
        seconds: time of the method alone.
        seed: seed of all randomness.
        device: device in words.
        notices: what the reader must know about the input, the choice of the method and its networks.
        weights: hash of each trained network that took part, by name; None for methods without.
        answer: the method's own answer, in the operator's unit.
        unit: unit of a CT ``result`` and what stands beside it; "" for MR.
        residual: residual of the method's answer.
        resolved: all options of the method with their values, defaults too; None stands for "auto".
        coverage: the share of the patient's voxels with the ground truth in the interval of each nominal level, where
            there are a standard deviation and a ground truth.
    """

    method: str
    settings: dict[str, Any]
    measurement: Measurement
    result: Volume
    baseline: Volume
    std: Volume | None
    trace: list[tuple[int, float]]
    metrics: dict[str, float | None]
    baseline_metrics: dict[str, float | None]
    truth: Volume | None
    seconds: float
    seed: int
    device: str
    notices: tuple[str, ...] = field(default=())
    weights: dict[str, str] | None = None
    answer: Reconstruction | None = None
    coverage: dict[float, float] = field(default_factory=dict)
    unit: str = ""
    residual: Residual = field(default_factory=lambda: Residual(math.nan))
    resolved: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Task, method, figures and time in one line, without the data."""
        known = {key: METRICS[key].text(value) for key, value in self.metrics.items() if value is not None}
        figures = "".join(f", {key} {known[key]}" for key in ("psnr", "ssim", "residual") if key in known)
        return f"<{TASKS[self.modality]} by {self.method}{figures}, {self.seconds:.1f} s, {self.result!r}>"

    def _repr_html_(self) -> str:
        """The result beside the direct method and the ground truth, with the figures: what a notebook shows."""
        from recon.run.plot import views_html

        facts = [_figures_line(self.method, self.metrics)]
        if self.method != self.baseline_method:
            facts.append(_figures_line(self.baseline_method, self.baseline_metrics))
        facts += [f"{self.seconds:.1f} s on {self.device}", *self.all_notices, "Research only, not for diagnosis."]
        return views_html(self._views(), facts)

    def plot(self, plane: str = "axial", index: int | None = None) -> Figure:
        """A figure of matplotlib: ground truth, direct method, result, and the errors below where there is a truth.

        Args:
            plane: axial, coronal or sagittal.
            index: slice of the volume, counted along the plane's axis from 0; None takes the middle one.

        Raises:
            InputError: no such plane or slice, or matplotlib is not installed.
        """
        from recon.run.plot import plot_views

        return plot_views(self._views(), plane, index)

    def _views(self) -> Views:
        from recon.run.plot import Views

        images = {} if self.method == self.baseline_method else {self.baseline_method: self.baseline}
        images |= {self.method: self.result}
        return Views(
            truth=None if self.truth is None else self.truth.data.numpy(),
            reconstructions={method_label(name): volume.data.numpy() for name, volume in images.items()},
            spacing=self.result.spacing,
            in_hu=self.unit == "HU",
        )

    @property
    def modality(self) -> Modality:
        """CT or MR."""
        return self.result.modality

    @property
    def baseline_method(self) -> str:
        """Name of the direct method."""
        return baseline_of(self.measurement)

    @property
    def all_notices(self) -> tuple[str, ...]:
        """Notices about the input, the choice of the method and the measurement, each once."""
        return tuple(dict.fromkeys((*self.notices, *self.measurement.protocol.notices)))


def _figures_line(method: str, metrics: dict[str, float | None]) -> str:
    """A method's main figures in one line, that of soft tissue first."""
    chosen = ("psnr_soft_tissue", "psnr", "ssim", "residual")
    known = [(METRICS[key], value) for key in chosen if (value := metrics.get(key)) is not None]
    return f"{method_label(method)}: " + ", ".join(f"{metric.heading} {metric.text(value)}" for metric, value in known)


def baseline_of(measurement: Measurement) -> str:
    """Name of the direct method that results of a measurement stand beside."""
    if measurement.y.is_complex():
        return BASELINES["MR"]
    return BASELINES["CT"] if measurement.operator.separable else CONE_BASELINE


def reconstruct(
    measurement: Measurement,
    grid: Volume,
    method: str = AUTO,
    *,
    truth: Volume | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
    notices: tuple[str, ...] = (),
    before: Reconstruction | None = None,
    unit: CTUnit = "HU",
) -> Outcome:
    """Run a method and the direct method of its modality, and score both.

    Args:
        measurement: data that the methods see.
        grid: a volume on the grid of the result (the input, or an empty one); its data are not looked at.
        method: name of the method; ``auto`` takes meddiffusion where an installed head was trained for such a scan, or
            where `weights` or `prior` are set, else tv, and the outcome's notices say why.
        truth: ground truth to compare with; only the metrics see it.
        settings: options of the method, Python values or text; ``recon methods NAME`` lists them.
        seed: seed of the method's randomness.
        progress: called after each step.
        notices: what the reader must know besides what the grid's and the ground truth's own notices say.
        before: the answer of the method before a data-consistency step, see :class:`recon.scan.measurement.RunContext`.
        unit: unit of the result of a measured CT scan; everything else is in HU or a magnitude.

    Raises:
        InputError: no such method or option, volumes that do not go with the measurement, or a scan that needs more
            memory than is free.
        RunError: the method ended in NaN or infinity, or memory ran out.
    """
    _check_volumes(measurement, grid, truth)
    _check_unit(unit, grid, truth)
    settings = settings or {}
    method, why = choose_method(method, measurement, grid.modality, settings)
    chosen = get_method(grid.modality, method)
    options = parse_options(chosen, settings)
    _check_coupling(chosen, method, measurement)
    device = measurement.y.device
    context = RunContext(torch.Generator().manual_seed(seed), progress, device, before).under(method_label(method))
    with memory_errors(run_bytes(measurement, grid, method)):
        answer, seconds = _run(chosen, method, measurement, options, context)
        result, metrics, residual = _assess(measurement, answer, grid, truth, unit)
        baseline, baseline_metrics = result, metrics
        direct_method = baseline_of(measurement)
        if method != direct_method:
            direct = _direct(measurement, grid.modality, direct_method, seed)
            baseline, baseline_metrics, _ = _assess(measurement, direct, grid, truth, unit)
        std = None if answer.std is None else grid.like(_std_in_units(answer.std, grid, unit).cpu())
        held = _held(truth, result, std)
    if held:
        metrics |= {"coverage_90": held[0.9]}
    return Outcome(
        method=method,
        settings=plain(options),
        measurement=measurement,
        result=result,
        baseline=baseline,
        std=std,
        trace=[(point.iteration, point.residual) for point in answer.trace],
        metrics=metrics,
        baseline_metrics=baseline_metrics,
        truth=truth,
        seconds=seconds,
        seed=seed,
        device=describe_device(device),
        notices=tuple(
            dict.fromkeys(
                (
                    *(*grid.notices, *(truth.notices if truth else ()), *notices, *why, *answer.notices),
                    *(() if method == direct_method else notice_of(residual, measurement.noisy)),
                )
            )
        ),
        weights=answer.weights,
        answer=answer,
        coverage=held,
        unit=unit if grid.modality == "CT" else "",
        residual=residual,
        resolved=all_values(options),
    )


def _check_volumes(measurement: Measurement, grid: Volume, truth: Volume | None) -> None:
    """:class:`InputError` if the volumes are not on the measurement's slices or of its modality."""
    measured = "MR" if measurement.y.is_complex() else "CT"
    if grid.modality != measured:
        raise InputError(f"`grid`: a volume of {grid.modality}, but the measurement is {measured}")
    slices = measurement.operator.domain[0]
    if grid.data.shape[0] != slices:
        raise InputError(f"`grid`: {grid.data.shape[0]} slices, but the measurement has {slices}")
    if truth is not None and truth.data.shape != grid.data.shape:
        shapes = [" x ".join(map(str, volume.data.shape)) for volume in (truth, grid)]
        raise InputError(f"`truth`: {shapes[0]} voxels (z, y, x), but the grid of the result has {shapes[1]}")


def _check_coupling(chosen: Method, name: str, measurement: Measurement) -> None:
    """:class:`InputError` if the method works slice by slice, or on crossing rays alone, and the scan does not."""
    if measurement.y.is_complex():
        return
    if not measurement.operator.separable and (chosen.slices or chosen.weights is not None):
        raise InputError(
            f"`method` {name}: works slice by slice, and the rays of a cone beam cross the slices; use fdk, tv, cgls, "
            "sirt, os-sirt or sart"
        )
    if measurement.operator.separable and chosen.crossing:
        raise InputError(f"`method` {name}: is for cone beams; for parallel and fan beams use fbp")


def _run(
    chosen: Method, name: str, measurement: Measurement, options: Options, context: RunContext
) -> tuple[Reconstruction, float]:
    """The method's answer and how many seconds it took."""
    started = time.perf_counter()
    answer = chosen.run(measurement, options, context)
    if answer.weights is not None:
        answer = only_seen(measurement, answer)
    seconds = time.perf_counter() - started
    if not torch.isfinite(torch.view_as_real(answer.mean) if answer.mean.is_complex() else answer.mean).all():
        raise RunError(f"`method` {name}: ended in NaN or infinity; milder settings (`settings`) may help")
    return answer, seconds


def _direct(measurement: Measurement, modality: Modality, name: str, seed: int) -> Reconstruction:
    """The answer of the direct method."""
    direct = get_method(modality, name)
    return direct.run(
        measurement, direct.options(), RunContext(torch.Generator().manual_seed(seed), device=measurement.y.device)
    )


def _held(truth: Volume | None, result: Volume, std: Volume | None) -> dict[float, float]:
    """See :attr:`Outcome.coverage`."""
    if truth is None or std is None:
        return {}
    found = coverage(truth.data.numpy(), result.data.numpy(), std.data.numpy(), truth.modality)
    return {level: share for level, share in found.items() if math.isfinite(share)}


def _check_unit(unit: str, grid: Volume, truth: Volume | None) -> None:
    """:class:`InputError` for a unit that the result cannot have."""
    if unit not in get_args(CTUnit):
        raise InputError(f"`unit` {unit}: must be one of {', '.join(get_args(CTUnit))}")
    if unit != "HU" and (truth is not None or grid.modality != "CT"):
        raise InputError(f"`unit` {unit}: is for measured CT; a result that stands beside a ground truth has its unit")


def _assess(
    measurement: Measurement, answer: Reconstruction, grid: Volume, truth: Volume | None, unit: CTUnit
) -> tuple[Volume, dict[str, float | None], Residual]:
    """The reconstruction as a volume in the user's units, its metrics, and its residual."""
    residual = residual_of(measurement, answer.mean)
    figure: dict[str, float | None] = {"residual": residual.relative if math.isfinite(residual.relative) else None}
    volume = grid.like(_in_units(answer.mean, grid, unit).cpu())
    if truth is None:
        return volume, {"psnr": None, "ssim": None} | figure, residual
    scores: dict[str, Any] = evaluate(truth.data.numpy(), volume.data.numpy(), grid.modality)
    return volume, scores | figure, residual


def _in_units(mean: Tensor, grid: Volume, unit: CTUnit) -> Tensor:
    if grid.modality == "CT":
        return attenuation_in(unit, mean, grid.spacing[2])
    return image_of(mean, (grid.data.shape[1], grid.data.shape[2]))


def _std_in_units(std: Tensor, grid: Volume, unit: CTUnit) -> Tensor:
    return _in_units(std, grid, unit) - _in_units(torch.zeros_like(std), grid, unit)
