"""The values of imported projections: line integrals of what was stored, by minus logarithm where it is intensities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from physics.ct.missing_rays import bridged
from physics.ct.rings import without_rings
from recon.acquisition.import_request import ImportRequest
from recon.errors import InputError, input_errors
from recon.io.checks import check_fits
from recon.io.projections.arrays import Arrays
from recon.io.projections.intensities import LineIntegrals, from_intensities, from_line_integrals
from recon.io.projections.read import read_frames
from recon.io.projections.stored import Stored

_WORKING_BYTES = 48
"""Memory to a ray on the way from counts to line integrals."""


def chosen_rows(data: np.ndarray, rows: tuple[int, int], cut: bool, name: str) -> np.ndarray:
    """The detector rows that are asked for, of (z, views, cells), or of what was read of them already (``cut``)."""
    start, stop = (0, rows[1] - rows[0]) if cut else rows
    if stop > len(data):
        raise InputError(f"`rows` {rows[0]}:{rows[1]}: {name} has {len(data) + rows[0] - start} detector rows")
    return data[start:stop]


def line_integrals(data: np.ndarray, stored: Stored, request: ImportRequest, arrays: Arrays | None) -> LineIntegrals:
    """Line integrals of what was stored, by minus logarithm where it is intensities."""
    check_fits(request.paths[0], _WORKING_BYTES * data.size)
    flat = stored.flat if request.flat is None else read_frames(request.flat, "flat", arrays)
    dark = stored.dark if request.dark is None else read_frames(request.dark, "dark", arrays)
    logarithm = request.minus_log if request.minus_log is not None else (stored.intensities or flat is not None)
    if not logarithm:
        if request.flat is not None or request.dark is not None:
            raise InputError("`flat`, `dark`: are for counts, of which the logarithm is taken; give `minus_log`")
        return from_line_integrals(data, request.bin)
    size = (data.shape[0], data.shape[2])
    frames = None if flat is None else _frames(flat, size, request.rows, "flat")
    darks = None if dark is None else _frames(dark, size, request.rows, "dark")
    if frames is None:
        finite = data[np.isfinite(data)]
        if finite.size and float(np.quantile(finite, 0.99)) > 2:
            raise InputError(
                f"{stored.name}: counts up to {float(finite.max()):g} and no `flat` to divide them by; give a file of "
                "flats, or the number of counts without an object"
            )
    return from_intensities(data, frames, darks, stored.ceiling, request.bin, stored.name)


def _frames(values: np.ndarray, size: tuple[int, int], rows: tuple[int, int] | None, parameter: str) -> np.ndarray:
    """Flats or darks as (frames, z, cells)."""
    z, cells = size
    if values.ndim == 3 and rows is not None and values.shape[1] > z:
        values = values[:, rows[0] : rows[1]]
    if values.ndim == 2 and rows is not None and values.shape[0] > z and values.shape[1] == cells:
        values = values[rows[0] : rows[1]]
    if values.ndim == 0:
        return np.broadcast_to(values, (1, z, cells))
    if values.shape == (cells,) or values.shape == (z, cells):
        return np.broadcast_to(values, (1, z, cells))
    if values.ndim == 3 and values.shape[1:] == (z, cells):
        return values
    if values.ndim == 2 and z == 1 and values.shape[1] == cells:
        return values[:, None]
    raise InputError(
        f"`{parameter}`: shape {values.shape}; it must be (frames, rows, cells) or (rows, cells), with {z} rows of "
        f"{cells} cells"
    )


def ring_free(found: LineIntegrals) -> LineIntegrals:
    """Line integrals without what single cells add to every view."""
    with input_errors("`rings`"):
        clean = without_rings(without_gaps(found))
    return replace(
        found, data=np.where(found.measured, clean, np.float32(0)), meta=found.meta | {"rings_removed": True}
    )


def without_gaps(found: LineIntegrals) -> np.ndarray:
    """Line integrals with those interpolated that were not measured."""
    import torch

    return bridged(torch.from_numpy(found.data), torch.from_numpy(found.measured)).numpy()
