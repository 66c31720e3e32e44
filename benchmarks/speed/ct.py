"""The CT projector, backprojection and SART beside ASTRA's, fan FBP beside skimage's, the memory of a large volume."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from physics.ct.fbp import fbp
from physics.ct.geometry import ImageGrid
from physics.ct.projector import CTProjector
from physics.ct.protocol import load_protocol

SIZE, SLICES, SPACING = 512, 64, 0.78
LARGE_SLICES = 300

Row = dict[str, str | float]


def phantom(slices: int, size: int) -> Tensor:
    """(slices, size, size) HU: a body of nested ellipses whose insert drifts from slice to slice."""
    axis = torch.linspace(-1, 1, size)
    y, x = axis[:, None], axis[None, :]
    volume = torch.full((slices, size, size), -1000.0)
    for k, plane in enumerate(volume):
        plane[(x / 0.8) ** 2 + (y / 0.6) ** 2 < 1] = 40
        plane[((x - 0.35) / 0.25) ** 2 + (y / 0.3) ** 2 < 1] = -850
        plane[(x / 0.1) ** 2 + ((y + 0.35) / 0.1) ** 2 < 1] = 700
        plane[((x + 0.3 - 0.2 * k / slices) / 0.05) ** 2 + (y / 0.05) ** 2 < 1] = 120
    return volume


def projector(repeats: int) -> list[Row]:
    """Forward and adjoint of 64 slices of 512², 40 views: ours at once, ASTRA's CPU projector slice by slice."""
    import astra

    grid = ImageGrid((SIZE, SIZE), (SPACING, SPACING))
    build = _seconds(lambda: CTProjector(load_protocol("paper40"), grid), 1)
    operator = CTProjector(load_protocol("paper40"), grid, slices=SLICES)
    volume = (phantom(SLICES, SIZE) / 1000 + 1) * 0.0192
    identifier = _astra_projector(operator)
    sample = volume[: SLICES // 8]

    def theirs() -> None:
        for plane in sample.numpy():
            sino_id, sinogram = astra.create_sino(plane, identifier)
            image_id, _ = astra.create_backprojection(sinogram, identifier)
            astra.data2d.delete([sino_id, image_id])

    ours_s, theirs_s = _alternating(lambda: operator.adjoint(operator(volume)), theirs, repeats)
    theirs_s *= SLICES / len(sample)
    astra.projector.delete(identifier)
    saved = (theirs_s - ours_s) / SLICES
    return [
        _row(f"forward + adjoint, 40 views, {SLICES} x {SIZE}^2, ASTRA's projector", ours_s, theirs_s)
        | {"build_s": build, "breaks_even_at_slices": build / saved}
    ]


def filtered_backprojection(repeats: int) -> list[Row]:
    """Fan FBP of 64 slices of 512² from 40 views beside ``skimage.transform.iradon`` (parallel) of as many."""
    from skimage.transform import iradon

    grid = ImageGrid((SIZE, SIZE), (SPACING, SPACING))
    geometry = load_protocol("paper40").covering(grid)
    sinogram = torch.rand(SLICES, *geometry.data_shape)
    parallel = np.random.default_rng(0).random((SIZE, 40))
    angles = np.linspace(0, 180, 40, endpoint=False)
    few = SLICES // 8

    def theirs() -> None:
        for _ in range(few):
            iradon(parallel, angles, output_size=SIZE, circle=False)

    ours_s, theirs_s = _alternating(lambda: fbp(sinogram, geometry, grid), theirs, repeats)
    return [_row(f"FBP, 40 views, {SLICES} x {SIZE}^2, skimage's iradon", ours_s, theirs_s * SLICES / few)]


def single_slice(repeats: int) -> list[Row]:
    """One slice of 512²: FBP beside ASTRA's unfiltered backprojection on its CPU, and a pass of SART beside ASTRA's."""
    import astra

    grid, rows = ImageGrid((SIZE, SIZE), (SPACING, SPACING)), []
    for views in (40, 360):
        operator = CTProjector(load_protocol("paper40").with_views(views), grid)
        data = operator((phantom(1, SIZE) / 1000 + 1) * 0.0192)
        identifier = _astra_projector(operator)
        back = _astra_algorithm("BP", identifier, data[0].numpy())
        times = _alternating(
            lambda: operator.filtered_adjoint(data, "hann"),  # noqa: B023 - called in this turn of the loop
            lambda: astra.algorithm.run(back),  # noqa: B023
            repeats,
        )
        rows.append(_row(f"FBP, {views} views, one slice of {SIZE}^2, ASTRA's backprojection", *times))
        if views == 40:
            rows.append(_sart(operator, data, identifier, repeats))
        astra.algorithm.delete(back)
        astra.projector.delete(identifier)
    return rows


def _sart(operator: CTProjector, data: Tensor, identifier: int, repeats: int) -> Row:
    import astra

    from recon.solvers.ordered_subsets import ordered_subsets, subsets_of

    views, subsets = operator.geometry.views, subsets_of(operator, operator.geometry.views)
    theirs = _astra_algorithm("SART", identifier, data[0].numpy(), {"MinConstraint": 0.0, "ProjectionOrder": "random"})
    times = _alternating(
        lambda: ordered_subsets(subsets, data, torch.zeros(operator.domain), 5),
        lambda: astra.algorithm.run(theirs, 5 * views),
        repeats,
    )
    astra.algorithm.delete(theirs)
    return _row(f"SART, 5 passes over {views} views, one slice of {SIZE}^2, ASTRA's SART", *times)


def memory(method: str = "sirt", iterations: int = 5) -> list[Row]:
    """Peak memory of ``recon svct`` on 512 × 512 × 300 in a process of its own; few iterations, since memory
    does not grow with them."""
    import nibabel

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.nii.gz"
        data = phantom(LARGE_SLICES, SIZE).to(torch.int16).numpy().transpose(2, 1, 0)
        nibabel.save(nibabel.Nifti1Image(data, np.diag([SPACING, SPACING, 1.0, 1.0])), path)
        command = [sys.executable, "-m", "recon", "svct", "--input", str(path), "--output", f"{folder}/out", "--quiet"]
        settings = ["--method", method, "--set", f"iterations={iterations}"]
        started = time.perf_counter()
        peak = _peak_bytes([*command, *settings])
        seconds = time.perf_counter() - started
    return [
        {
            "name": f"recon svct --method {method}, {SIZE} x {SIZE} x {LARGE_SLICES}, {iterations} iterations",
            "peak_rss_mb": peak / 1e6,
            "seconds": seconds,
        }
    ]


def _peak_bytes(command: list[str]) -> int:
    """Most memory that a command held, as the system counted it to its very end."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)  # bytes on macOS, KiB elsewhere


def _astra_projector(operator: CTProjector) -> int:
    """ASTRA's projector of the same geometry and grid (mirrored in y: its first row is the largest y)."""
    import astra

    volume = _astra_volume()
    vectors = operator.geometry.vectors() * np.array([1.0, -1.0] * 3)
    geometry = astra.create_proj_geom("fanflat_vec", operator.geometry.data_shape[1], vectors)
    return int(astra.create_projector("line_fanflat", geometry, volume))


def _astra_volume() -> dict[str, object]:
    import astra

    half = SIZE * SPACING / 2
    return dict(astra.create_vol_geom(SIZE, SIZE, -half, half, -half, half))


def _astra_algorithm(name: str, identifier: int, sinogram: np.ndarray, options: dict[str, object] | None = None) -> int:
    """One of ASTRA's algorithms on a sinogram (views, cells), with an image of its own."""
    import astra

    settings = astra.astra_dict(name)
    settings["ProjectorId"] = identifier
    settings["ProjectionDataId"] = astra.data2d.create(
        "-sino", astra.projector.projection_geometry(identifier), sinogram
    )
    settings["ReconstructionDataId"] = astra.data2d.create("-vol", _astra_volume(), 0)
    settings["option"] = options or {}
    return int(astra.algorithm.create(settings))


def _alternating(ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median seconds of both, run in turn after one warm-up, so that a drifting machine slows both."""
    ours(), theirs()
    times = [(_seconds(ours, 1), _seconds(theirs, 1)) for _ in range(repeats)]
    return median(t[0] for t in times), median(t[1] for t in times)


def _seconds(function: Callable[[], object], repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - started) / repeats


def _row(name: str, ours_s: float, reference_s: float) -> Row:
    return {"name": name, "ours_s": ours_s, "reference_s": reference_s, "ratio": reference_s / ours_s}
