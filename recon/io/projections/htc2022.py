"""The struct of the Helsinki Tomography Challenge 2022 (Meaney et al.), which states its fan-beam geometry itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from physics.ct.geometry import FanBeam
from physics.ct.protocol_entries import MILLIMETRES
from recon.errors import InputError, input_errors
from recon.io.projections.stored import Stored

_SCANNER = "parameters."
_LENGTHS = ("distanceSourceOrigin", "distanceSourceDetector", "pixelSizePost")


def struct_of(names: Mapping[str, object]) -> str | None:
    """The name of a struct with such fields, None where there is none."""
    roots = [name.removesuffix("sinogram") for name in names if name.endswith(".sinogram")]
    return next(
        (root for root in roots if all(f"{root}{_SCANNER}{field}" in names for field in (*_LENGTHS, "angles"))), None
    )


def with_its_geometry(stored: Stored, arrays: Mapping[str, np.ndarray], texts: Mapping[str, str], root: str) -> Stored:
    """The sinogram of such a struct with the geometry that its parameters state.

    Raises:
        InputError: parameters that are no numbers, an unknown unit of length, or an impossible geometry.
    """
    unit = texts.get(f"{root}{_SCANNER}distanceUnit", "mm")
    if unit not in MILLIMETRES:
        raise InputError(f"{stored.name}: a unit of length {unit!r}; it must be one of {', '.join(MILLIMETRES)}")
    values = [arrays[f"{root}{_SCANNER}{name}"] for name in _LENGTHS]
    if any(value.size != 1 for value in values):
        raise InputError(f"{stored.name}: {', '.join(_LENGTHS)} of its parameters must be single numbers")
    isocentre, detector, pitch = (float(value.flat[0]) for value in values)
    angles = np.radians(np.ravel(arrays[f"{root}{_SCANNER}angles"]).astype(float))
    with input_errors(f"{stored.name}: its parameters"):
        geometry = FanBeam(
            tuple(angles.tolist()),
            pitch,  # the challenge states it in mm, whatever the unit of the distances
            source_isocentre=isocentre * MILLIMETRES[unit],
            source_detector=detector * MILLIMETRES[unit],
        )
    note = "the geometry and the angles are those of its parameters (HTC2022), the offset is taken as 0"
    return replace(stored, axes="vc", angles=angles, geometry=geometry, intensities=False, notices=(note,))
