"""How an MR scan came to be, in words and in plain values."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from physics.mr.coils import SURE_CALIBRATION
from physics.mr.masks import Mask
from physics.mr.sampling import samples_like
from physics.noise import NoiseModel
from recon.scan.measurement import Protocol

SIMULATED_FROM_MAGNITUDE = (
    "simulated from magnitude: k-space was computed from a magnitude image, which has no phase and no noise of its "
    "own; this (an inverse crime) makes the task easier than a real scan"
)
SIMULATED_OF_AN_OBJECT = (
    "simulated of a continuous object: k-space was computed from a magnitude image, finer than the grid, with a drawn "
    "smooth phase"
)

MRSimulation = Literal["ideal", "continuous"]
"""How k-space is simulated: by the operator that reconstructs it (the inverse crime), or of a continuous object."""

FILE, FULL = "file", "full"
"""Kinds of masks that nobody draws: that of a file, and that of a complete scan."""


def simulation_notice(simulation: str | None) -> tuple[str, ...]:
    """What the reader of a result must know of how k-space was simulated; nothing of measured data."""
    if simulation is None:
        return ()
    return (SIMULATED_OF_AN_OBJECT if simulation == "continuous" else SIMULATED_FROM_MAGNITUDE,)


def calibration_notice(coils: int, width: int) -> tuple[str, ...]:
    """What the reader must know of coil sensitivities that come from a small fully sampled centre."""
    if coils == 1 or width >= SURE_CALIBRATION:
        return ()
    return (
        f"coil sensitivities were estimated from a fully sampled centre of only {width} samples a side "
        f"({SURE_CALIBRATION} or more are sure, 24 are usual): the image may be shaded or keep some aliasing",
    )


def mr_protocol(
    mask: Mask,
    coils: int,
    noise: NoiseModel | None,
    noise_words: str,
    *,
    source: str,
    simulation: str | None,
    acquired: Tensor | None = None,
    further: tuple[str, ...] = (),
    calibration: int | None = None,
) -> Protocol:
    """The protocol of a scan.

    Args:
        mask: the sampling mask.
        coils: number of coils of the measurement.
        noise: the noise of the data; None where there is none.
        noise_words: the sentence on the noise.
        source: the origin of k-space as the end of a sentence, such as "read from a file".
        simulation: how k-space was simulated; None: it was measured.
        acquired: (y, x) bool, the rectangle that the scanner sampled; None: all of the matrix.
        further: sentences on what else was done to the data.
        calibration: side, in samples, of the centre that coil sensitivities come from; None: the mask's.
    """
    places = mask.array.numel() if acquired is None else int(acquired.sum())
    acceleration = places / int(mask.array.sum())
    coil_words = "one coil" if coils == 1 else f"{coils} coils with ESPIRiT maps from the calibration region"
    sampling = (
        f"Mask {mask.kind}: true acceleration {acceleration:.3f} (nominal {mask.accel:g}), calibration region "
        f"{mask.calib}, one mask for the whole volume."
    )
    values = {"kind": mask.kind, "accel": mask.accel, "calib": mask.calib, "seed": mask.seed}
    if mask.kind == FILE:
        values["samples_like"] = samples_like(_inside(mask.array, acquired))
    return Protocol(
        sentences=(
            f"Cartesian 2D Fourier encoding, {coil_words}; k-space was {source}.",
            sampling,
            *further,
            noise_words,
        ),
        notices=simulation_notice(simulation)
        + calibration_notice(coils, mask.calib if calibration is None else calibration),
        mask=values,
        true_acceleration=acceleration,
        noise=None if noise is None else noise.to_dict(),
        simulation=simulation,
        coils=coils,
    )


def _inside(mask: Tensor, acquired: Tensor | None) -> Tensor:
    """The part of a mask that lies in the rectangle that was acquired."""
    if acquired is None:
        return mask
    rows, columns = (acquired.any(axis).nonzero().flatten() for axis in (1, 0))
    return mask[int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]
