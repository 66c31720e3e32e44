"""Phantoms of people: size and bone follow age and sex, and nothing else changes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from datasets import open_dataset
from datasets.anatomy_phantom.constitution import UNTOLD, constitution
from datasets.patients import write_patients
from datasets.sets.phantom import label_map, voxels, write_nifti

SMALL = "phantom:count=3,anatomy=chest,size=24x64x64,spacing=10x6.5x6.5"


def shape(settings: str) -> tuple[float, float]:
    """The mean number of voxels of bodies, and the mean share of bone in them."""
    bodies, bones = [], []
    for case in open_dataset(f"{SMALL},{settings}").cases():
        data, _ = voxels(case)
        bodies.append((data > -300).sum())
        bones.append((data > 180).sum() / bodies[-1])
    return float(np.mean(bodies)), float(np.mean(bones))


def test_bodies_grow_and_men_are_larger() -> None:
    sizes = [shape(f"age={age},sex=male")[0] for age in (2, 10, 18)]
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.5 * sizes[2]
    assert shape("age=40,sex=female")[0] < 0.85 * shape("age=40,sex=male")[0]
    assert shape("age=60,sex=male")[0] == pytest.approx(shape("age=30,sex=male")[0], rel=0.01)


def test_adults_lose_bone_and_women_more_after_fifty() -> None:
    bone = {sex: [shape(f"age={age},sex={sex}")[1] for age in (25, 45, 65, 85)] for sex in ("female", "male")}
    for shares in bone.values():
        assert all(later < 0.95 * earlier for earlier, later in pairwise(shares))
    lost = {sex: shares[2] / shares[0] for sex, shares in bone.items()}
    assert lost["female"] < lost["male"]


def test_the_rules_of_a_constitution() -> None:
    assert constitution(None, None) is UNTOLD
    density = [constitution(age, "female").density for age in (0, 10, 25)]
    assert density == sorted(density)
    assert constitution(25, "male").density == constitution(25, "female").density == 1
    assert constitution(95, "male") == constitution(90, "male")
    assert constitution(None, "male").density == 1
    middle = constitution(70, None)
    assert constitution(70, "female").density < middle.density < constitution(70, "male").density


def test_cases_say_their_age_and_sex_the_same_way_every_time() -> None:
    cases = open_dataset("phantom:count=40,age=20-90,sex=mixed").cases()
    ages = [float(case.details["age"]) for case in cases]
    assert 20 <= min(ages) < 30
    assert 80 < max(ages) <= 90
    assert {case.details["sex"] for case in cases} == {"female", "male"}
    of_one = open_dataset("phantom:count=40,age=20-90,sex=female").cases()
    assert [case.details["age"] for case in of_one] == [case.details["age"] for case in cases]
    assert {case.details["sex"] for case in of_one} == {"female"}
    assert "sex" not in open_dataset("phantom:count=1,age=50").cases()[0].details
    assert "age" not in open_dataset("phantom:count=1").cases()[0].details


def test_label_maps_are_of_the_same_body() -> None:
    case = open_dataset("phantom:count=1,anatomy=chest,size=32x48x48,spacing=12x8x8,age=8,sex=male").cases()[0]
    data, labels = voxels(case)[0], label_map(case)
    assert labels.any()
    assert (data[labels > 0] > -700).all()


def test_written_phantoms_have_a_table_that_the_folder_is_read_with(tmp_path: Path) -> None:
    cases = open_dataset("phantom:count=3,size=12x24x24,spacing=20x18x18,age=20-90,sex=mixed").cases()
    for case in cases:
        write_nifti(case, tmp_path)
    assert write_patients(cases, tmp_path) == tmp_path / "patients.csv"
    read = open_dataset("folder", tmp_path, modality="CT").cases()
    told = {case.subject: (case.details["age"], case.details["sex"]) for case in read}
    assert told == {case.id: (case.details["age"], case.details["sex"]) for case in cases}
    assert write_patients(open_dataset("phantom:count=1").cases(), tmp_path) is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("age=91", "age 91-91 must be years from 0 to 90"),
        ("age=60-20", "must be years from 0 to 90, the lower one first"),
        ("age=nan", "must be years from 0 to 90"),
        ("age=old", "age=old is no value"),
        ("sex=other", "sex 'other'; there are female, male, mixed"),
        ("anatomy=head,age=30", "age and sex need anatomy=torso, chest, abdomen, not head"),
        ("anatomy=mixed,sex=male", "not mixed"),
    ],
)
def test_wrong_settings_are_one_line(settings: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        open_dataset(f"phantom:{settings}")
