"""Reconstruct CT and MR volumes from too few measurements.

    import recon

    case = recon.load("case.nii.gz", "CT")
    scan = recon.measure_ct(case, "paper40")
    outcome = recon.reconstruct(scan.measurement, scan.grid, truth=scan.truth)
    recon.save("out", outcome)

Measured data, a sinogram or k-space, are loaded alike; ``recon.measure_ct`` and ``recon.measure_mr`` make a scan of
them, which has a measurement, the grid of the result and, where there is one, the ground truth. Projections of other
programs become a sinogram by ``recon.import_projections(recon.ImportRequest(...))``. Arrays and images of other
libraries become a volume by ``recon.as_volume``.

Names are imported when first used, so that ``import recon`` and ``recon --help`` cost nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon.acquisition.import_projections import import_projections
    from recon.acquisition.import_request import ImportRequest
    from recon.errors import InputError, RunError
    from recon.interop.volumes import as_volume
    from recon.run.load import load
    from recon.run.measure import measure_ct, measure_mr, simulate_ct, simulate_mr
    from recon.run.outcome import reconstruct
    from recon.run.save import save

    __version__: str

__all__ = [
    "ImportRequest",
    "InputError",
    "RunError",
    "__version__",
    "as_volume",
    "import_projections",
    "load",
    "measure_ct",
    "measure_mr",
    "reconstruct",
    "save",
    "simulate_ct",
    "simulate_mr",
]

_HOMES = {
    "ImportRequest": "recon.acquisition.import_request",
    "InputError": "recon.errors",
    "RunError": "recon.errors",
    "as_volume": "recon.interop.volumes",
    "import_projections": "recon.acquisition.import_projections",
    "load": "recon.run.load",
    "measure_ct": "recon.run.measure",
    "measure_mr": "recon.run.measure",
    "reconstruct": "recon.run.outcome",
    "save": "recon.run.save",
    "simulate_ct": "recon.run.measure",
    "simulate_mr": "recon.run.measure",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from recon.run.provenance import suite_version

        return suite_version() or "unknown"
    if name not in _HOMES:
        raise AttributeError(f"module 'recon' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
