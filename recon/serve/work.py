"""One job in a process of its own: ``python -m recon.serve.work FOLDER`` reads the order there and saves the result.

Standard output has one JSON object a line: the progress, and where it fails, why. The process ends when its standard
input does, which is when the server is gone.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from recon.errors import InputError, RunError
from recon.serve.order import RESULT, Order

if TYPE_CHECKING:
    from recon.scan.measurement import ProgressEvent, Scan

_SECONDS_BETWEEN = 0.2


def run_order(folder: Path, order: Order, tell: Telling) -> None:
    """Load, measure, reconstruct and save, as ``recon svct`` and ``recon mri`` do.

    Raises:
        InputError, RunError: as :mod:`recon.run`.
    """
    from recon.run.outcome import reconstruct
    from recon.run.save import save

    tell.stage("load")
    scan = _scan(folder / order.file, order)
    outcome = reconstruct(
        scan.measurement,
        scan.grid,
        order.method,
        truth=scan.truth,
        settings=order.settings,
        seed=order.seed,
        progress=tell,
    )
    tell.stage("save")
    save(folder / RESULT, outcome)


def _scan(path: Path, order: Order) -> Scan:
    from recon.io.sinogram import Sinogram
    from recon.run.load import load
    from recon.run.measure import measure_ct, measure_mr
    from recon.scan.volume import Volume

    data = load(path, order.modality, axes=order.axes or None)
    if order.modality == "MR":
        if isinstance(data, Sinogram):
            raise InputError(f"{path.name}: a sinogram is CT")
        return measure_mr(data, order.mask or None, order.accel, seed=order.seed)
    if not isinstance(data, Volume | Sinogram):
        raise InputError(f"{path.name}: k-space is MR")
    if isinstance(data, Sinogram):
        return measure_ct(data, seed=order.seed)
    from recon.acquisition.ct import DEFAULT_GEOMETRY, choose_geometry

    return measure_ct(data, choose_geometry(order.geometry or DEFAULT_GEOMETRY, order.views), seed=order.seed)


class Telling:
    """Progress as lines of JSON, not more than a few a second."""

    def __init__(self) -> None:
        self._last, self._stage = 0.0, ""

    def __call__(self, event: ProgressEvent) -> None:
        """Take one step of a run."""
        now = time.monotonic()
        if event.stage != self._stage or event.done == event.total or now - self._last >= _SECONDS_BETWEEN:
            self._stage, self._last = event.stage, now
            _say({"stage": event.stage, "done": event.done, "total": event.total})

    def stage(self, name: str) -> None:
        """Tell of a part without steps."""
        _say({"stage": name, "done": 0, "total": 1})


def _say(values: dict[str, object]) -> None:
    print(json.dumps(values), flush=True)


def _end_with_server() -> None:
    while os.read(0, 1):  # not sys.stdin, whose lock would abort the interpreter where it ends before the server
        pass
    os._exit(1)


def main(folder: Path) -> int:
    """Run the job of a folder, and give the process's exit code."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch loads OpenMP: waiting threads shall sleep
    threading.Thread(target=_end_with_server, daemon=True).start()
    try:
        run_order(folder, Order.read(folder), Telling())
    except (InputError, RunError) as error:
        _say({"error": str(error).replace(f"{folder}{os.sep}", "")})
        return error.exit_code
    except MemoryError:
        _say({"error": "out of memory; use smaller data"})
        return 1
    except Exception as error:  # whatever hostile data may raise ends the job alone, and tells nothing of the server
        _say({"error": f"the input cannot be used ({type(error).__name__})"})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
