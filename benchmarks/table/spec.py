"""What a table compares: methods, scanners or masks, and the paper's data set, read from a short YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

TABLES = Path(__file__).parent / "specs"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OperatorSpec(_Section):
    """One way of measuring: a CT geometry with perhaps noise, or an MR mask.

    Attributes:
        name: as the table shows it.
        geometry: CT: preset or file.
        photons: CT: per detector cell; None is noise-free.
        mask: MR: kind of mask.
        accel: MR: nominal acceleration.
        noise: MR: standard deviation over the volume's maximum.
    """

    name: str
    geometry: str | None = None
    photons: float | None = Field(None, gt=0)
    mask: str | None = None
    accel: float | None = Field(None, ge=1)
    noise: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _is_one_of_them(self) -> OperatorSpec:
        if (self.geometry is None) == (self.mask is None):
            raise ValueError("either geometry (CT) or mask (MR) is wanted")
        return self


class MethodSpec(_Section):
    """One column.

    Attributes:
        method: as ``recon svct --method`` takes it.
        label: as the table shows it.
        settings: its options, as text.
        name: of the column, where one method has several; the method's own otherwise.
        in_paper: whether the paper's table has it.
    """

    method: str
    label: str
    settings: dict[str, str] = {}
    name: str = ""
    in_paper: bool = False

    @property
    def column(self) -> str:
        """What cells of this column are kept and asked for by."""
        return self.name or self.method


class TableSpec(_Section):
    """A table.

    Attributes:
        title: without the data set.
        modality: of all cases.
        paper_dataset: the data set that the paper's figures are of.
        operators: rows.
        methods: columns.
    """

    title: str
    modality: Literal["CT", "MR"]
    paper_dataset: str
    operators: tuple[OperatorSpec, ...] = Field(min_length=1)
    methods: tuple[MethodSpec, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_each_column_once(self) -> TableSpec:
        columns = [method.column for method in self.methods]
        twice = {column for column in columns if columns.count(column) > 1}
        if twice:
            raise ValueError(f"column {min(twice)} is there twice; give one of them a name")
        return self


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
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return TableSpec.model_validate(content)
    except OSError:
        raise ValueError(f"no table {name!r}; there are {', '.join(table_names())}, or name a YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"table {name}: not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise ValueError(f"table {name}: {where}: {problem['msg']}") from error
