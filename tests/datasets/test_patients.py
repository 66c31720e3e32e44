"""Ages and sexes of data sets: DICOM tags, tables, and what is kept of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from datasets.case import Case
from datasets.identity import quick_identity
from datasets.patients import dicom_age, dicom_sex, read_patients, stated_age, stated_sex


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("045Y", 45.0),
        ("018M", 1.5),
        ("052W", 52 * 7 / 365.25),
        ("010D", 10 / 365.25),
        ("089Y", 89.0),
        ("090Y", 90.0),
        ("101Y", 90.0),
        (" 030Y ", 30.0),
        ("030y", 30.0),
        ("000Y", 0.0),
        *((bad, None) for bad in ("", "45", "45Y", "0045Y", "045", "XXXY", "-10Y", "045Z", "250Y", "999M9")),
    ],
)
def test_age_strings_of_dicom(text: str, years: float | None) -> None:
    assert dicom_age(text) == (None if years is None else pytest.approx(years))


def test_sexes_of_dicom() -> None:
    assert [dicom_sex(text) for text in ("F", "M", "m ", "O", "", "X")] == ["female", "male", "male", None, None, None]


def test_what_tables_state() -> None:
    assert [stated_age(text) for text in ("45", "45.5", "018M", "90+", "97", "n/a", "", "unknown")] == [
        *(45.0, 45.5, 1.5, 90.0, 90.0),
        *(None, None, None),
    ]
    assert [stated_sex(text) for text in ("F", "male", "Female", "n/a", "other")] == [
        *("female", "male", "female"),
        *(None, None),
    ]
    for text in ("abc", "-1", "121", "nan?", "inf"):
        with pytest.raises(ValueError, match=r"age .* 0 to 120"):
            stated_age(text)
    with pytest.raises(ValueError, match="sex '3': female, male, F, M or nothing is wanted"):
        stated_sex("3")


def case(path: Path, root: Path) -> Case:
    name = path.relative_to(root).as_posix().removesuffix(".nii.gz")
    return Case(name, path.name.removesuffix(".nii.gz"), "CT", "volume", path, "train", {"series": "1", "age": "30"})


def test_a_table_names_cases_files_folders_or_subjects(tmp_path: Path) -> None:
    table = tmp_path / "people.tsv"
    table.write_text(
        "participant_id\tgroup\tsex\tage\nsub-01\tx\tF\t34\ndeep/b.nii.gz\ty\tn/a\t100\nc\tz\tM\tn/a\n\n",
        encoding="utf-8",
    )
    cases = [
        case(tmp_path / name, tmp_path) for name in ("sub-01/anat/a.nii.gz", "deep/b.nii.gz", "c.nii.gz", "d.nii.gz")
    ]
    told = [each.details for each in read_patients(table).told(cases, tmp_path)]
    assert told == [
        {"series": "1", "age": "34", "sex": "female"},
        {"series": "1", "age": "90"},
        {"series": "1", "age": "30", "sex": "male"},
        {"series": "1", "age": "30"},
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty; a table with the columns"),
        ("case,weight\na,3\n", "no column age or sex after the first; it has case, weight"),
        ("age\n3\n", "no column age or sex after the first"),
        ("case,age\na,old\n", "line 2: age 'old'"),
        ("case,age\na,3\nb,500\n", "line 3: age '500'"),
        ("case,age,sex\na,3,F\na,4,F\n", "line 3: 'a' has another age or sex than before"),
    ],
)
def test_bad_tables_are_one_line(tmp_path: Path, text: str, words: str) -> None:
    table = tmp_path / "patients.csv"
    table.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=words) as refusal:
        read_patients(table)
    assert str(table) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_table_of_other_people_and_a_file_that_is_none_are_one_line(tmp_path: Path) -> None:
    table = tmp_path / "patients.csv"
    table.write_text("case,age\nx,3\n", encoding="utf-8")
    with pytest.raises(ValueError, match="none of its names"):
        read_patients(table).told([case(tmp_path / "a.nii.gz", tmp_path)], tmp_path)
    for path, content in ((tmp_path / "no.csv", None), (tmp_path / "bytes.csv", b"\xff\xfe\x00")):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ValueError, match="cannot be read as a table"):
            read_patients(path)


def test_an_age_that_is_learned_later_makes_no_file_another(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"x")
    one = case(path, tmp_path)
    assert quick_identity(one) == quick_identity(replace(one, details={"series": "1", "sex": "male"}))
    assert quick_identity(one) != quick_identity(replace(one, details={"series": "2", "age": "30"}))
