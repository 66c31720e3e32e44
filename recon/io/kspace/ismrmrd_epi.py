"""Echo-planar ISMRMRD data: readouts on the grid, and without the ghost, as though all went forwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from recon.errors import InputError
from recon.io.kspace.epi import GhostPhase, LineGrid, correction_notice, ghost_phase
from recon.io.kspace.ismrmrd_table import REVERSED, Readouts, Table, flagged, valid_samples
from recon.io.kspace.mr_header import Encoding


def is_echo_planar(readouts: Readouts) -> bool:
    """Whether some readouts of the image go backwards."""
    return bool(flagged(readouts.imaging.heads, (REVERSED,)).any())


def without_ghost(path: Path, readouts: Readouts, encoding: Encoding) -> tuple[Readouts, tuple[str, ...]]:
    """The readouts of image and calibration on the grid, all forwards, and what was done in words.

    Every slice has reference lines of its own, in both directions.

    Raises:
        InputError: no reference lines of a slice in both directions, or a gradient that cannot be.
    """
    if encoding.ramp is not None and not encoding.ramp.usable:
        raise InputError(
            f"{path}: the header's trajectory description states a gradient that cannot be: {encoding.ramp}"
        )
    grid = LineGrid(encoding.matrix[0], encoding.ramp)
    reference = _on_grid(path, readouts.reference, grid)
    phases = {slice_: _phase(path, reference, slice_) for slice_ in set(_slices_of(readouts.imaging))}
    imaging = _corrected(_on_grid(path, readouts.imaging, grid), phases, readouts.imaging)
    known = np.array([slice_ in phases for slice_ in _slices_of(readouts.calibration)], bool)
    lines = readouts.calibration.chosen(known)
    calibration = _corrected(_on_grid(path, lines, grid), phases, lines)
    notice = correction_notice(len(reference.heads), encoding.ramp)
    others = readouts.others - len(reference.heads) + int((~known).sum())
    return replace(readouts, imaging=imaging, calibration=calibration, others=others), (notice,)


def _slices_of(table: Table) -> list[int]:
    return [int(number) for number in table.heads["idx"]["slice"]]


def _on_grid(path: Path, table: Table, grid: LineGrid) -> Table:
    """The readouts on the grid, with headers that say so."""
    heads, lines = table.heads.copy(), np.empty(len(table.heads), object)
    backwards = flagged(heads, (REVERSED,))
    for place, (head, samples) in enumerate(zip(table.heads, table.lines, strict=True)):
        line = valid_samples(path, head, samples)
        if grid.ramp is not None and line.shape[1] != grid.ramp.samples:
            raise InputError(
                f"{path}: a readout of {line.shape[1]} samples; the header's trajectory description states "
                f"{grid.ramp.samples}"
            )
        found = grid.on_grid(line, bool(backwards[place]))
        lines[place] = np.ascontiguousarray(found, np.complex64)
        heads["number_of_samples"][place] = found.shape[1]
        start = int(head["discard_post" if backwards[place] else "discard_pre"])
        centre = int(head["number_of_samples"]) - 1 - int(head["center_sample"])
        turned = centre if backwards[place] else int(head["center_sample"])
        heads["center_sample"][place] = grid.rows // 2 if grid.ramp is not None else turned - start
        heads["discard_pre"][place] = heads["discard_post"][place] = 0
    return Table(heads, lines)


def _phase(path: Path, reference: Table, slice_: int) -> GhostPhase:
    """The phase that a slice's reference lines tell."""
    own = np.array([each == slice_ for each in _slices_of(reference)], bool)
    backwards = flagged(reference.heads, (REVERSED,))
    forward, backward = reference.lines[own & ~backwards], reference.lines[own & backwards]
    if not len(forward) or not len(backward):
        raise InputError(
            f"{path}: echo-planar readouts without reference lines (phase correction) in both directions of slice "
            f"{slice_}: its ghost cannot be corrected"
        )
    return ghost_phase(np.stack(list(forward)), np.stack(list(backward)))


def _corrected(table: Table, phases: dict[int, GhostPhase], stored: Table) -> Table:
    """Readouts on the grid without the phase of the backward ones, as a table holds them."""
    lines, backwards = table.lines.copy(), flagged(stored.heads, (REVERSED,))
    for place, slice_ in enumerate(_slices_of(stored)):
        line = phases[slice_].corrected(table.lines[place]) if backwards[place] else table.lines[place]
        lines[place] = np.ascontiguousarray(line, np.complex64).view(np.float32).ravel()
    return Table(table.heads, lines)
