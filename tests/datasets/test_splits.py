"""One subject, one split, for ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.case import Case, Split
from datasets.splits import check_no_leak, read_splits, split_by_hash

HASHED = ["train", "val", "test", "test", "val"]
SUBJECTS = st.text(min_size=1, max_size=12)


def case(name: str, subject: str, split: Split) -> Case:
    return Case(name, subject, "CT", "volume", Path(name), split)


@settings(deadline=None, max_examples=60)
@given(st.lists(SUBJECTS, max_size=12), st.lists(SUBJECTS, max_size=12))
def test_adding_subjects_moves_no_other(before: list[str], added: list[str]) -> None:
    first = {subject: split_by_hash(subject) for subject in before}
    second = {subject: split_by_hash(subject) for subject in added + before}
    assert first.items() <= second.items()


def test_hash_shares_are_those_stated_and_do_not_depend_on_the_machine() -> None:
    splits = [split_by_hash(f"patient {index}") for index in range(4000)]
    assert splits.count("test") / 4000 == pytest.approx(0.2, abs=0.02)
    assert splits.count("val") / 4000 == pytest.approx(0.1, abs=0.02)
    assert [split_by_hash(name) for name in ("a", "b", "c", "d", "é")] == HASHED


def test_a_subject_in_two_splits_is_refused() -> None:
    check_no_leak([case("a", "anne", "train"), case("b", "anne", "train"), case("c", "bert", "val")])
    with pytest.raises(ValueError, match=r"'anne' is in two splits: a \(train\) and b \(test\)"):
        check_no_leak([case("a", "anne", "train"), case("b", "anne", "test")])


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_stated_splits_go_by_any_name_of_a_case(tmp_path: Path) -> None:
    stated = read_splits(write(tmp_path / "s.json", {"train": ["a/1.nii.gz"], "val": ["bert"], "test": []}))
    assert stated.split_of(["a/1", "a/1.nii.gz", "anne"]) == "train"
    assert stated.split_of(["b/2", "b/2.nii.gz", "bert"]) == "val"
    assert stated.split_of(["c/3"]) is None
    stated.check_known(["a/1.nii.gz", "bert", "other"])
    with pytest.raises(ValueError, match=r"'bert' is no case or subject of this data set; did you mean 'berta'\?"):
        stated.check_known(["a/1.nii.gz", "berta"])
    with pytest.raises(ValueError, match=r"listed as 'a/1.nii.gz' \(train\) and 'bert' \(val\)"):
        stated.split_of(["a/1.nii.gz", "bert"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"train": ["a"], "val": ["a"]}, r"'a' is listed twice \(train and val\)"),
        ({"train": ["a", "a"]}, "'a' is listed twice"),
        ({"training": ["a"]}, "must be"),
        (["a"], "must be"),
        ({"train": "a"}, "'train' must be a list of names"),
        ({"train": [1]}, "'train' must be a list of names"),
    ],
)
def test_wrong_split_files_are_refused(tmp_path: Path, content: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_splits(write(tmp_path / "s.json", content))


def test_unreadable_split_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text("{")
    for name in ("s.json", "absent.json"):
        with pytest.raises(ValueError, match=f"{name}: cannot be read as JSON"):
            read_splits(tmp_path / name)
