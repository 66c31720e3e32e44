"""Any method followed by a data-consistency step, as ``NAME+dc``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import create_model

from recon.methods.method import Method
from recon.options import Options, setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.solvers.data_consistency import ITERATIONS, agreeing


class DataStepOptions(Options):
    """What the data-consistency step adds to a method's own options."""

    dc_weight: float | None = setting(
        None, "weight λ / ‖A‖² of the method's image in the data-consistency step; auto: from the noise", ge=0
    )
    dc_iterations: int = setting(ITERATIONS, "conjugate gradient iterations of the data-consistency step", ge=1)


def with_data_step(method: Method) -> Method:
    """The method, its image then moved to the nearest one that the measurement allows."""

    def run(measurement: Measurement, given: Any, context: RunContext) -> Reconstruction:
        before = context.before or method.run(measurement, given, context)
        context.report("data consistency", 0, 1)
        image = agreeing(measurement, before.mean, given.dc_weight, given.dc_iterations)
        context.report("data consistency", 1, 1)
        return replace(before, mean=image)

    summary, options = f"{method.summary}; then a data-consistency step", _with_step(method.options)
    return replace(method, summary=summary, options=options, run=run)


def _with_step(options: type[Options]) -> type[Options]:
    """A method's options and those of the data-consistency step as one model."""
    return create_model(f"{options.__name__}WithDataStep", __base__=(DataStepOptions, options))
