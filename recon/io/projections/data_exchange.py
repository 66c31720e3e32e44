"""Data Exchange, the HDF5 layout of synchrotron tomography (De Carlo et al. 2014, J Synchrotron Rad 21:1224)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from recon.errors import InputError
from recon.io.checks import check_fits
from recon.io.hdf5 import dataset_of, member, open_hdf5
from recon.io.projections.stored import Stored, ceiling_of

_AXES = {"theta": "v", "y": "z", "x": "c"}


def is_data_exchange(path: Path) -> bool:
    """Whether an HDF5 file has the group ``exchange`` with ``data``."""
    with open_hdf5(path) as file:
        return member(path, file, "exchange/data") is not None


def read_data_exchange(path: Path, rows: slice) -> Stored:
    """Counts, flats, darks and angles of a file.

    Args:
        path: the file.
        rows: the detector rows to read.

    Raises:
        InputError: a damaged file, data that are not 3D, or more than the memory holds.
    """
    with open_hdf5(path) as file:
        dataset = _real(path, file, "exchange/data")
        axes = _axes_of(dataset)
        if dataset.ndim != 3:
            raise InputError(f"{path}: 'exchange/data' is {dataset.shape}; it must be (theta, y, x)")
        data = _part(path, dataset, rows, axes.index("z"))
        frames = {
            name: _part(path, _real(path, file, f"exchange/{name}"), rows, 1)
            for name in ("data_white", "data_dark")
            if member(path, file, f"exchange/{name}") is not None
        }
        angles, said = _angles(path, file)
    return Stored(
        str(path),
        data,
        axes,
        frames.get("data_white"),
        frames.get("data_dark"),
        angles,
        intensities=True if "data_white" in frames else None,
        ceiling=ceiling_of(data.dtype),
        notices=said,
        rows_cut=True,
    )


def _real(path: Path, file: Any, name: str) -> Any:
    dataset = dataset_of(path, file, name)
    if dataset.dtype.kind not in "biuf":
        raise InputError(f"{path}: {name!r} holds {dataset.dtype}; real numbers are needed")
    return dataset


def _axes_of(dataset: Any) -> str:
    """The axes as the file names them, or those of the layout's description."""
    stated = dataset.attrs.get("axes", "theta:y:x")
    stated = stated.decode() if isinstance(stated, bytes) else str(stated)
    axes = "".join(_AXES.get(name, "?") for name in stated.split(":"))
    return axes if sorted(axes) == ["c", "v", "z"] else "vzc"


def _part(path: Path, dataset: Any, rows: slice, axis: int) -> np.ndarray:
    if dataset.ndim != 3:
        raise InputError(f"{path}: {dataset.name!r} is {dataset.shape}; it must be (frames, y, x)")
    index: list[slice] = [slice(None)] * 3
    index[axis] = rows
    length = len(range(*rows.indices(dataset.shape[axis])))
    check_fits(path, 12 * dataset.size // dataset.shape[axis] * max(1, length))
    return np.asarray(dataset[tuple(index)])


def _angles(path: Path, file: Any) -> tuple[np.ndarray | None, tuple[str, ...]]:
    if member(path, file, "exchange/theta") is None:
        return None, ()
    dataset = _real(path, file, "exchange/theta")
    unit = dataset.attrs.get("units", "degrees")
    unit = unit.decode() if isinstance(unit, bytes) else str(unit)
    values = np.ravel(np.asarray(dataset[()], float))
    radians = unit.lower().startswith("rad")
    return values if radians else np.radians(values), ("the view angles are its 'exchange/theta'",)
