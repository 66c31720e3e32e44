"""Our transform, coil maps, CG-SENSE and L1-wavelet beside BART's command line and sigpy, on one problem, alternating.

BART's times are those of its processes, with the reading and writing of their files; both sides have as many threads.
Without BART there are no rows of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from benchmarks.speed import mri
from physics.mr.coils import estimate_maps, rss
from physics.mr.masks import POISSON_CALIBRATION
from physics.mr.non_cartesian import NonCartesian
from physics.mr.sampled_plane import SampledPlane
from physics.mr.trajectories import radial
from recon.scan.measurement import Measurement

SPOKES, SPARSITY_ITERATIONS = 64, 50
Row = dict[str, str | float]


@dataclass(frozen=True)
class _Side:
    """One implementation: prepares nothing and returns a tensor that can be compared."""

    name: str
    solve: Callable[[], Tensor]


def run(repeats: int = 3) -> list[Row]:
    """Rows ``{"name", "ours_s", "reference_s", "ratio", "agreement", "objective", "reference_objective"}``: median
    seconds, reference over ours, ‖ours − reference‖ / ‖reference‖, and where both minimise one, the objectives."""
    if shutil.which("bart") is None:
        print("bart: not installed, no comparison (Debian's package bart)")
        return []
    grid = mri.problem().slices(slice(0, 1))
    spokes = along_spokes(grid)
    with tempfile.TemporaryDirectory() as folder:
        bart = _Bart(Path(folder), grid, spokes)
        return [
            _transform(bart, spokes, repeats),
            _coil_maps(bart, grid, repeats),
            *_least_squares("cg-sense", grid, bart, (), repeats),
            *_least_squares("cg-sense radial", spokes, bart, ("-t", "trajectory"), repeats),
            _sparsity(bart, spokes, repeats),
        ]


def along_spokes(grid: Measurement) -> Measurement:
    """The phantom of a measurement on a grid, along spokes, with the same maps and noise."""
    image, maps = grid.operator.adjoint(grid.y), getattr(grid.operator, "coil_maps")  # noqa: B009 - of CartesianMR
    trajectory = radial(SPOKES, 2 * max(mri.SHAPE))
    operator = NonCartesian(trajectory, mri.SHAPE, maps)
    clean = operator(image)
    noise = torch.randn(clean.shape, dtype=clean.dtype, generator=torch.Generator().manual_seed(1))
    return Measurement(clean + mri.NOISE * noise, operator, mri.NOISE)


class _Bart:
    """BART's commands in a folder that holds the two problems."""

    def __init__(self, folder: Path, grid: Measurement, spokes: Measurement) -> None:
        self.folder = folder
        trajectory = radial(SPOKES, 2 * max(mri.SHAPE))
        points = np.zeros((3, *trajectory.shape[1::-1]))
        points[:2] = (trajectory * torch.tensor(mri.SHAPE)).permute(2, 1, 0).numpy()
        self._write("trajectory", points)
        self._write("kspace", _bart_order(grid.y[0]))
        self._write("maps", _bart_order(mri.coil_maps()))
        self._write("spokes", spokes.y[0].permute(2, 1, 0)[None].numpy())

    def call(self, *arguments: object) -> Tensor:
        """Runs a command whose last argument names its result, which is returned."""
        threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
        command = ["bart", *map(str, arguments)]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, env=os.environ | threads)
        return self._read(str(arguments[-1]))

    def image(self, *arguments: object) -> Tensor:
        """(1, y, x) image of a command."""
        return self.call(*arguments).reshape(1, *mri.SHAPE)

    def write_image(self, name: str, image: Tensor) -> None:
        """An image (y, x) as a file."""
        self._write(name, image.numpy()[..., None])

    def _write(self, name: str, array: np.ndarray) -> None:
        (self.folder / f"{name}.hdr").write_text(f"# Dimensions\n{' '.join(map(str, array.shape))}\n")
        array.astype(np.complex64).ravel(order="F").tofile(self.folder / f"{name}.cfl")

    def _read(self, name: str) -> Tensor:
        lines = (self.folder / f"{name}.hdr").read_text().splitlines()
        shape = [int(word) for word in lines[lines.index("# Dimensions") + 1].split()]
        values = np.fromfile(self.folder / f"{name}.cfl", "<c8").reshape(shape, order="F")
        return torch.from_numpy(np.ascontiguousarray(values))


def _bart_order(coils: Tensor | np.ndarray) -> np.ndarray:
    """(coils, y, x) as (y, x, 1, coils)."""
    return np.asarray(coils).transpose(1, 2, 0)[:, :, None]


