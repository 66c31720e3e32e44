"""What a user says of projections that are imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recon.errors import InputError
from recon.io.projections.angles import AngleUnit


@dataclass(frozen=True)
class ImportRequest:
    """What a user says of projections; None takes what the files say, or what the notices then state.

    Attributes:
        paths: one file, or several TIFF files, or a folder of these.
        geometry: preset or geometry file; may leave the angles out where the projections or ``angles`` have them.
        variable: name of the array in a file that holds several.
        axes: axes of the array: z (detector rows), v (views), c (cells), such as ``vzc``.
        angles: text file with the view angles, or the name of an array in the file of the projections.
        angle_unit: unit of these.
        flat: readings without an object: a file, a number, or the name of an array in the file of the projections.
        dark: readings without a beam, in the same way.
        minus_log: whether the data are counts or transmissions, of which the logarithm is taken.
        bin: number of cells that are binned to one.
        rows: first detector row and the one after the last.
        grid: (y, x) pixels of the image.
        pixel: their size, mm.
        slice_spacing: distance between detector rows at the isocentre, mm; of a cone beam, between slices.
        slices: number of slices of a cone beam's volume; scans of single slices have one for each detector row.
        rings: whether what single cells add to every view is taken off.
        centre: place of the axis of rotation on the detector, mm from its middle towards the last cell; ``auto`` finds
            it from the data; None believes the geometry's offset.
    """

    paths: tuple[Path, ...]
    geometry: str | None = None
    variable: str | None = None
    axes: str | None = None
    angles: str | None = None
    angle_unit: AngleUnit | None = None
    flat: str | None = None
    dark: str | None = None
    minus_log: bool | None = None
    bin: int = 1
    rows: tuple[int, int] | None = None
    grid: tuple[int, int] | None = None
    pixel: float | None = None
    slice_spacing: float | None = None
    slices: int | None = None
    rings: bool = False
    centre: float | Literal["auto"] | None = None

    def __post_init__(self) -> None:
        if not self.paths:
            raise InputError("`files`: give the file with the projections")
        if self.bin < 1:
            raise InputError(f"`bin` {self.bin}: must be 1 or more cells")
        if self.rows is not None and not 0 <= self.rows[0] < self.rows[1]:
            raise InputError(f"`rows` {self.rows[0]}:{self.rows[1]}: must be FIRST:STOP, from 0, with STOP above FIRST")
        for name in ("pixel", "slice_spacing"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"`{name}` {value:g}: must be above 0 mm")
        if self.slices is not None and self.slices < 1:
            raise InputError(f"`slices` {self.slices}: must be 1 or more")
        if self.grid is not None and min(self.grid) < 1:
            raise InputError(f"`grid` {self.grid[0]},{self.grid[1]}: must be 1 pixel or more along each axis")
