"""Readouts as they arrive, into an ISMRMRD file, which the suite's own reader then reads with all of its rules."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from recon.serve.messages import ACQUISITION_HEADER

_AT_ONCE = 256
"""Readouts that are written together."""


class RawFile:
    """An ISMRMRD file that grows; to be used as a context.

    Args:
        path: the new file.
        header: the XML header of the measurement.
    """

    def __init__(self, path: Path, header: str) -> None:
        path.touch(mode=0o600, exist_ok=False)
        self._file = h5py.File(path, "w")
        group = self._file.create_group("dataset")
        group.create_dataset("xml", data=np.array([header.encode()], object), dtype=h5py.special_dtype(vlen=bytes))
        floats = h5py.vlen_dtype(np.dtype("<f4"))
        self._row = np.dtype([("head", ACQUISITION_HEADER), ("traj", floats), ("data", floats)])
        self._table = group.create_dataset("data", (0,), self._row, maxshape=(None,), chunks=(_AT_ONCE,))
        self._rows: list[tuple[Any, np.ndarray, np.ndarray]] = []
        self.count = 0

    def add(self, head: np.void, trajectory: np.ndarray, samples: np.ndarray) -> None:
        """Append a readout."""
        self._rows.append((head, trajectory, samples))
        self.count += 1
        if len(self._rows) == _AT_ONCE:
            self._write()

    def _write(self) -> None:
        if not self._rows:
            return
        rows = np.empty(len(self._rows), self._row)
        for row, values in zip(rows, self._rows, strict=True):
            row["head"], row["traj"], row["data"] = values
        first = len(self._table)
        self._table.resize((first + len(rows),))
        self._table[first:] = rows
        self._rows.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._write()
        finally:
            self._file.close()
