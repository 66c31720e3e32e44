"""What a table compares: methods, scanners or masks, and the paper's data set, read from a short YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from benchmarks.specs import read_spec
from benchmarks.table.crime import crime_name, in_name
from datasets import find_entry
from priors.training.section import Section, setting
from recon.errors import InputError
from recon.methods import get_method, parse_options

TABLES = Path(__file__).parent / "specs"


class OperatorSpec(Section):
    """One way of measuring: a CT geometry with perhaps noise, or an MR mask.

    The name of a row whose scans are ideal says that they are an inverse crime, whoever writes the table.
    """

    name: str = setting(..., "name that the table shows")
    geometry: str | None = setting(None, "CT: preset or file")
    views: int | None = setting(None, "CT: number of views, spread over the geometry's arc; null keeps its own", ge=1)
    grid: tuple[int, int] | None = setting(
        None, "CT: (y, x) pixels of the result of volumes that are finer; null takes the volume's own", "pixels"
    )
    photons: float | None = setting(None, "CT: dose; null is noise-free", "photons per detector cell", gt=0)
    mask: str | None = setting(None, "MR: kind of mask")
    accel: float | None = setting(None, "MR: nominal acceleration", ge=1)
    noise: float | None = setting(
        None,
        "MR: standard deviation of the noise over the volume's maximum; null is 0.01 of a continuous object, else none",
        ge=0,
        lt=1,
    )
    coils: int = setting(1, "MR: receive coils of a scan that is simulated of a continuous object", ge=1)
    simulate: Literal["continuous", "ideal"] = setting(
        "continuous",
        "how volumes are scanned: as a continuous object, or by the operator that reconstructs them (inverse crime)",
    )

    @property
    def modality(self) -> Literal["CT", "MR"]:
        """The modality that is measured."""
        return "CT" if self.geometry is not None else "MR"

    @model_validator(mode="before")
    @classmethod
    def _says_what_is_an_inverse_crime(cls, values: Any) -> Any:
        if not (isinstance(values, dict) and isinstance(values.get("name"), str)):
            return values
        if isinstance(values.get("grid"), list):  # behind this function, a file's list no longer stands for a tuple
            values = values | {"grid": tuple(values["grid"])}
        ideal = values.get("simulate") == "ideal"
        if in_name(values["name"]) and not ideal:
            raise ValueError("only rows with simulate: ideal are an inverse crime; the name says another")
        return values | {"name": crime_name(values["name"])} if ideal else values

    @model_validator(mode="after")
    def _is_one_of_them(self) -> OperatorSpec:
        if (self.geometry is None) == (self.mask is None):
            raise ValueError("either geometry (CT) or mask (MR) is wanted")
        if self.geometry is not None and (self.accel is not None or self.noise is not None or self.coils != 1):
            raise ValueError("accel, noise and coils belong to a mask (MR), not to a geometry (CT)")
        if self.mask is not None and (self.photons, self.views, self.grid) != (None, None, None):
            raise ValueError("photons, views and grid belong to a geometry (CT), not to a mask (MR)")
        if self.grid is not None and self.simulate == "ideal":
            raise ValueError("a grid coarser than the volume's is for scans of a continuous object")
        if self.simulate == "ideal" and self.coils != 1:
            raise ValueError("several coils are simulated of a continuous object only")
        return self


class MethodSpec(Section):
    """One column."""

    method: str = setting(..., "name of the method, as `method` of a reconstruction")
    label: str = setting(..., "label that the table shows")
    settings: dict[str, str] = setting({}, "options of the method, as text")
    name: str = setting("", "name of the column, where one method has several; the method's own otherwise")
    in_paper: bool = setting(False, "whether the paper's table has the column")

    @property
    def column(self) -> str:
        """The name by which cells of this column are kept and asked for."""
        return self.name or self.method


class TableSpec(Section):
    """A table."""

    title: str = setting(..., "title without the data set")
    modality: Literal["CT", "MR"] = setting(..., "modality of all cases")
    paper_dataset: str = setting("", "data set that the paper's figures are of; none for a table of one's own")
    operators: tuple[OperatorSpec, ...] = setting(..., "rows: ways of measuring")
    methods: tuple[MethodSpec, ...] = setting(..., "columns: methods")

    @model_validator(mode="after")
    def _is_of_one_modality(self) -> TableSpec:
        if self.paper_dataset:
            find_entry(self.paper_dataset)
        other = [each.name for each in self.operators if each.modality != self.modality]
        if other:
            raise ValueError(f"operator {other[0]} does not measure {self.modality}")
        return self

    @model_validator(mode="after")
    def _has_each_column_once(self) -> TableSpec:
        if not self.operators or not self.methods:
            raise ValueError("at least one operator and one method are wanted")
        columns = [method.column for method in self.methods]
        twice = {column for column in columns if columns.count(column) > 1}
        if twice:
            raise ValueError(f"column {min(twice)} is there twice; give one of them a name")
        return self


def check_methods(spec: TableSpec) -> None:
    """Refuse methods that do not exist, and options that they do not have.

    Raises:
        InputError: names the column.
    """
    for each in spec.methods:
        try:
            parse_options(get_method(spec.modality, each.method), each.settings)
        except InputError as error:
            raise InputError(f"column {each.column} of the table: {error}") from error


def table_names() -> list[str]:
    """Names of the tables that compare methods."""
    return sorted(path.stem for path in TABLES.glob("*.yaml"))


def load_table_spec(name: str) -> TableSpec:
    """A shipped table by name, or one from a YAML file.

    Raises:
        ValueError: no such table, not YAML, or a wrong key or value; one line.
    """
    path = TABLES / f"{name}.yaml" if name in table_names() else Path(name)
    try:
        return read_spec(TableSpec, path, f"table {name}")
    except FileNotFoundError:
        raise ValueError(f"no table {name!r}; there are {', '.join(table_names())}, or name a YAML file") from None