def _transform(bart: _Bart, spokes: Measurement, repeats: int) -> Row:
    image = spokes.operator.adjoint(spokes.y)[0]
    bart.write_image("image", image)
    plane = SampledPlane(radial(SPOKES, 2 * max(mri.SHAPE)), mri.SHAPE)
    return _row(
        "NUFFT",
        _Side("ours", lambda: plane.forward(image[None])[0]),
        _Side("bart nufft", lambda: bart.call("nufft", "trajectory", "image", "out").reshape(-1, SPOKES).T),
        repeats,
    )


def _coil_maps(bart: _Bart, grid: Measurement, repeats: int) -> Row:
    calib = POISSON_CALIBRATION
    ours = _Side("ours", lambda: estimate_maps(grid.y, calib)[0])
    theirs = _Side(
        "bart ecalib",
        lambda: (
            bart.call("ecalib", "-m1", "-c0", f"-r{calib}", "kspace", "out").reshape(*mri.SHAPE, -1).permute(2, 0, 1)
        ),
    )
    row, (found, reference) = _timed(ours, theirs, repeats)
    image = grid.operator.adjoint(grid.y)[0].abs()
    body = image > 0.1 * image.max()
    parallel = (found * reference.conj()).sum(0).abs() / (rss(found) * rss(reference)).clamp_min(1e-9)
    return row | {"name": "ESPIRiT (bart ecalib)", "agreement": float((1 - parallel)[body].max())}


def _least_squares(name: str, measurement: Measurement, bart: _Bart, along: tuple[str, ...], repeats: int) -> list[Row]:
    """CG-SENSE with as many iterations of each; sigpy's only along spokes, since its other row is on the grid."""
    count, weight = mri.CG_ITERATIONS, mri.CG_WEIGHT
    data = "spokes" if along else "kspace"
    options = ("-l2", "-r", weight, "-i", count, "-w", 1, *along)
    ours = _Side("ours", lambda: mri.solve(measurement, "cg-sense", weight=weight, iterations=count, tolerance=0.0))
    sides = [_Side("bart pics", lambda: bart.image("pics", *options, data, "maps", "out"))]
    if along:
        sides.append(_Side("sigpy", lambda: _sigpy(measurement)))
    return [_row(name, ours, side, repeats, lambda image: mri.tikhonov_objective(measurement, image)) for side in sides]


def _sigpy(measurement: Measurement) -> Tensor:
    from sigpy.mri.app import SenseRecon

    points = (radial(SPOKES, 2 * max(mri.SHAPE)) * torch.tensor(mri.SHAPE)).numpy()
    app = SenseRecon(
        measurement.y[0].numpy(),
        mri.coil_maps(),
        lamda=mri.CG_WEIGHT,
        coord=points,
        max_iter=mri.CG_ITERATIONS,
        show_pbar=False,
    )
    return torch.from_numpy(np.asarray(app.run()))[None]


def _sparsity(bart: _Bart, spokes: Measurement, repeats: int) -> Row:
    """As many iterations of FISTA; the wavelets differ (db4 here, dau2 there), and so do the optima a little."""
    peak = float(spokes.operator.direct(spokes.y).abs().amax())
    settings = {"weight": mri.WAVELET_WEIGHT, "iterations": SPARSITY_ITERATIONS, "tolerance": 0.0}
    options = ("-l1", "-r", mri.WAVELET_WEIGHT * peak, "-i", SPARSITY_ITERATIONS, "-e", "-w", 1, "-t", "trajectory")
    return _row(
        "l1-wavelet radial",
        _Side("ours", lambda: mri.solve(spokes, "l1-wavelet", **settings)),
        _Side("bart pics", lambda: bart.image("pics", *options, "spokes", "maps", "out")),
        repeats,
    )


def _row(
    name: str, ours: _Side, reference: _Side, repeats: int, objective: Callable[[Tensor], float] | None = None
) -> Row:
    row, (found, other) = _timed(ours, reference, repeats)
    agreement = float((found - other).abs().square().sum().sqrt() / other.abs().square().sum().sqrt())
    row = row | {"name": f"{name} ({reference.name})", "agreement": agreement}
    if objective is None:
        return row
    return row | {"objective": objective(found), "reference_objective": objective(other)}


def _timed(ours: _Side, reference: _Side, repeats: int) -> tuple[Row, tuple[Tensor, Tensor]]:
    found = ours.solve(), reference.solve()  # also warms both up
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for side, seconds in zip((ours, reference), times, strict=True):
            start = time.perf_counter()
            side.solve()
            seconds.append(time.perf_counter() - start)
    our_s, reference_s = (median(seconds) for seconds in times)
    return {"ours_s": our_s, "reference_s": reference_s, "ratio": reference_s / our_s}, found


if __name__ == "__main__":
    for row in run():
        print(row)
