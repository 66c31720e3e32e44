"""Filtered backprojection."""

from __future__ import annotations

from dataclasses import dataclass, field

from physics.ct.fbp import WINDOWS, fbp
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.solvers.ct_slices import projector_of


@dataclass(frozen=True)
class FBPOptions:
    """Options of ``fbp``."""

    window: str = field(
        default="hann",
        metadata={"help": f"apodisation of the ramp: {', '.join(WINDOWS)}; hann is best from few views"},
    )

    def __post_init__(self) -> None:
        if self.window not in WINDOWS:
            raise ValueError(f"window must be one of {', '.join(WINDOWS)}, not {self.window}")


def run(measurement: Measurement, options: FBPOptions, context: RunContext) -> Reconstruction:
    """Reconstruct all slices."""
    projector = projector_of(measurement)
    return Reconstruction(fbp(measurement.y, projector.geometry, projector.grid, options.window))  # type: ignore[arg-type]


METHOD = Method(
    summary="filtered backprojection, parallel and fan beam",
    reference="Kak & Slaney 1988, Principles of Computerized Tomographic Imaging, section 3.4.2",
    options=FBPOptions,
    run=run,
)
