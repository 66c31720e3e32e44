"""The registry of data sets: an entry is complete or refused at once, and each name opens its own reader."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

import pytest

from datasets import dataset_names, find_entry, how_to_get, open_dataset, sets
from datasets.entry import Entry

MODALITIES = {"fastmri": "MR", "folder": None, "kits19": "CT", "mosmed": "CT", "phantom": "CT", "sample": None}


@pytest.mark.parametrize("name", dataset_names())
def test_every_entry_opens_its_own_reader(name: str, tmp_path: Path) -> None:
    dataset = open_dataset(name, tmp_path if find_entry(name).needs_folder else None)
    assert type(dataset).__module__ == f"{sets.__name__}.{name.replace('-', '_')}"
    assert dataset.name == name
    assert how_to_get(name).startswith(find_entry(name).about)


def test_the_modality_comes_from_the_entry(tmp_path: Path) -> None:
    assert {name: find_entry(name).modality for name in MODALITIES} == MODALITIES
    with pytest.raises(ValueError, match="'fastmri' is MR, not CT"):
        open_dataset("fastmri", tmp_path, modality="CT")
    with pytest.raises(ValueError, match="'kits19' is CT, not MR"):
        open_dataset("kits19", tmp_path, modality="MR")


@pytest.mark.parametrize("name", ["title", "about", "get", "layout", "terms", "splits"])
def test_an_incomplete_entry_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` is empty"):
        dataclasses.replace(find_entry("kits19"), **{name: " "})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`open` None: a function is wanted"):
        dataclasses.replace(find_entry("kits19"), open=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`modality` 'PET': CT, MR or None"):
        dataclasses.replace(find_entry("kits19"), modality="PET")  # type: ignore[arg-type]


def test_a_file_without_an_entry_is_refused_and_opens_no_other_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_done.py").write_text('"""A data set that is entered and not finished."""\n')
    monkeypatch.setattr(sets, "__path__", [*sets.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    assert "half-done" in dataset_names()
    with pytest.raises(ValueError, match=r"half_done\.py defines no ENTRY"):
        open_dataset("half-done", tmp_path)


def test_the_earlier_name_of_fastmri_is_no_alias() -> None:
    with pytest.raises(ValueError, match="did you mean 'fastmri'"):
        open_dataset("fastmri-knee")


def test_entries_are_frozen() -> None:
    assert isinstance(find_entry("sample"), Entry)
    with pytest.raises(dataclasses.FrozenInstanceError):
        find_entry("sample").title = "other"  # type: ignore[misc]
