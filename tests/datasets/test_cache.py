"""The cache: made once, whole or not there, whoever is killed and however many work on it."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.cache import Cache, item_key
from datasets.case import Case
from datasets.sets.phantom import PhantomSet

ROOT = Path(__file__).parents[2]


def counted(calls: list[int], value: int = 7) -> Callable[[], tuple[np.ndarray, dict[str, object]]]:
    def make() -> tuple[np.ndarray, dict[str, object]]:
        calls.append(value)
        return np.full((3, 4, 5), value, np.int16), {"spacing": [2.5, 1.0, 1.0]}

    return make


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"one")
    return path


def test_an_item_is_made_once_and_mapped_read_only(tmp_path: Path, source: Path) -> None:
    calls: list[int] = []
    entries = [Cache(tmp_path / "cache").entry(source, "volume", {"step": 1}, counted(calls)) for _ in range(3)]
    assert calls == [7]
    for entry in entries:
        assert isinstance(entry.array, np.memmap)
        assert entry.array.dtype == np.int16
        np.testing.assert_array_equal(entry.array, np.full((3, 4, 5), 7))
        assert entry.details == {"spacing": [2.5, 1.0, 1.0]}
    with pytest.raises(ValueError, match="read-only"):
        entries[0].array[0, 0, 0] = 1


def test_settings_name_and_source_all_count(tmp_path: Path, source: Path) -> None:
    cache = Cache(tmp_path / "cache")
    calls: list[int] = []
    cache.entry(source, "volume", {"a": 1, "b": 2}, counted(calls))
    cache.entry(source, "volume", {"b": 2, "a": 1}, counted(calls))
    assert len(calls) == 1
    cache.entry(source, "volume", {"a": 1, "b": 3}, counted(calls))
    cache.entry(source, "volume-2", {"a": 1, "b": 2}, counted(calls))
    assert len(calls) == 3
    source.write_bytes(b"another")
    cache.entry(source, "volume", {"a": 1, "b": 2}, counted(calls))
    assert len(calls) == 4
    with pytest.raises(FileNotFoundError):
        cache.entry(tmp_path / "absent", "volume", {}, counted(calls))


def test_cases_count_with_their_details_and_generated_ones_need_no_file(tmp_path: Path, source: Path) -> None:
    first, second = (Case("a", "a", "CT", "volume", source, "train", {"series": uid}) for uid in ("1.2", "1.3"))
    assert item_key(first, "volume", {}) != item_key(second, "volume", {})
    phantom = PhantomSet(seed=3).cases()[0]
    assert item_key(phantom, "volume", {}) != item_key(PhantomSet(seed=4).cases()[0], "volume", {})
    assert Cache(tmp_path / "cache").entry(phantom, "volume", {}, counted([])).array.shape == (3, 4, 5)


@settings(deadline=None, max_examples=20)
@given(
    st.sampled_from(["<i2", "<f4", "<f2", "|u1", "<c8"]),
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.booleans(),
)
def test_every_array_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, shape: list[int], transposed: bool
) -> None:
    array = np.random.default_rng(0).uniform(0, 100, shape).astype(dtype)
    array = array.T if transposed else array
    back = Cache(tmp_path_factory.mktemp("cache")).array("abc", lambda: array)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_what_fails_leaves_nothing_and_may_be_tried_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")

    def broken() -> np.ndarray:
        raise RuntimeError("damaged file")

    with pytest.raises(RuntimeError, match="damaged file"):
        cache.array("abc", broken)
    with pytest.raises(ValueError, match="Object arrays"):
        cache.array("abc", lambda: np.array([object()]))
    assert not list((tmp_path / "cache").rglob("*.npy"))
    assert not list((tmp_path / "cache").rglob("*.partial"))
    np.testing.assert_array_equal(cache.array("abc", lambda: np.arange(3)), [0, 1, 2])


@pytest.mark.parametrize("damage", ["cut", "emptied", "details", "array"])
def test_a_damaged_item_is_made_again(tmp_path: Path, source: Path, damage: str) -> None:
    cache = Cache(tmp_path / "cache")
    calls: list[int] = []
    cache.entry(source, "volume", {}, counted(calls))
    (item,) = (tmp_path / "cache").rglob("*.npy")
    if damage == "cut":
        os.truncate(item, item.stat().st_size - 1)
    elif damage == "emptied":
        os.truncate(item, 0)
    elif damage == "details":
        item.with_suffix(".json").unlink()
    else:  # killed between the two files
        item.unlink()
    entry = cache.entry(source, "volume", {}, counted(calls))
    assert len(calls) == 2
    assert entry.array.sum() == 7 * 60


WORKER = """
import sys, time
from pathlib import Path
import numpy as np
from datasets.cache import Cache

def make():
    with open(sys.argv[2] + "-made", "a") as log:
        log.write("made\\n")
    time.sleep(0.5)
    return np.full((64, 64), 5, np.int16), {}

sys.stdin.readline()
print(int(Cache(Path(sys.argv[1])).entry(Path(sys.argv[2]), "volume", {}, make).array.sum()))
"""


def start(script: str, *arguments: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_workers_wait_for_the_one_that_makes_an_item(tmp_path: Path, source: Path) -> None:
    workers = [start(WORKER, tmp_path / "cache", source) for _ in range(4)]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    assert {worker.communicate(timeout=120)[0] for worker in workers} == {f"{5 * 64 * 64}\n"}
    assert Path(f"{source}-made").read_text() == "made\n"


WRITER = """
import sys
from pathlib import Path
import numpy as np
from datasets.cache import Cache

cache = Cache(Path(sys.argv[1]))
for index in range(10_000):
    cache.array(f"{index:04d}", lambda: np.full((64, 1024), index, np.int32))
    if index == 3:
        print("going", flush=True)
"""


def test_a_killed_process_leaves_whole_items_only_and_the_next_goes_on(tmp_path: Path) -> None:
    for delay in (0.0, 0.004, 0.011, 0.023):
        writer = start(WRITER, tmp_path)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "going\n"
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        for item in tmp_path.rglob("[0-9]*.npy"):
            array = np.load(item, allow_pickle=False)
            assert (array == int(item.stem)).all()
            assert item.with_suffix(".json").is_file()
    for index in range(len(list(tmp_path.rglob("[0-9]*.npy"))) + 2):
        value = index
        made = Cache(tmp_path).array(f"{index:04d}", lambda value=value: np.full((64, 1024), value, np.int32))
        assert (made == index).all()
    assert not list(tmp_path.rglob("*.npy.*.partial"))


def test_a_full_disk_is_passed_on_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.lib.format.write_array", full)
    with pytest.raises(OSError, match="No space left"):
        Cache(tmp_path / "cache").array("abc", lambda: np.arange(3))
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.suffix in (".npy", ".partial")]


def test_a_patch_is_read_without_the_rest_of_its_volume(tmp_path: Path) -> None:
    for made in (Cache(tmp_path).array("abc", lambda: np.zeros((96, 128, 128), np.int16)) for _ in range(2)):
        assert isinstance(made.base, mmap.mmap), "pages come from the file as they are touched"
        patch = made[10:74, 20:84, 30:94]
        assert np.shares_memory(patch, made)
        assert not np.ascontiguousarray(patch).any()
