"""Outputs appear whole or not at all: on errors, on a full disk, and when the run is killed at any moment."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

import recon.io.partial
import recon.io.rename
from recon.errors import InputError, RunError
from recon.io import atomic
from recon.io.atomic import check_output, output_file, output_folder
from recon.io.nifti.volume import read_volume, write_volume
from recon.io.ours import fingerprints
from recon.scan.volume import Volume

REPOSITORY = Path(__file__).parents[3]


def write_result(path: Path, version: str, overwrite: bool = False) -> None:
    with output_folder(path, overwrite) as folder:
        (folder / "dicom").mkdir()
        (folder / "dicom" / "IM00001.dcm").write_text(version)
        (folder / "recon.nii.gz").write_text(version)
        write_marker(folder, version)


def write_marker(folder: Path, version: str) -> None:
    """The ``result.json`` by which the suite knows a folder for its own."""
    result = {"task": "svct", "version": version, "versions": {"recon": "0"}, "files": fingerprints(folder)}
    (folder / "result.json").write_text(json.dumps(result))


def version_of(path: Path) -> str:
    """The version of an output folder, all of whose files must agree."""
    versions = {file.read_text() for file in path.rglob("*") if file.is_file() and file.name != "result.json"}
    versions.add(json.loads((path / "result.json").read_text())["version"])
    assert len(versions) == 1
    assert sorted(p.name for p in path.iterdir()) == ["dicom", "recon.nii.gz", "result.json"]
    return versions.pop()


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_at_the_end_with_its_parents(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b" / "out"
    with output_folder(out, overwrite=False) as folder:
        (folder / "result.json").write_text("1")
        assert not out.exists()
    assert listing(out) == ["result.json"]
    assert listing(out.parent) == ["out"]


def test_a_file_keeps_its_suffix_while_it_is_written(tmp_path: Path) -> None:
    with output_file(tmp_path / "scan.nii.gz", overwrite=False) as temporary:
        assert temporary.name.endswith(".nii.gz")
        write_ours(temporary, 1)
    assert listing(tmp_path) == ["scan.nii.gz"]
    with output_file(tmp_path / "scan.nii.gz", overwrite=True) as temporary:
        write_ours(temporary, 2)
    assert read_volume(tmp_path / "scan.nii.gz", "MR").data.max() == 2
    assert listing(tmp_path) == ["scan.nii.gz"]


def write_ours(path: Path, value: int) -> None:
    data = torch.zeros(2, 2, 2)
    data[0, 0, 0] = value
    write_volume(path, Volume(data, np.eye(4), "MR"))


def test_outputs_can_be_read_by_their_owner_alone(tmp_path: Path) -> None:
    write_result(tmp_path / "out", "1")
    with output_file(tmp_path / "scan.h5", overwrite=False) as temporary:
        assert temporary.parent.stat().st_mode & 0o777 == 0o700
        temporary.write_text("1")
    for path in [tmp_path / "out", *(tmp_path / "out").rglob("*"), tmp_path / "scan.h5"]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


@pytest.mark.parametrize("relation", ["holds", "is", "lies inside", "holds by a link"])
def test_an_output_stays_apart_from_its_input(tmp_path: Path, relation: str) -> None:
    """Otherwise an overwriting run would delete the very scan that it read."""
    case = tmp_path / "case"
    write_result(case, "old")
    source = {"holds": case / "dicom", "is": case, "lies inside": tmp_path}.get(relation, tmp_path / "link")
    if relation == "holds by a link":
        source.symlink_to(case / "dicom")
    word = relation.removesuffix(" by a link")
    with pytest.raises(InputError, match=f"the output {word} the input"):
        check_output(case, True, inputs=[source])
    with pytest.raises(InputError, match=f"the output {word} the input"), output_folder(case, True, [source]):
        pytest.fail("the work began")
    assert version_of(case) == "old"


def test_an_output_file_is_not_its_input(tmp_path: Path) -> None:
    write_ours(tmp_path / "scan.nii.gz", 1)
    os.link(tmp_path / "scan.nii.gz", tmp_path / "other.nii.gz")
    for name in ("scan.nii.gz", "other.nii.gz"):
        with pytest.raises(InputError, match="the output is the input"):
            check_output(tmp_path / "scan.nii.gz", True, folder=False, inputs=[tmp_path / name])
    check_output(tmp_path / "new.nii.gz", True, folder=False, inputs=[tmp_path / "scan.nii.gz"])
    check_output(tmp_path / "new.nii.gz", True, folder=False, inputs=[tmp_path / "missing.nii.gz"])


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("manager", [output_folder, output_file])
def test_an_error_leaves_nothing_not_even_parents(tmp_path: Path, error: type, manager: Callable[..., Any]) -> None:
    def work() -> None:
        with manager(tmp_path / "a" / "b", False) as temporary:
            (temporary / "result.json" if manager is output_folder else temporary).write_text("1")
            raise error

    with pytest.raises(error):
        work()
    assert listing(tmp_path) == []


def test_an_error_while_overwriting_leaves_the_old_output(tmp_path: Path) -> None:
    write_result(tmp_path / "out", "old")
    with pytest.raises(ZeroDivisionError), output_folder(tmp_path / "out", True) as folder:
        (folder / "result.json").write_text(str(1 / 0))
    assert version_of(tmp_path / "out") == "old"
    assert listing(tmp_path) == ["out"]


def test_an_existing_output_needs_overwrite(tmp_path: Path) -> None:
    write_result(tmp_path / "out", "old")
    for call in (check_output, lambda path, overwrite: write_result(path, "new", overwrite)):
        with pytest.raises(InputError, match="`overwrite`"):
            call(tmp_path / "out", False)
    check_output(tmp_path / "out", True)
    write_result(tmp_path / "out", "new", overwrite=True)
    assert version_of(tmp_path / "out") == "new"
    assert listing(tmp_path) == ["out"]


@pytest.mark.parametrize("name", ["notes.txt", "dicom/notes.txt", "recon.nii.gz/x", "other/x"])
def test_a_folder_with_foreign_files_is_never_replaced(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text("precious")
    with pytest.raises(InputError, match=r"no result\.json"):
        check_output(out, True)
    (out / "result.json").write_text("1")
    with pytest.raises(InputError, match=r"its result\.json is not one"):
        check_output(out, True)
    write_marker(tmp_path, "1")
    result = json.loads((tmp_path / "result.json").read_text()) | {"files": {}}
    (out / "result.json").write_text(json.dumps(result))
    with pytest.raises(InputError, match="no file of that run"):
        check_output(out, True)
    assert (out / name).read_text() == "precious"


@pytest.mark.parametrize("name", ["recon.nii.gz", "dicom/IM00001.dcm"])
def test_files_of_the_right_name_and_another_content_are_kept(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    write_result(out, "old")
    (out / name).write_text("precious")
    with pytest.raises(InputError, match=f"{name} in it was changed"):
        check_output(out, True)
    (out / name).unlink()  # what is gone cannot be lost
    check_output(out, True)
    shutil.rmtree(out / "dicom", ignore_errors=True)
    (out / "dicom").symlink_to(tmp_path)
    with pytest.raises(InputError, match="dicom in it is no file of that run"):
        check_output(out, True)


@pytest.mark.parametrize("name", ["scan.h5", "scan.nii.gz", "scan.json", "scan.png"])
def test_a_file_that_another_program_wrote_is_never_replaced(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "scan.h5":
        with h5py.File(path, "w") as file:
            file["kspace"] = np.ones(3)
    elif name == "scan.nii.gz":
        nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)), path)
    elif name == "scan.png":
        Image.new("L", (2, 2)).save(path)
    else:
        path.write_text('{"task": "svct"}')
    before = path.read_bytes()
    with pytest.raises(InputError, match="replaces only what an earlier run"), output_file(path, True):
        pytest.fail("the work began")
    assert path.read_bytes() == before


def test_foreign_files_that_come_while_the_run_works_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_result(out, "old")
    with pytest.raises(InputError, match=r"notes\.txt in it is no file of that run"), output_folder(out, True):
        (out / "notes.txt").write_text("precious")
    assert (out / "notes.txt").read_text() == "precious"
    with pytest.raises(InputError, match="exists already"), output_folder(tmp_path / "two", False):
        (tmp_path / "two").mkdir()
    assert listing(tmp_path) == ["out", "two"]


def test_an_empty_folder_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="exists already"):
        check_output(tmp_path / "out", False)
    write_result(tmp_path / "out", "1", overwrite=True)
    assert version_of(tmp_path / "out") == "1"


def test_kinds_do_not_replace_one_another(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="a file of that name"):
        check_output(tmp_path / "file", True)
    with pytest.raises(InputError, match="a folder of that name"):
        check_output(tmp_path / "folder", True, folder=False)
    with pytest.raises(InputError, match="is a file, not a folder"):
        check_output(tmp_path / "file" / "out", False)


def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    write_result(tmp_path / "disk" / "out", "old")
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "out")
    write_result(tmp_path / "link", "new", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert version_of(tmp_path / "disk" / "out") == "new"


def test_a_parent_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere, so ask no disk
    with pytest.raises(InputError, match="no permission"):
        check_output(tmp_path / "out", False)


def test_a_file_system_without_exchange_still_replaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recon.io.rename, "_kernel_rename", lambda *args, **kwargs: False)
    write_result(tmp_path / "out", "old")
    write_result(tmp_path / "out", "new", overwrite=True)
    assert version_of(tmp_path / "out") == "new"
    assert listing(tmp_path) == ["out"]
    with pytest.raises(FileExistsError):
        recon.io.rename.rename_new(tmp_path / "out", tmp_path / "out")


def test_this_system_has_the_real_exchange(tmp_path: Path) -> None:
    if sys.platform not in ("linux", "darwin"):
        pytest.skip("neither Linux nor macOS")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_text("b")
    assert recon.io.rename._kernel_rename(
        tmp_path / "a", tmp_path / "b", linux=recon.io.rename._LINUX_EXCHANGE, macos=recon.io.rename._MACOS_SWAP
    )
    assert (tmp_path / "a").is_file()
    assert (tmp_path / "b").is_dir()


# A full disk

WRITERS = """
import resource, sys
from pathlib import Path
import h5py, nibabel, numpy as np
from recon.errors import RunError
from recon.io.atomic import output_file, output_folder
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, resource.RLIM_INFINITY))
values = np.random.default_rng(0).normal(size=(32, 32, 32)).astype(np.float32)
def hdf5(path):
    with h5py.File(path, "w") as file:
        file["sinogram"] = values
