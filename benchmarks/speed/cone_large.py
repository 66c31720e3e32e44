"""One reconstruction of a large cone-beam scan in a process of its own, for its peak memory.

``python -m benchmarks.speed.cone_large METHOD SIZE VIEWS`` prints seconds and bytes as JSON; METHOD is fdk or sirt, of
one iteration, beyond which its memory does not grow.
"""

from __future__ import annotations

import json
import sys
import time

import torch

from benchmarks.speed.cone import scanner
from physics.ct.cone.grid import VolumeGrid
from physics.ct.cone.projector import ConeProjector
from recon.run.provenance import peak_rss_mb
from recon.solvers.krylov import sirt


def main(method: str, size: int, views: int) -> None:
    """Reconstruct random data and print what it took."""
    operator = ConeProjector(scanner(size, views), VolumeGrid((size, size, size), (1.0, 1.0, 1.0)))
    data = torch.rand(operator.range, generator=torch.Generator().manual_seed(0))
    started, used = time.perf_counter(), time.process_time()
    if method == "fdk":
        operator.filtered_adjoint(data, "hann")
    else:
        sirt(operator, data, 1)
    facts = {"seconds": time.perf_counter() - started, "cpu_s": time.process_time() - used}
    print(json.dumps(facts | {"peak_rss_mb": peak_rss_mb()}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
