"""What is measured and how it is scored, read from a short YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from benchmarks.specs import read_spec
from benchmarks.table.crime import INVERSE_CRIME, in_name
from priors.training.section import Section, setting

HERE = Path(__file__).parent
TABLES = ("real-ct", "real-mr")
"""Names of the shipped tables of real scans."""

ScoreKind = Literal["truth", "segmentation", "all-views", "held-out"]


class Projections(Section):
    """Measured CT projections of another program."""

    geometry: str | None = setting(None, "geometry file beside the table; null where the data state their geometry")
    detector_row: int | None = setting(None, "the only detector row that is taken; null takes all", ge=0)
    every: int = setting(1, "step between the views that are reconstructed", ge=1)
    centre: Literal["auto"] | None = setting(None, "auto finds the axis of rotation from the data")
    grid: tuple[int, int] | None = setting(None, "(y, x) pixels of the image; null takes what the scanner sees")
    pixel_mm: float | None = setting(None, "size of a pixel", "mm", gt=0)
    lengths_known: bool = setting(True, "whether the geometry's lengths are those of the scanner")


class NativeVolume(Section):
    """A CT volume that is scanned as an object finer than the result."""

    geometry: str = setting(..., "geometry of the scan: preset or file")
    grid: tuple[int, int] | None = setting(None, "(y, x) pixels of the result; null takes the volume's own")
    photons: float | None = setting(None, "dose; null is noise-free", "photons per detector cell", gt=0)
    simulate: Literal["continuous", "ideal"] = setting("continuous", "how the scan is simulated")


class MeasuredKSpace(Section):
    """Measured k-space, undersampled here where a mask is named."""

    axes: str | None = setting(None, "axes of an array; null where the file states them")
    mask: str | None = setting(None, "kind of mask; null keeps the samples that were measured")
    accel: float | None = setting(None, "nominal acceleration of the mask", ge=1)


class RowSpec(Section):
    """One scan: a file, how it is made a measurement, and its score."""

    name: str = setting(..., "name that the table shows")
    file: str = setting(..., "file of the scan, relative to the folder of the data")
    score: ScoreKind = setting(..., "how results are scored")
    truth: str | None = setting(None, "segmentation: picture of the true segmentation")
    projections: Projections | None = setting(None, "CT: measured projections")
    volume: NativeVolume | None = setting(None, "CT: a volume to scan")
    kspace: MeasuredKSpace | None = setting(None, "MR: measured k-space")

    @property
    def modality(self) -> Literal["CT", "MR"]:
        """The modality that is measured."""
        return "CT" if self.kspace is None else "MR"

    @property
    def files(self) -> tuple[str, ...]:
        """All files of the row."""
        return (self.file,) if self.truth is None else (self.file, self.truth)

    @model_validator(mode="after")
    def _is_one_kind_of_scan(self) -> RowSpec:
        given = [each for each in (self.projections, self.volume, self.kspace) if each is not None]
        if len(given) != 1:
            raise ValueError(f"row {self.name}: one of projections, volume and kspace is wanted")
        if (self.score == "segmentation") != (self.truth is not None):
            raise ValueError(f"row {self.name}: segmentation needs a truth, and no other score takes one")
        fitting = {"segmentation": self.projections, "all-views": self.projections, "held-out": self.kspace}
        if self.score in fitting and fitting[self.score] is None:
            raise ValueError(f"row {self.name}: such a scan cannot be scored by {self.score}")
        if in_name(self.name) != (self.volume is not None and self.volume.simulate == "ideal"):
            raise ValueError(
                f"row {self.name}: the name must say {INVERSE_CRIME} where a scan is ideal, and only there"
            )
        return self


class MeasuredSpec(Section):
    """A table of real scans."""

    title: str = setting(..., "title of the table")
    modality: Literal["CT", "MR"] = setting(..., "modality of all scans")
    rows: tuple[RowSpec, ...] = setting(..., "the scans")

    @model_validator(mode="after")
    def _is_of_one_modality(self) -> MeasuredSpec:
        names = [row.name for row in self.rows]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"row {min(twice)} is there twice")
        other = [row.name for row in self.rows if row.modality != self.modality]
        if other:
            raise ValueError(f"row {other[0]} is no scan of {self.modality}")
        return self


def load_measured_spec(name: str) -> MeasuredSpec:
    """A shipped table of real scans by its name.

    Raises:
        ValueError: a damaged file; one line.
    """
    return read_spec(MeasuredSpec, HERE / f"{name}.yaml", f"table {name}")


def find_file(name: str, folders: tuple[Path, ...]) -> Path | None:
    """A file in one of the folders, under its whole relative name or the end of it; None if it is in none."""
    parts = Path(name).parts
    tails = [Path(*parts[first:]) for first in range(len(parts))]
    return next((folder / tail for tail in tails for folder in folders if (folder / tail).exists()), None)
