"""Reconstruct CT and MR volumes from too few measurements.

    import recon

    case = recon.load("case.nii.gz", "CT")
    measurement = recon.simulate_ct(case, "paper40")
    outcome = recon.reconstruct(measurement, case, "tv", truth=case)
    recon.save("out", outcome)

Names are imported when first used, so that ``import recon`` and ``recon --help`` cost nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon.acquisition.ct import simulate_ct
    from recon.acquisition.mr import simulate_mr
    from recon.io.detect import read_any as load
    from recon.run.outcome import reconstruct
    from recon.run.save import save

__all__ = ["load", "reconstruct", "save", "simulate_ct", "simulate_mr"]

_HOMES = {
    "load": ("recon.io.detect", "read_any"),
    "reconstruct": ("recon.run.outcome", "reconstruct"),
    "save": ("recon.run.save", "save"),
    "simulate_ct": ("recon.acquisition.ct", "simulate_ct"),
    "simulate_mr": ("recon.acquisition.mr", "simulate_mr"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'recon' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)
