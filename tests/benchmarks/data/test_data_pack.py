"""Data packed for travelling: values within a step, splits, classes and spacing kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from benchmarks.cli import main
from datasets.cache import Cache
from recon.training.sources import TrainingVolume, load_split, parse_data

PHANTOMS = "phantom:count=12,size=16x24x20,spacing=6x10x12"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The list that was packed, and the list that came of it."""
    folder = tmp_path_factory.mktemp("pack")
    given = folder / "given.yaml"
    part = {"dataset": PHANTOMS, "modality": "CT", "class": "CTChestAbdomen"}
    given.write_text(yaml.safe_dump([part, part | {"repeat": 3}, part | {"dataset": PHANTOMS.replace("16x", "8x")}]))
    result = CliRunner().invoke(main, ["data", "pack", str(given), str(folder / "pack")], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "volumes" in result.output
    return given, folder / "pack" / "data.yaml"


def place(each: TrainingVolume) -> tuple[int, str]:
    """Slices, and the name that the file has."""
    case = each.volume.case
    return each.volume.data.shape[0], case.id.removeprefix(f"{case.split}/").replace("/", "-")


def test_a_pack_holds_what_was_packed(packed, tmp_path):
    given, listed = packed
    names = [row["path"] for row in yaml.safe_load(listed.read_text())]
    assert names == ["phantom", "phantom", "phantom-1"], "what is listed twice is written once"
    assert [row.get("repeat", 1) for row in yaml.safe_load(listed.read_text())] == [1, 3, 1]
    for split in ("train", "val"):
        before, after = (
            load_split(parse_data(str(p), "folder", None, None), split, Cache(tmp_path), print) for p in packed
        )
        assert len(before) == len(after) > 0
        for one, other in zip(sorted(before, key=place), sorted(after, key=place), strict=True):
            assert one.class_index == other.class_index
            np.testing.assert_allclose(one.volume.spacing, other.volume.spacing, rtol=1e-6)
            difference = (one.volume.network() - other.volume.network()).abs().max()
            assert difference <= 1 / 255 + 1e-3
    assert not list(listed.parent.rglob("test/*"))
    assert given.exists()


def test_an_existing_folder_stays(packed):
    given, listed = packed
    before = listed.read_text()
    result = CliRunner().invoke(main, ["data", "pack", str(given), str(listed.parent)])
    assert result.exit_code == 2
    assert "exists; name a new folder" in result.output
    assert listed.read_text() == before


def test_bad_input_is_one_line(tmp_path):
    result = CliRunner().invoke(main, ["data", "pack", str(tmp_path / "none.yaml"), str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "none.yaml" in result.output


def test_fewer_levels_and_slices_make_a_smaller_pack(tmp_path):
    given = tmp_path / "given.yaml"
    given.write_text(yaml.safe_dump([{"dataset": PHANTOMS, "modality": "CT", "class": "CTChestAbdomen"}]))
    arguments = ["data", "pack", str(given), str(tmp_path / "pack"), "--ct-levels", "20", "--slices", "6"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    for split, every in (("train", 3), ("val", 1)):
        before, after = (
            load_split(parse_data(str(path), "folder", None, None), split, Cache(tmp_path / "cache"), print)
            for path in (given, tmp_path / "pack" / "data.yaml")
        )
        for one, other in zip(sorted(before, key=place), sorted(after, key=place), strict=True):
            assert other.volume.spacing[0] == pytest.approx(every * one.volume.spacing[0])
            difference = (one.volume.network()[::every] - other.volume.network()).abs().max()
            assert 0.01 < difference <= 1 / 20 + 1e-3