def nifti(path):
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
def text(path):
    path.write_text("x" * 100000)
for name, write in (("a.h5", hdf5), ("b.nii.gz", nifti), ("c.nii", nifti), ("d.html", text)):
    for manager in (output_file, output_folder):
        try:
            with manager(Path(sys.argv[1], "new", name), False) as target:
                write(target / name if manager is output_folder else target)
        except RunError as error:
            assert "no space left" in str(error) and "\\n" not in str(error), error
        else:
            sys.exit(f"{name}: no error")
"""


def test_no_space_left_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """A file-size limit stands for a full disk: the write fails in the same place, with EFBIG for ENOSPC."""
    result = subprocess.run(
        [sys.executable, "-c", WRITERS, str(tmp_path)], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert listing(tmp_path) == []


def test_enospc_itself(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no space left"), output_folder(tmp_path / "out", False):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(PermissionError), output_folder(tmp_path / "out", False):
        raise PermissionError(errno.EACCES, "other errors pass")
    assert listing(tmp_path) == []


def test_hdf5_written_whole_is_readable_after_the_rename(tmp_path: Path) -> None:
    with output_file(tmp_path / "k.h5", False) as temporary, h5py.File(temporary, "w") as file:
        file["kspace"] = np.ones(3)
    with h5py.File(tmp_path / "k.h5") as file:
        assert file["kspace"].shape == (3,)


# A run that is killed

SOURCES = {atomic.__file__, recon.io.rename.__file__, recon.io.partial.__file__}


def in_a_child_killed_at_line(number: int, work: Callable[[], None]) -> bool:
    """Run ``work`` in a forked child that gets SIGKILL at the ``number``-th line executed in the three modules;
    whether it was killed (and not done before)."""
    child = os.fork()
    if child == 0:
        executed = 0

        def trace(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal executed
            if frame.f_code.co_filename not in SOURCES:
                return None
            executed += event == "line"
            if executed == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("fallback", [False, True])
def test_killed_at_any_line_leaves_the_old_or_the_new_output(
    tmp_path: Path, fallback: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fallback:
        monkeypatch.setattr(recon.io.rename, "_kernel_rename", lambda *args, **kwargs: False)
    seen, number, absent = set(), 1, 0
    while True:
        base = tmp_path / str(number)
        write_result(base / "out", "old")
        if not in_a_child_killed_at_line(number, lambda: write_result(base / "out", "new", overwrite=True)):  # noqa: B023
            break
        if (base / "out").exists():
            seen.add(version_of(base / "out"))
        else:
            absent += 1
            assert any(version_of(aside) == "old" for aside in base.glob(".recon-*.old"))
        number += 1
    assert seen == {"old", "new"}
    assert number > 60  # the trace really went through the modules
    assert absent == 0 or fallback


def test_killed_at_any_line_a_first_output_is_whole_or_absent(tmp_path: Path) -> None:
    seen, number = set(), 1
    while in_a_child_killed_at_line(number, lambda: write_result(tmp_path / str(number) / "out", "new")):  # noqa: B023
        out = tmp_path / str(number) / "out"
        seen.add(version_of(out) if out.exists() else None)
        number += 1
    assert seen == {None, "new"}


def test_what_killed_runs_left_is_swept_and_what_living_ones_write_is_not(tmp_path: Path) -> None:
    killed = tmp_path / ".recon-0123456789abcdef.partial"
    killed.mkdir()
    (killed / "recon.nii.gz").write_text("half")
    (tmp_path / ".recon-0123456789abcdee.partial.nii.gz").write_text("half")
    kept = [".recon-0123456789abcdef.partial.old", ".recon-notes", "a.partial"]
    for name in kept:
        (tmp_path / name).mkdir()
    with output_folder(tmp_path / "one", False) as first, output_folder(tmp_path / "two", False) as second:
        assert first.is_dir()
        assert second.is_dir()
        assert not killed.exists()
        write_marker(first, "1")
        write_marker(second, "1")
    assert listing(tmp_path) == sorted([*kept, "one", "two"])


ENDLESS = """
import itertools, json, sys
from pathlib import Path
from recon.io.atomic import output_folder
from recon.io.ours import fingerprints
for version in itertools.count():
    with output_folder(Path(sys.argv[1]), True) as folder:
        (folder / "recon.nii.gz").write_text(str(version))
        result = {"task": "svct", "versions": {"recon": version}, "files": fingerprints(folder)}
        (folder / "result.json").write_text(json.dumps(result))
    print(version, flush=True)
"""


def test_killed_at_random_moments(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    out = tmp_path / "out"
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", ENDLESS, str(out)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        last_reported = process.communicate()[0].split()
        marker = json.loads((out / "result.json").read_text())
        versions = {str(marker["versions"]["recon"]), (out / "recon.nii.gz").read_text()}
        assert len(versions) == 1
        assert int(versions.pop()) >= int(last_reported[-1] if last_reported else 0)
