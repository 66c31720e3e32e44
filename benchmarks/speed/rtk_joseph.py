"""RTK's Joseph projector of the cone-beam speed row, run by an interpreter that has ``itk-rtk``.

This file is run by its path and imports nothing of the suite. For each line on standard input it projects and
backprojects once and prints the seconds and the processor's seconds of both as JSON; the first line it prints says
that it is ready.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def main(size: int, views: int, threads: int) -> None:
    """Serve runs until standard input ends."""
    import itk
    import numpy as np
    from itk import RTK as rtk  # noqa: N811 - the package's name

    itk.MultiThreaderBase.SetGlobalMaximumNumberOfThreads(threads)
    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(threads)
    kind = itk.Image[itk.F, 3]
    geometry = rtk.ThreeDCircularProjectionGeometry.New()
    for view in range(views):
        geometry.AddProjection(1000.0, 1536.0, view * 360 / views)

    def blank(shape: list[int], spacing: list[float]) -> Any:
        source = rtk.ConstantImageSource[kind].New()
        source.SetOrigin([-(n - 1) / 2 * step for n, step in zip(shape, spacing)])  # noqa: B905
        source.SetSpacing(spacing)
        source.SetSize(shape)
        source.SetConstant(0.0)
        source.Update()
        image = source.GetOutput()
        image.DisconnectPipeline()
        return image

    volume = blank([size] * 3, [1.0] * 3)
    itk.array_view_from_image(volume)[:] = np.random.default_rng(0).random((size,) * 3, np.float32)

    def run() -> dict[str, float]:
        forward = rtk.JosephForwardProjectionImageFilter[kind, kind].New()
        backward = rtk.JosephBackProjectionImageFilter[kind, kind].New()
        forward.SetGeometry(geometry)
        backward.SetGeometry(geometry)
        forward.SetInput(0, blank([size, size, views], [1.6, 1.6, 1.0]))
        forward.SetInput(1, volume)
        started, used = time.perf_counter(), time.process_time()
        forward.Update()
        projections = forward.GetOutput()
        projections.DisconnectPipeline()
        middle = time.perf_counter()
        backward.SetInput(0, blank([size] * 3, [1.0] * 3))
        backward.SetInput(1, projections)
        backward.Update()
        return {
            "forward_s": middle - started,
            "adjoint_s": time.perf_counter() - middle,
            "cpu_s": time.process_time() - used,
        }

    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(run()), flush=True)


if __name__ == "__main__":
    main(*(int(each) for each in sys.argv[1:4]))
