"""Our CG-SENSE and L1-wavelet beside sigpy's, on one problem, in one process, alternating."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from torch import Tensor

from physics.mr.cartesian import CartesianMR, simulate_kspace
from physics.mr.coils import estimate_maps, rss
from physics.mr.masks import POISSON_CALIBRATION, make_mask
from physics.noise import ComplexGaussianNoise
from recon.methods import get_method
from recon.scan.measurement import Measurement, RunContext
from recon.solvers.slabs import zero_filled
from recon.solvers.wavelets import WaveletTransform

SHAPE, COILS, SLICES, ACCEL, NOISE = (256, 256), 8, 2, 4.0, 0.01
CG_WEIGHT, CG_ITERATIONS = 0.01, 30
WAVELET_WEIGHT, WAVELET_ITERATIONS = 0.005, 100


@dataclass(frozen=True)
class _Contest:
    """Two functions from the measurement to (z, y, x) images, and the objective both minimise."""

    name: str
    ours: Callable[[Measurement], Tensor]
    reference: Callable[[Measurement], Tensor]
    objective: Callable[[Measurement, Tensor], float]


def run(repeats: int = 3) -> list[dict[str, str | float]]:
    """Time both methods and sigpy's apps; prints the objectives that both reach.

    Returns:
        Rows ``{"name", "ours_s", "reference_s", "ratio", "agreement"}``: median seconds, reference over ours,
        and ‖ours − reference‖ / ‖reference‖ of the images.
    """
    measurement = problem()
    weight = WAVELET_WEIGHT * float(zero_filled(measurement).abs().amax())
    contests = [
        _Contest("cg-sense", _our_cg, _sigpy_cg, tikhonov_objective),
        _Contest("l1-wavelet", _our_wavelet, lambda m: _sigpy_wavelet(m, weight), _wavelet_objective(weight)),
    ]
    return [*(_row(contest, measurement, repeats) for contest in contests), _maps_row(measurement, repeats)]


def _maps_row(measurement: Measurement, repeats: int) -> dict[str, str | float]:
    """Coil sensitivity maps of one slice from the centre of its k-space, and how parallel to sigpy's they are there
    where the image is."""
    from sigpy.mri.app import EspiritCalib

    kspace, calib = measurement.y[:1], POISSON_CALIBRATION
    solvers = (
        lambda: estimate_maps(kspace, calib)[0],
        lambda: torch.from_numpy(EspiritCalib(kspace[0].numpy(), calib, crop=0, show_pbar=False).run()),
    )
    ours, theirs = (solve() for solve in solvers)  # also warms both up
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for solve, seconds in zip(solvers, times, strict=True):
            start = time.perf_counter()
            solve()
            seconds.append(time.perf_counter() - start)
    image = zero_filled(measurement)[0].abs()
    body = image > 0.1 * image.max()
    our_s, reference_s = median(times[0]), median(times[1])
    return {
        "name": "ESPIRiT",
        "ours_s": our_s,
        "reference_s": reference_s,
        "ratio": reference_s / our_s,
        "agreement": float((1 - (ours * theirs.conj()).sum(0).abs() / rss(theirs))[body].max()),
    }


def problem() -> Measurement:
    """An ellipse phantom with a phase, seen by birdcage coils, Poisson-sampled, with noise."""
    y, x = (torch.linspace(-1, 1, n) for n in SHAPE)
    image = torch.zeros(SHAPE)
    for cy, cx, ry, rx, value in ((0, 0, 0.8, 0.6, 1), (0.1, 0, 0.7, 0.5, -0.5), (-0.3, 0.2, 0.1, 0.15, 0.4)):
        image += value * ((((y - cy) / ry) ** 2)[:, None] + ((x - cx) / rx) ** 2 < 1)
    volume = torch.stack([image, image.flip(0)]) * torch.exp(1j * (x + 0.5 * y[:, None]))
    mask = make_mask("poisson", SHAPE, ACCEL).array
    maps = torch.from_numpy(coil_maps()).expand(SLICES, COILS, *SHAPE).contiguous()
    data = simulate_kspace(volume, mask, maps, ComplexGaussianNoise(NOISE), torch.Generator().manual_seed(0))
    return Measurement(data, CartesianMR(mask, maps), NOISE)


def coil_maps() -> np.ndarray:
    """(coils, y, x) sensitivities of every slice."""
    from sigpy.mri import birdcage_maps

    return np.asarray(birdcage_maps((COILS, *SHAPE)), np.complex64)


def _row(contest: _Contest, measurement: Measurement, repeats: int) -> dict[str, str | float]:
    ours, theirs = contest.ours(measurement), contest.reference(measurement)  # also warms both up
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for solve, seconds in zip((contest.ours, contest.reference), times, strict=True):
            start = time.perf_counter()
            solve(measurement)
            seconds.append(time.perf_counter() - start)
    agreement = float((ours - theirs).abs().square().sum().sqrt() / theirs.abs().square().sum().sqrt())
    objectives = [contest.objective(measurement, image) for image in (ours, theirs)]
    our_s, reference_s = (median(seconds) for seconds in times)
    print(
        f"{contest.name}: objective {objectives[0]:.6g} (sigpy {objectives[1]:.6g}), images differ by {agreement:.2g}"
    )
    return {
        "name": contest.name,
        "ours_s": our_s,
        "reference_s": reference_s,
        "ratio": reference_s / our_s,
        "agreement": agreement,
    }


def solve(measurement: Measurement, name: str, **options: float) -> Tensor:
    """The image of one of our methods."""
    method = get_method("MR", name)
    return method.run(measurement, method.options(**options), RunContext()).mean


def _our_cg(measurement: Measurement) -> Tensor:
    return solve(measurement, "cg-sense", weight=CG_WEIGHT, iterations=CG_ITERATIONS, tolerance=0.0)


def _our_wavelet(measurement: Measurement) -> Tensor:
    settings = {"weight": WAVELET_WEIGHT, "iterations": WAVELET_ITERATIONS, "tolerance": 1e-4}
    return solve(measurement, "l1-wavelet", **settings, shifts=False)  # sigpy's objective has none


def _sigpy_cg(measurement: Measurement) -> Tensor:
    from sigpy.mri.app import SenseRecon

    apps = (
        SenseRecon(data, maps, lamda=CG_WEIGHT, max_iter=CG_ITERATIONS, show_pbar=False)
        for data, maps in _slices(measurement)
    )
    return torch.from_numpy(np.stack([app.run() for app in apps]))


def _sigpy_wavelet(measurement: Measurement, weight: float) -> Tensor:
    from sigpy.mri.app import L1WaveletRecon

    apps = (
        L1WaveletRecon(data, maps, weight, max_iter=WAVELET_ITERATIONS, show_pbar=False)
        for data, maps in _slices(measurement)
    )
    return torch.from_numpy(np.stack([app.run() for app in apps]))


def _slices(measurement: Measurement) -> list[tuple[np.ndarray, np.ndarray]]:
    maps = coil_maps()
    return [(data, maps) for data in measurement.y.numpy()]


def _misfit(measurement: Measurement, image: Tensor) -> float:
    return 0.5 * float((measurement.operator(image) - measurement.y).abs().square().sum())


def tikhonov_objective(measurement: Measurement, image: Tensor) -> float:
    """½‖Ax − y‖² + ½λ‖x‖² with the weight of the contest."""
    return _misfit(measurement, image) + 0.5 * CG_WEIGHT * float(image.abs().square().sum())


def _wavelet_objective(weight: float) -> Callable[[Measurement, Tensor], float]:
    transform = WaveletTransform(SHAPE)

    def objective(measurement: Measurement, image: Tensor) -> float:
        return _misfit(measurement, image) + weight * float(sum(c.abs().sum() for c in transform.analyse(image)))

    return objective


if __name__ == "__main__":
    for row in run():
        print(row)
