"""The cone-beam projector beside RTK's Joseph projector on the CPU, and the memory of large reconstructions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch

from physics.ct.cone.geometry import ConeBeam
from physics.ct.cone.grid import VolumeGrid
from physics.ct.cone.projector import ConeProjector
from physics.ct.geometry import circular_angles

SIZE, VIEWS, THREADS = 256, 90, 2
LARGE, LARGE_VIEWS = 512, 360

RTK_PYTHON = "RTK_PYTHON"
"""Environment variable with a Python interpreter that has ``itk-rtk``, whose packages must not mix with the suite's."""

_VOXEL_BYTES = (4 + 2 * 4) * 4
"""Bytes of voxels that a step of a ray reads in the projection, and reads and writes in the adjoint."""

_COPIED = 2**28

Row = dict[str, str | float]


def scanner(size: int, views: int) -> ConeBeam:
    """As many rows and cells as voxels along each axis of a volume of 1 mm voxels, magnified 1.536 times."""
    far = 1000.0 * max(1.0, size / 256)
    return ConeBeam(circular_angles(views), 1.6, size, 0.0, far, 1.536 * far, 1.6, size)


def run(repeats: int) -> list[Row]:
    """Forward and adjoint of a volume, ours and RTK's in turn, on two threads; and bytes against the bandwidth.

    RTK runs in a process of its own, of the interpreter that the environment variable RTK_PYTHON names; without it the
    row has our figures alone.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        rows = [_projector_row(repeats)]
    finally:
        torch.set_num_threads(before)
    return rows


def _projector_row(repeats: int) -> Row:
    operator = ConeProjector(scanner(SIZE, VIEWS), VolumeGrid((SIZE, SIZE, SIZE), (1.0, 1.0, 1.0)))
    volume = torch.rand(operator.domain, generator=torch.Generator().manual_seed(0))
    rtk = _start_rtk()
    ours, theirs = [], []
    for turn in range(repeats + 1):  # the first is a warm-up
        found = _ours(operator, volume)
        other = None if rtk is None else _theirs(rtk)
        if turn:
            ours.append(found)
            theirs += [] if other is None else [other]
    if rtk is not None and rtk.stdin is not None:
        rtk.stdin.close()
        rtk.wait()
    row: Row = {"name": f"cone beam, forward + adjoint, {VIEWS} views, {SIZE}^3, {THREADS} threads, RTK's Joseph"}
    mine = {key: median(each[key] for each in ours) for key in ours[0]}
    row |= {"ours_s": mine["forward_s"] + mine["adjoint_s"], **{f"ours_{key}": mine[key] for key in mine}}
    if theirs:
        other = {key: median(each[key] for each in theirs) for key in theirs[0]}
        row |= {"reference_s": other["forward_s"] + other["adjoint_s"]}
        row |= {f"reference_{key}": other[key] for key in other}
        row["ratio"] = float(row["reference_s"]) / float(row["ours_s"])
        row["cpu_ratio"] = other["cpu_s"] / mine["cpu_s"]
    moved = SIZE * VIEWS * SIZE * SIZE * _VOXEL_BYTES / float(row["ours_s"])
    bandwidth = _bandwidth()
    return row | {"voxel_gb_per_s": moved / 1e9, "copy_gb_per_s": bandwidth / 1e9, "share": moved / bandwidth}


def _ours(operator: ConeProjector, volume: torch.Tensor) -> dict[str, float]:
    started, used = time.perf_counter(), time.process_time()
    data = operator(volume)
    middle = time.perf_counter()
    operator.adjoint(data)
    return {
        "forward_s": middle - started,
        "adjoint_s": time.perf_counter() - middle,
        "cpu_s": time.process_time() - used,
    }


def _start_rtk() -> subprocess.Popen[str] | None:
    interpreter = os.environ.get(RTK_PYTHON)
    if not interpreter:
        return None
    script = Path(__file__).with_name("rtk_joseph.py")
    command = [interpreter, str(script), str(SIZE), str(VIEWS), str(THREADS)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if process.stdout is None or process.stdout.readline().strip() != "ready":
        raise RuntimeError(f"{interpreter}: RTK does not start; install itk-rtk there")
    return process


def _theirs(process: subprocess.Popen[str]) -> dict[str, float]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("run\n")
    process.stdin.flush()
    found: dict[str, float] = json.loads(process.stdout.readline())
    return found


def _bandwidth() -> float:
    """Bytes that a copy of a large array reads and writes in a second."""
    source, target = torch.ones(_COPIED // 4), torch.zeros(_COPIED // 4)
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        target.copy_(source)
        seconds.append(time.perf_counter() - started)
    return 2 * _COPIED / min(seconds)


def memory() -> list[Row]:
    """Peak memory of FDK and of one iteration of SIRT, 512³ voxels and 360 views, each in a process of its own."""
    rows: list[Row] = []
    for method in ("fdk", "sirt"):
        command = [sys.executable, "-m", "benchmarks.speed.cone_large", method, str(LARGE), str(LARGE_VIEWS)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        name = f"cone beam, {method}{', 1 iteration' if method == 'sirt' else ''}, {LARGE_VIEWS} views, {LARGE}^3"
        rows.append({"name": name} | json.loads(done.stdout))
    return rows
