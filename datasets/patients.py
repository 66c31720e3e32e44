"""Age and sex of the people in a data set: how files write them, what is kept of them, and tables that list them.

What is kept stands in the details of a case, ``age`` in years and ``sex``; what a file does not say, or says in a way
that means nothing, is unknown and stands nowhere. Ages above 89 are kept as 90: with them a person could be told from
others (HIPAA's safe harbour, 45 CFR 164.514(b)). Names are kept nowhere here.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from datasets.case import AGE, SEX, Case
from datasets.walk import without_suffix
from datasets.whole_file import whole_file

PATIENTS_FILE = "patients.csv"
"""The table of ages and sexes that a folder may hold itself."""

OLDEST = 90.0
_MOST_YEARS = 120.0

_UNITS = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}
"""How many of each unit of DICOM's age strings make a year."""

_AGE_STRING = re.compile(r"(\d{3})([DWMY])")
_SEXES: Mapping[str, Literal["female", "male"]] = {"f": "female", "female": "female", "m": "male", "male": "male"}
_NOTHING = {"", "n/a", "na", "nan", "none", "null", "unknown", "?", "-"}
_OTHER_SEXES = {"o", "other"}


def capped(years: float) -> float:
    """An age as it may be kept: above 89 it is 90."""
    return OLDEST if years > OLDEST - 1 else years


def dicom_age(text: str) -> float | None:
    """The age in years of a DICOM age string such as ``045Y``, ``018M``, ``006W`` or ``010D``; None for any other."""
    found = _AGE_STRING.fullmatch(text.strip().upper())
    if found is None:
        return None
    years = int(found.group(1)) / _UNITS[found.group(2)]
    return capped(years) if years <= _MOST_YEARS else None


def dicom_sex(text: str) -> Literal["female", "male"] | None:
    """The sex of a DICOM code string, ``F`` or ``M``; None for ``O`` (other) and any other."""
    return _SEXES.get(text.strip().lower())


def stated_age(text: str) -> float | None:
    """The age in years that a table or a list states, as years or as a DICOM age string; None where it says nothing.

    Raises:
        ValueError: it is neither, or no age from 0 to 120 years.
    """
    plain = text.strip()
    if plain.lower() in _NOTHING:
        return None
    years = dicom_age(plain)
    if years is None:
        try:
            years = float(plain.removesuffix("+"))  # "90+" is how some tables write what is capped
        except ValueError:
            raise ValueError(f"age {text!r}: years from 0 to {_MOST_YEARS:g} are wanted, or such as 018M") from None
    if not (math.isfinite(years) and 0 <= years <= _MOST_YEARS):
        raise ValueError(f"age {text!r}: must be from 0 to {_MOST_YEARS:g} years")
    return capped(years)


def stated_sex(text: str) -> Literal["female", "male"] | None:
    """The sex that a table or a list states, such as F, male or n/a; None where it says nothing, or other.

    Raises:
        ValueError: any other text.
    """
    plain = text.strip().lower()
    if plain in _NOTHING | _OTHER_SEXES:
        return None
    if plain not in _SEXES:
        raise ValueError(f"sex {text!r}: female, male, F, M or nothing is wanted")
    return _SEXES[plain]


def details_of(age: float | None, sex: str | None) -> dict[str, str]:
    """What is known of a person as details of a case."""
    return ({} if age is None else {AGE: f"{age:.6g}"}) | ({} if sex is None else {SEX: sex})


@dataclass(frozen=True)
class PatientTable:
    """Ages and sexes by the name of a case, a file, a folder or a subject.

    Attributes:
        file: the file of the table.
        rows: what is known of each name, as details of a case.
    """

    file: Path
    rows: Mapping[str, Mapping[str, str]]

    def told(self, cases: list[Case], root: Path) -> list[Case]:
        """The cases with what the table knows of them; that goes before what a file's own header says.

        Args:
            cases: the cases of a data set.
            root: the folder that names of files are relative to.

        Raises:
            ValueError: the table knows none of the cases.
        """
        found = [self._of(case, root) for case in cases]
        if cases and all(row is None for row in found):
            names = ", ".join(repr(name) for name in list(self.rows)[:2])
            raise ValueError(
                f"{self.file}: none of its names ({names}, …) is a case, file, folder or subject of {root}"
            )
        return [replace(case, details={**case.details, **(row or {})}) for case, row in zip(cases, found, strict=True)]

    def _of(self, case: Case, root: Path) -> Mapping[str, str] | None:
        path = case.path.relative_to(root) if case.path.is_relative_to(root) else Path(case.path.name)
        files = (path.as_posix(), without_suffix(path.as_posix()), path.name, without_suffix(path.name))
        folders = (folder.name for folder in path.parents)  # such as sub-01 of BIDS
        names = (case.id, *files, case.subject, *folders)
        return next((self.rows[name] for name in names if name in self.rows), None)


def read_patients(file: Path) -> PatientTable:
    """A table of ages and sexes: text with commas or tabs, whose first line names the columns.

    The first column holds the name of a case, file, folder or subject; ``age`` and ``sex``, of which one may be
    missing, are found by their titles. Others are passed over.

    Raises:
        ValueError: no such file, no such columns, a value that is no age or sex, or a name with two rows that differ.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: cannot be read as a table ({' '.join(str(error).split())})") from error
    lines = text.splitlines()
    if not lines:
        raise ValueError(f"{file}: empty; a table with the columns case, age and sex is wanted")
    reader = csv.reader(lines, delimiter="\t" if "\t" in lines[0] else ",")
    titles = [title.strip().lower() for title in next(reader)]
    columns = {name: titles.index(name) for name in (AGE, SEX) if name in titles[1:]}
    if not columns:
        raise ValueError(f"{file}: its first line has no column age or sex after the first; it has {', '.join(titles)}")
    rows: dict[str, dict[str, str]] = {}
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        name, known = row[0].strip(), _known(f"{file}, line {reader.line_num}", row, columns)
        if rows.setdefault(name, known) != known:
            raise ValueError(f"{file}, line {reader.line_num}: {name!r} has another age or sex than before")
    return PatientTable(file, rows)


def table_in(root: Path) -> PatientTable | None:
    """The table that a folder holds itself; None without one.

    Raises:
        ValueError: a table that cannot be used.
    """
    own = root / PATIENTS_FILE
    return read_patients(own) if own.is_file() else None


def write_patients(cases: Sequence[Case], folder: Path) -> Path | None:
    """Write what is known of generated cases as ``folder/patients.csv``; returns the file, or None where nothing is.

    Args:
        cases: the generated cases; their names are those of nobody.
        folder: the folder of the data set, which :func:`table_in` reads.
    """
    known = [case for case in cases if AGE in case.details or SEX in case.details]
    if not known:
        return None
    rows = [f"{case.id},{case.details.get(AGE, '')},{case.details.get(SEX, '')}" for case in known]
    path = folder / PATIENTS_FILE
    with whole_file(path) as temporary:
        temporary.write_text("\n".join([f"case,{AGE},{SEX}", *rows]) + "\n", encoding="utf-8")
    return path


def _known(where: str, row: list[str], columns: Mapping[str, int]) -> dict[str, str]:
    cells = {name: row[place] if place < len(row) else "" for name, place in columns.items()}
    try:
        return details_of(stated_age(cells.get(AGE, "")), stated_sex(cells.get(SEX, "")))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
