"""What a page shows: one grid, one range, orders from the seed, and no word about methods."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from cli_helpers import listing, run_benchmarks
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_study import GRID, METHODS, make_arguments, write_volumes

from benchmarks.readers.grid import Grid, coarser, common_grid, resample
from benchmarks.readers.packed import grey_values, pack_case
from benchmarks.readers.plan import broken_volume, plan, usual_repeats
from benchmarks.readers.sources import choose_sets


@given(st.integers(1, 30), st.integers(2, 9), st.integers(0, 2), st.integers(0, 5), st.text(max_size=5))
@settings(max_examples=40, deadline=None)
def test_plans(cases: int, count: int, extra: int, repeats: int, salt: str) -> None:
    methods, repeats = [f"m{i}" for i in range(count)], min(repeats, cases)
    trials = plan(methods, cases, cases + extra, repeats, salt, "R1")
    kinds = [trial.kind for trial in trials]
    assert kinds[0] == "practice"
    assert sorted(kinds[1:]) == ["case"] * cases + ["control"] + ["repeat"] * repeats
    assert all(sorted(trial.order) == sorted(methods) for trial in trials)
    assert {trial.set_index for trial in trials if trial.kind == "case"} == set(range(cases))
    assert max(trial.set_index for trial in trials) < cases + extra
    first = {trial.set_index: i for i, trial in enumerate(trials) if trial.kind == "case"}
    for place, trial in enumerate(trials):
        if trial.kind == "repeat":
            assert place > first[trial.set_index]
            assert trial.order != trials[first[trial.set_index]].order
    assert trials == plan(methods, cases, cases + extra, repeats, salt, "R1")
    if extra == 2:
        shown = {trial.kind: trial.set_index for trial in trials}
        assert (shown["practice"], shown["control"]) == (cases, cases + 1), "no case is seen before it counts"


def test_orders_differ_between_readers_and_letters_favour_no_method() -> None:
    plans = [plan(METHODS, 10, 12, 2, "salt", f"R{i}") for i in range(50)]
    assert len({tuple(trials) for trials in plans}) == 50
    places = [trial.order.index("real") for trials in plans for trial in trials]
    assert np.bincount(places, minlength=4) / len(places) == pytest.approx([0.25] * 4, abs=0.06)
    assert [usual_repeats(n) for n in (1, 5, 10, 20, 40)] == [1, 1, 2, 3, 6]


def test_the_grid_is_that_of_the_coarsest_and_smallest() -> None:
    fine, thick = Grid((40, 64, 64), (1.0, 0.5, 0.5)), Grid((10, 30, 40), (5.0, 1.0, 0.7))
    grid = common_grid([fine, thick])
    assert grid == Grid((8, 30, 40), (5.0, 1.0, 0.7))
    assert coarser(grid, 3000).voxels <= 3000
    assert coarser(grid, 3000).spacing[0] == 5.0


def test_resampling_keeps_means_and_does_not_alias() -> None:
    own, grid = Grid((6, 8, 8), (1.0, 1.0, 1.0)), Grid((3, 4, 4), (2.0, 2.0, 2.0))
    image = np.random.default_rng(0).normal(size=own.shape)
    np.testing.assert_allclose(resample(image, own, grid), image.reshape(3, 2, 4, 2, 4, 2).mean((1, 3, 5)), atol=1e-6)
    stripes = np.broadcast_to(np.array([-1.0, 1.0] * 4), own.shape)
    assert np.abs(resample(stripes, own, grid)).max() < 1e-6
    smaller = Grid((4, 6, 6), (1.0, 1.0, 1.0))
    np.testing.assert_allclose(resample(image, own, smaller), image[1:5, 1:7, 1:7], atol=1e-6)
    assert (resample(image, own, own) == image.astype(np.float32)).all()


def test_values_tell_nothing_of_the_method() -> None:
    assert grey_values(np.array([-3000.0, 40.0, 3000.0]), "CT").tolist() == [-1000, 40, 1000]
    image = np.random.default_rng(0).gamma(2, size=4000)
    one, other = (grey_values(image * unit, "MR") for unit in (1e-5, 300.0))
    np.testing.assert_allclose(one, other)
    assert np.percentile(one, 99.5) == pytest.approx(1000, rel=1e-3)


def test_a_broken_volume_has_the_same_values_elsewhere() -> None:
    image = np.arange(16 * 17 * 18.0).reshape(16, 17, 18)
    broken = broken_volume(image, np.random.default_rng(0))
    assert (np.sort(broken, axis=None) == image.ravel()).all()
    assert (broken != image).mean() > 0.8


def unpacked(case: dict[str, Any], index: int) -> np.ndarray:
    """The (z, y, x) volume behind a letter, pixel by pixel as unpack.js reads it, turned back."""
    raw = np.frombuffer(zlib.decompress(base64.b64decode(case["volumes"][index])), np.uint8).astype(int).reshape(2, -1)
    folded = (raw[0] + 256 * raw[1]).reshape(case["shape"])
    errors = np.where(folded % 2, -(folded + 1) // 2, folded // 2)
    errors[:, :, 0] = errors[:, :, 0].cumsum(axis=1)
    codes = errors.cumsum(axis=2)
    kept = np.array(case["levels"])[codes] if case["levels"] else codes
    return (case["low"] + case["step"] * kept)[::-1, ::-1, ::-1]


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_large_cases_lose_grey_values_and_then_voxels(modality: Any) -> None:
    grid = Grid((8, 24, 24), (4.0, 1.0, 1.0))
    noise = grey_values(np.random.default_rng(0).normal(300, 200, grid.shape).clip(0), modality)
    images = lambda g: {"a": resample(noise, grid, g), "b": resample(noise, grid, g)}  # noqa: E731
    exact = pack_case(images, grid, modality, True, 10**6)
    assert exact.is_exact
    step = exact.known["step"]
    np.testing.assert_allclose(unpacked(json.loads(exact.text("ab")), 0), noise, atol=step / 2 + 1e-3)
    fewer = pack_case(images, grid, modality, True, int(0.9 * exact.size))
    assert (fewer.is_exact, fewer.grid) == (False, grid)
    assert fewer.size <= 0.9 * exact.size
    coarse = pack_case(images, grid, modality, True, exact.size // 10)
    assert coarse.grid.voxels < grid.voxels
    assert (coarse.is_coarser, fewer.is_coarser) == (True, False)
    assert coarse.size <= exact.size // 10
    assert coarse.grid.spacing[0] == 4.0, "slices are the coarsest already"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_volumes(tmp_path_factory.mktemp("volumes"))


def test_a_study_is_blind_and_its_key_says_what_is_what(folders: dict[str, Path], tmp_path: Path) -> None:
    run = run_benchmarks(
        *make_arguments(folders, "--cases", 3, "--reader", "R1", "--reader", "R2", "--out", tmp_path / "s")
    )
    assert run.code == 0, run.err
    assert "the volumes of a case have one name" in run.out
    key_text = (tmp_path / "s/key.json").read_text()
    key = json.loads(key_text)
    assert (key["methods"], key["real"], key["ours"]) == (list(METHODS), "real", "ours")
    for reader in ("R1", "R2"):
        html = (tmp_path / f"s/{reader}.html").read_text()
        parts = dict(re.findall(r'<script type="application/json" id="([\w-]+)">(.*?)</script>', html, re.DOTALL))
        study = json.loads(parts.pop("study"))
        assert study["key_sha256"] == hashlib.sha256(key_text.encode()).hexdigest()
        assert study["page_sha256"] == key["readers"][reader]["page_sha256"]
        for screen, trial in zip(key["readers"][reader]["trials"], study["trials"], strict=True):
            text = parts[f"data-{trial['id']}"]
            assert hashlib.sha256(text.encode()).hexdigest() == trial["data_sha256"]
            case = json.loads(text)
            for index, method in enumerate(screen["order"]):
                path = Path(key["cases"][screen["case"]][method]["file"])
                values = np.asarray(nibabel.load(path).dataobj).T
                same = np.abs(unpacked(case, index) - values).max() <= 1
                assert same == (method != screen["broken"])
        words = re.sub(r"[A-Za-z0-9+/]{60,}", "", html)
        assert not re.search(r"hagan|wdm|\.nii|case-\d|https?:", words)
        assert "default-src 'none'" in html


def test_the_same_seed_makes_the_same_study(folders: dict[str, Path], tmp_path: Path) -> None:
    def made(name: str, seed: int) -> dict[str, str]:
        more = ("--cases", 2, "--reader", "R1", "--layout", "case", "--seed", seed, "--out", tmp_path / name)
        assert run_benchmarks(*make_arguments(folders, *more)).code == 0
        return {path: digest for path, digest in listing(tmp_path / name).items() if path != "result.json"}

    first = made("a", 1)
    assert first == made("b", 1)
    assert first["key.json"] != made("c", 2)["key.json"]
    assert {"R1/index.html", "R1/cases/00.js", "R1/cases/04.js"} <= set(first)
    again = ("--cases", 2, "--reader", "R1", "--out", tmp_path / "a")
    assert "exists already" in run_benchmarks(*make_arguments(folders, *again)).err
    assert run_benchmarks(*make_arguments(folders, *again, "--overwrite")).code == 0


def test_reconstructions_are_matched_by_the_names_of_their_runs(tmp_path: Path) -> None:
    folders = {}
    for method in ("tv", "fbp"):
        for case in ("a", "b", method):
            path = tmp_path / method / case / "recon.nii.gz"
            path.parent.mkdir(parents=True)
            nibabel.save(nibabel.Nifti1Image(np.random.default_rng(0).normal(size=GRID), np.eye(4)), path)
        folders[method] = tmp_path / method
    methods = [word for name, folder in folders.items() for word in ("--method", f"{name}={folder}")]
    run = run_benchmarks(
        "readers", "make", *methods, "--cases", 2, "--reader", "R1", "--out", tmp_path / "s", "--quiet"
    )
    assert run.code == 0, run.err
    cases = json.loads((tmp_path / "s/key.json").read_text())["cases"]
    assert sorted(Path(case["tv"]["file"]).parent.name for case in cases) == ["a", "b"]
    assert all(Path(c["tv"]["file"]).parent.name == Path(c["fbp"]["file"]).parent.name for c in cases)


def test_generated_volumes_of_one_name_are_no_pair(tmp_path: Path) -> None:
    folders = write_volumes(tmp_path / "volumes", count=3)
    for index in range(3):
        (folders["ours"] / f"case-{index}.json").write_text('{"task": "generate"}')
    assert choose_sets(folders, 2, 0, "auto", 0).is_matched is False
    assert choose_sets(folders, 2, 0, "name", 0).is_matched is True


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--cases", 9), "--cases 9: "),
        (("--cases", 9, "--match", "name"), "only 6 names of volumes are in all folders"),
        (("--method", "x=nowhere", "--cases", 1), "nowhere: is no folder"),
        (("--method", "wdm", "--cases", 1), "--method wdm: must be NAME=FOLDER"),
        (("--method", "real=nowhere", "--cases", 1), "--method real: this name is for the folder of --real"),
        (("--ours", "other", "--cases", 1), "--ours other: must be one of ours, wdm, hagan"),
        (("--repeats", "3", "--cases", 1), "--repeats 3: must be from 0 to the number of cases, 1"),
        (("--reader", "a/b", "--cases", 1), "--reader a/b: must be up to 40 letters"),
        (("--reader", "r1", "--cases", 1), "--reader: two readers have the same name"),
    ],
)
def test_wrong_wishes_are_one_line(
    folders: dict[str, Path], tmp_path: Path, more: tuple[Any, ...], message: str
) -> None:
    run = run_benchmarks(*make_arguments(folders, "--reader", "R1", "--out", tmp_path / "s", *more))
    assert run.code == 2
    assert message in run.err
    assert not (tmp_path / "s").exists()
