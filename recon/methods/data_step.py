"""Any method followed by a data-consistency step, as ``NAME+dc``."""

from __future__ import annotations

import dataclasses
from typing import Any

from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.solvers.data_consistency import ITERATIONS, agreeing


def with_data_step(method: Method) -> Method:
    """The method, its image then moved to the nearest one that the measurement allows."""
    options = dataclasses.make_dataclass(
        f"{method.options.__name__}WithDataStep",
        [
            ("dc_weight", "float | None", _field(None, "λ / ‖A‖² of the data step; auto: from the noise")),
            ("dc_iterations", "int", _field(ITERATIONS, "conjugate gradient iterations of the data step")),
        ],
        bases=(method.options,),
        frozen=True,
    )

    def run(measurement: Measurement, given: Any, context: RunContext) -> Reconstruction:
        before = context.before or method.run(measurement, given, context)
        image = agreeing(measurement, before.mean, given.dc_weight, given.dc_iterations)
        return dataclasses.replace(before, mean=image)

    return Method(f"{method.summary}; then a data-consistency step", method.reference, options, run, method.weights)


def _field(default: Any, text: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": text})
