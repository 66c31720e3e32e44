"""Who trains and who is tested: nobody who is tested trains, nor does a volume made of their mask."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.downstream.folds import FOLDS, SETTINGS, divide, find_settings, splits
from datasets.case import Case
from datasets.sets.phantom import parse_phantom


def case(number: int, subject: int, split: str = "train") -> Case:
    return Case(f"case{number}", f"subject{subject}", "CT", "volume", Path(f"case{number}.nii.gz"), split)


CASES = [case(number, number // 2) for number in range(40)] + [case(100, 100, "test"), case(101, 101, "val")]
DIVISION = divide(CASES)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda each: each.key)
def test_a_synthetic_volume_never_trains_where_the_case_of_its_mask_validates(setting):
    by_name = {name: member for member in DIVISION.training for name in (member.real, member.synthetic)}
    parts = splits(DIVISION, setting)
    assert len(parts) == FOLDS
    for part in parts:
        validated = {by_name[name].case.subject for name in part["val"]}
        assert validated
        assert not validated & {by_name[name].case.subject for name in part["train"]}
        assert all(name.startswith("real") for name in part["val"])
    assert sorted(name for part in parts for name in part["val"]) == [each.real for each in DIVISION.training]


def test_the_held_out_cases_are_in_no_split():
    assert [each.id for each in DIVISION.test] == ["case100"]
    assert "case100" not in {member.case.id for member in DIVISION.training}
    assert len(DIVISION.training) == 41, "the split val trains too"


def test_settings_are_those_of_the_paper():
    full = len(splits(DIVISION, SETTINGS[2])[0]["train"])
    found = []
    for setting in SETTINGS:
        names = splits(DIVISION, setting)[0]["train"]
        real = sum(name.startswith("real") for name in names)
        found.append((real / full, (len(names) - real) / full))
    assert found[0] == (0, 1)
    assert found[1] == pytest.approx((0.5, 0.5), abs=0.1)
    assert found[2] == (1, 0)
    assert found[3] == pytest.approx((1, 0.5), abs=0.1)
    assert found[4] == (1, 1)


def test_synthetic_volumes_of_the_mixed_setting_are_of_the_masks_whose_images_do_not_train():
    numbers = {"real": set(), "synthetic": set()}
    for name in SETTINGS[1].members(DIVISION, 0):
        kind, number = name[:-4], name[-4:]
        numbers[kind].add(number)
    assert numbers["real"]
    assert not numbers["real"] & numbers["synthetic"]


def test_cases_of_a_subject_stay_together_and_the_order_of_cases_changes_nothing():
    again = divide(CASES[::-1])
    places = {member.case.id: (member.fold, member.half) for member in DIVISION.training}
    assert {member.case.id: (member.fold, member.half) for member in again.training} == places
    for number in range(0, 40, 2):
        assert places[f"case{number}"] == places[f"case{number + 1}"]


def test_the_official_test_split_of_a_data_set_is_held_out():
    cases = parse_phantom("count=40").cases()
    assert {each.split for each in divide(cases).test} == {"test"}


def test_too_little_is_refused():
    with pytest.raises(ValueError, match="no case is in the split test"):
        divide(CASES[:40])
    with pytest.raises(ValueError, match="9 subjects are not in the split test; 5 folds"):
        divide([*(case(number, number) for number in range(9)), CASES[40]])
    with pytest.raises(ValueError, match="in two splits"):
        divide([*CASES, case(200, 3, "test")])
    with pytest.raises(ValueError, match="`methods` both: no setting; there are synthetic, mixed, real"):
        find_settings(["both"])
