"""The model error of a CT scan, taken off its data before any method sees them.

No image of square pixels explains a scan of a continuous body. What a finer grid tells of the difference is taken off
the data, and what is left counts in their standard deviation beside the noise (:mod:`recon.solvers.two_grid`). It is
part of the measurement, so that every method gains alike.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from recon.errors import InputError
from recon.scan.measurement import Measurement, Progress, RunContext, Scan, no_progress
from recon.solvers.two_grid import Correction, correct_model_error

ModelError = Literal["auto", "correct", "leave"]
"""What becomes of the model error of a CT scan: ``correct`` estimates it and takes it off the data, ``leave`` does
nothing, ``auto`` corrects all scans but those that the operator itself simulated, which have none."""

LEFT_OVER = 0.4
"""Share of the deviation of what is left of the model error that counts in ``sigma``. It lies where edges are and looks
like them, and methods that take all of it for noise smooth the edges away: chosen on validation scans with TV and the
default method."""


def without_model_error(scan: Scan, progress: Progress = no_progress) -> Scan:
    """A CT scan whose data had the model error of its pixels taken off, as far as a finer grid tells it.

    Args:
        scan: a CT scan; the ``sigma`` of its measurement is that of the noise alone.
        progress: the callback that is told how far the estimate is.

    Raises:
        InputError: a scan of MR.
    """
    if scan.grid.modality != "CT":
        raise InputError("`model_error` correct: is for CT; of MR data no such error is known")
    found = correct_model_error(scan.measurement, context=RunContext(progress=progress))
    return replace(scan, measurement=_stated(scan.measurement, found))


def _stated(measurement: Measurement, found: Correction) -> Measurement:
    """The corrected measurement, with what was found in its protocol."""
    report = found.report
    left = ((LEFT_OVER * found.left).square() + report.unexplained**2).sqrt()
    protocol = replace(
        measurement.protocol,
        sentences=(*measurement.protocol.sentences, _sentence(found)),
        model_error=report.relative if report.estimated else None,
    )
    finer = found.fine if report.applied else None
    if not bool(left.any()):
        return replace(measurement, y=found.measurement.y, protocol=protocol, finer=finer)
    noise = 0.0 if measurement.sigma is None else measurement.sigma
    sigma = (left.square() + noise**2).sqrt()
    return replace(found.measurement, sigma=sigma, model_error=left, protocol=protocol, finer=finer)


def _sentence(found: Correction) -> str:
    report = found.report
    if not report.estimated:
        return (
            "The pixels are hardly wider than detector cells, so that no model error of theirs was taken off; rays "
            f"held out of a fit differ by {report.held_out_after:.2g} from its prediction."
        )
    done = "was estimated on a finer grid and taken off" if report.applied else "could not be estimated and was left"
    return (
        f"The model error of the pixels, {report.relative:.2%} of the data, {done}: rays held out of the estimate "
        f"differ by {report.held_out_after:.2g} from its prediction, and by {report.held_out_before:.2g} without it."
    )
