"""Manifests: one hash for one content, wherever and in whatever order it lies."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.identity import file_sha256, quick_identity
from datasets.manifest import Manifest, Row, read_manifest

ROW = Row(
    id="a",
    subject="anne",
    modality="CT",
    kind="volume",
    split="train",
    path="train/a.nii.gz",
    sha256="12",
    voxels_sha256="34",
    shape=(4, 5, 6),
    spacing=(2.5, 1.0, 1.0),
    orientation="LPS",
    range=(-1024.0, 3071.0),
)
ROWS = [replace(ROW, id=name, path=f"{name}.nii", sha256=name * 3) for name in "edcba"]


@settings(deadline=None, max_examples=20)
@given(st.permutations(ROWS))
def test_the_order_of_the_file_system_does_not_matter(rows: list[Row]) -> None:
    assert Manifest("folder", rows) == Manifest("folder", ROWS)
    assert Manifest("folder", rows).sha256 == Manifest("folder", ROWS).sha256


@pytest.mark.parametrize(
    "change", [{"sha256": "x"}, {"split": "val"}, {"subject": "bert"}, {"path": "b.nii"}, {"id": "aa"}]
)
def test_another_content_subject_split_or_path_is_another_hash(change: dict[str, str]) -> None:
    assert Manifest("folder", [replace(ROW, **change)]).sha256 != Manifest("folder", [ROW]).sha256  # type: ignore[arg-type]
    assert Manifest("folder", ROWS[:-1]).sha256 != Manifest("folder", ROWS).sha256
    assert Manifest("kits19", ROWS).sha256 != Manifest("folder", ROWS).sha256


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    rows = [*ROWS, replace(ROW, id="é", spacing=None, orientation=None)]
    Manifest("folder", rows).write(tmp_path / "m.json")
    assert read_manifest(tmp_path / "m.json") == Manifest("folder", rows)
    assert json.loads((tmp_path / "m.json").read_text())["cases"][0]["id"] == "a"
    assert [path.name for path in tmp_path.iterdir()] == ["m.json"]


def test_an_empty_manifest_is_json_too(tmp_path: Path) -> None:
    Manifest("folder", []).write(tmp_path / "m.json")
    assert read_manifest(tmp_path / "m.json").rows == ()


def test_a_failed_write_leaves_the_old_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.json"
    Manifest("folder", ROWS).write(path)
    old = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        Manifest("folder", ROWS[:1]).write(path)
    assert path.read_bytes() == old
    assert [each.name for each in tmp_path.iterdir()] == ["m.json"]


def test_changed_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    Manifest("folder", ROWS).write(path)
    text = path.read_text()
    for content, reason in (
        (text.replace('"split": "train"', '"split": "test"', 1), "was changed after it was written"),
        (text.replace('"version": 1', '"version": 2'), "manifest version 2"),
        (text.replace('"subject"', '"person"', 1), "lacks a field"),
        ("[]", "not a manifest"),
        ("{", "cannot be read as JSON"),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=reason):
            read_manifest(path)


def test_identities_follow_content_and_time(tmp_path: Path) -> None:
    folder = tmp_path / "series"
    folder.mkdir()
    for name in ("2.dcm", "1.dcm"):
        (folder / name).write_bytes(name.encode())
    quick, sure = quick_identity(folder), file_sha256(folder)
    assert file_sha256(folder / "1.dcm") != file_sha256(folder / "2.dcm")
    (folder / ".hidden").touch()
    assert (quick_identity(folder), file_sha256(folder)) == (quick, sure)
    (folder / "3.dcm").write_bytes(b"3")
    assert quick_identity(folder) != quick
    assert file_sha256(folder) != sure
    assert quick_identity("abc") == "abc"
    with pytest.raises(FileNotFoundError):
        quick_identity(tmp_path / "absent")
