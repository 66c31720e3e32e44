"""Readouts of Siemens raw data, and echo-planar ones on the grid and without their ghost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recon.errors import InputError
from recon.io.kspace.epi import LineGrid, Ramp, ghost_phase

_TRAPEZOID = 2
"""The regridding mode of a trapezoidal gradient; 1 stands for none."""


@dataclass(frozen=True)
class TwixReadout:
    """One readout.

    Attributes:
        data: (coils, samples) complex.
        line, plane: first and second phase encoding, from zero frequency.
        partition: number of the second phase encoding.
        slice_: number of the slice.
        centre: sample of zero frequency.
        backwards: whether it goes backwards.
    """

    data: np.ndarray
    line: int
    plane: int
    partition: int
    slice_: int
    centre: int
    backwards: bool

    @classmethod
    def of(cls, readout: Any) -> TwixReadout:
        """A readout as twixtools gives it."""
        head = readout.mdh
        return cls(
            np.asarray(readout.data),
            int(readout.cLin) - int(head.CenterLin),
            int(readout.cPar) - int(head.CenterPar),
            int(readout.cPar),
            int(readout.cSlc),
            int(head.CenterCol),
            "REFLECT" in readout.get_active_flags(),
        )


def ramp_of(path: Path, header: Any, samples: int) -> Ramp | None:
    """The readout gradient where samples are taken on its ramps, of the header's ``Meas``; None where they are not."""
    stated = header.get("Meas") or {}
    mode = _number(stated, "alRegridMode")
    if mode is None or mode <= 1:
        return None
    names = ("alRegridRampupTime", "alRegridFlattopTime", "alRegridRampdownTime", "alRegridDelaySamplesTime")
    times = [_number(stated, name) for name in (*names, "aflRegridADCDuration")]
    if mode != _TRAPEZOID or any(time is None for time in times):
        raise InputError(f"{path}: a readout gradient of regridding mode {mode:g}; only trapezoids (mode 2) are known")
    up, flat, down, delay, duration = (float(time or 0) for time in times)
    ramp = Ramp(up, flat, down, delay, duration / samples, samples)
    if not ramp.usable:
        raise InputError(f"{path}: the header states a readout gradient that cannot be: {ramp}")
    return ramp


def without_ghost(
    path: Path, readouts: Sequence[TwixReadout], reference: Sequence[TwixReadout], ramp: Ramp | None
) -> list[TwixReadout]:
    """Echo-planar readouts on the grid, all forwards, without the phase of the backward ones.

    Raises:
        InputError: a slice without reference lines in both directions.
    """
    grid = LineGrid(readouts[0].data.shape[1], ramp)
    lines = [_forwards(each, grid) for each in reference]
    phases = {}
    for slice_ in {each.slice_ for each in readouts}:
        ways = [
            [line.data for line, each in zip(lines, reference, strict=True) if (each.slice_, each.backwards) == way]
            for way in ((slice_, False), (slice_, True))
        ]
        if not all(ways):
            raise InputError(
                f"{path}: echo-planar readouts without reference lines (phase correction) in both directions of slice "
                f"{slice_}: its ghost cannot be corrected"
            )
        phases[slice_] = ghost_phase(np.stack(ways[0]), np.stack(ways[1]))
    found = []
    for each in readouts:
        forwards = _forwards(each, grid)
        data = phases[each.slice_].corrected(forwards.data) if each.backwards else forwards.data
        found.append(replace(forwards, data=data))
    return found


def _forwards(readout: TwixReadout, grid: LineGrid) -> TwixReadout:
    """The readout on the grid, in the order of k."""
    centre = readout.data.shape[1] - 1 - readout.centre if readout.backwards else readout.centre
    if grid.ramp is not None or abs(centre - grid.rows // 2) <= 1:
        centre = grid.rows // 2
    return replace(readout, data=grid.on_grid(readout.data, readout.backwards), centre=centre, backwards=False)


def _number(stated: Any, name: str) -> float | None:
    """The first of the numbers of a name; None where there is none."""
    values = np.ravel(stated.get(name, []))
    try:
        return float(values[0]) if values.size else None
    except (TypeError, ValueError):
        return None
