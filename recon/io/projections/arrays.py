"""Named arrays in NumPy, MATLAB and HDF5 files, and which of them the projections are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from recon.errors import InputError
from recon.io.checks import check_fits
from recon.io.hdf5 import dataset_of, is_hdf5, member, open_hdf5
from recon.io.matlab_files import is_matlab
from recon.io.matlab_structs import read_matlab_tree
from recon.io.numpy_files import Header, array_headers, read_array
from recon.io.projections.stored import Stored, ceiling_of

NAMES = ("sinogram", "projections", "sino", "proj", "data")
"""Names that arrays of projections usually have."""

ANGLE_NAMES = ("angles", "theta", "angle", "angles_deg", "angles_rad")
_ASSUMED = "taken as degrees"
_MOST_NAMED = 8
_LEAST_LENGTH = 2


class Arrays:
    """The numeric arrays of a file by their dotted names, read when they are asked for.

    Args:
        path: .npy, .npz, MATLAB or HDF5 file.

    Raises:
        InputError: a damaged file, or one that needs more memory than is free.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: dict[str, np.ndarray] = {}
        if is_matlab(path):
            self._held = read_matlab_tree(path)
            self.headers: Mapping[str, Header] = {name: (a.shape, a.dtype) for name, a in self._held.items()}
        elif is_hdf5(path):
            self.headers = _hdf5_headers(path)
        else:
            self.headers = {name: header for name, header in array_headers(path).items() if header[1].kind in "biuf"}

    def read(self, name: str) -> np.ndarray:
        """An array by its name."""
        if name in self._held:
            return self._held[name]
        if is_hdf5(self.path):
            with open_hdf5(self.path) as file:
                dataset = dataset_of(self.path, file, name.replace(".", "/"))
                check_fits(self.path, 3 * dataset.size * max(4, dataset.dtype.itemsize))
                return np.asarray(dataset[()])
        return read_array(self.path, name)

    def find(self, names: tuple[str, ...]) -> list[str]:
        """Those arrays whose name, without the struct that holds them, is one of ``names``."""
        return [name for name in self.headers if name.rsplit(".", 1)[-1].lower() in names]

    def named(self, name: str, parameter: str) -> np.ndarray:
        """An array that the user names; :class:`InputError` if there is none."""
        if name not in self.headers:
            raise InputError(f"`{parameter}` {name}: {self.path} has no such array; it holds {self.listing()}")
        return self.read(name)

    def listing(self) -> str:
        """Names and shapes, for a message."""
        parts = [f"{name} {shape}" for name, (shape, _) in self.headers.items()]
        return ", ".join(parts[:_MOST_NAMED]) + (", …" if len(parts) > _MOST_NAMED else "") if parts else "no array"


def read_arrays(arrays: Arrays, variable: str | None) -> Stored:
    """The projections of a file of arrays, and the view angles beside them, if there are any.

    Args:
        arrays: the arrays of the file.
        variable: name of the array; None takes the one that can be meant.

    Raises:
        InputError: no such array, or several that could be meant.
    """
    name = variable or _only(arrays)
    data = np.squeeze(arrays.named(name, "variable"))
    notices = () if variable or len(arrays.headers) == 1 else (f"the projections are its array {name}",)
    angles, said = _angles(arrays, name)
    return Stored(
        f"{arrays.path} ({name})" if len(arrays.headers) > 1 else str(arrays.path),
        data,
        angles=angles,
        ceiling=ceiling_of(data.dtype),
        notices=(*notices, *said),
        angles_assumed=bool(said) and said[0].endswith(_ASSUMED),
    )


def _only(arrays: Arrays) -> str:
    """The array that can be projections: by its name, or as the only one with two or three axes."""
    usable = [name for name, (shape, _) in arrays.headers.items() if _is_image(shape)]
    known = [name for name in usable if name in arrays.find(NAMES)]
    for candidates in (known, usable):
        if len(candidates) == 1:
            return candidates[0]
    what = "which array holds the projections? name it by `variable`" if usable else "no array of projections"
    raise InputError(f"{arrays.path}: {what}; it holds {arrays.listing()}")


def _is_image(shape: tuple[int, ...]) -> bool:
    lengths = [length for length in shape if length != 1]
    return len(lengths) in (2, 3) and min(lengths) >= _LEAST_LENGTH


def _angles(arrays: Arrays, name: str) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Radians from the array of angles beside the projections: degrees, unless its name says radians."""
    found = [each for each in arrays.find(ANGLE_NAMES) if each != name]
    if len(found) != 1:
        return None, ()
    values = np.ravel(arrays.read(found[0])).astype(float)
    if found[0].endswith("_rad"):
        return values, (f"the view angles are its array {found[0]}",)
    return np.radians(values), (f"the view angles are its array {found[0]}, {_ASSUMED}",)


def _hdf5_headers(path: Path) -> dict[str, Header]:
    import h5py

    headers: dict[str, Header] = {}

    def walk(group: h5py.Group, prefix: str, depth: int) -> None:
        for name in list(group)[:100]:
            found = member(path, group, name)
            if isinstance(found, h5py.Group) and depth:
                walk(found, f"{prefix}{name}.", depth - 1)
            elif isinstance(found, h5py.Dataset) and found.dtype.kind in "biuf":
                headers[prefix + name] = tuple(found.shape), found.dtype

    with open_hdf5(path) as file:
        walk(file, "", 4)
    return headers
