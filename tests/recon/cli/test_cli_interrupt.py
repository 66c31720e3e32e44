"""Runs that end early: interrupted, killed, out of space, or with nobody to read what they print."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import ROOT, body, listing, load, run_recon, start, write_ct, write_mr

SCAN = ("mri", "-i", "mr.nii.gz", "--mask", "gauss1d", "--accel", 2, "--method", "tv")
ENDLESS = (*SCAN, "--set", "iterations=1000000", "-o", "out")
FBP = ("svct", "-i", "ct.nii.gz", "--simulate", "ideal", "--method", "fbp", "-o", "out", "--overwrite")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two scans and the output of an earlier run."""
    monkeypatch.chdir(tmp_path)
    write_ct(tmp_path / "ct.nii.gz")
    write_mr(tmp_path / "mr.nii.gz")
    assert run_recon(*FBP, "-q").code == 0
    return tmp_path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("arguments", [ENDLESS, (*ENDLESS[:-1], "new/er")], ids=["over the old", "somewhere new"])
def test_an_interrupt_leaves_the_old_state(folder: Path, number: int, arguments: tuple[object, ...]) -> None:
    before = listing(folder)
    process = start(folder, *arguments, "--set", "tolerance=0", "--overwrite")
    assert process.stderr is not None
    assert process.stderr.readline().startswith("note: simulated of a continuous object")  # from now on it iterates
    time.sleep(0.4)
    assert process.poll() is None
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "recon: interrupted; nothing was written"
    assert "Traceback" not in err
    assert out == ""
    assert listing(folder) == before


# Imports once, then forks: each child overwrites "out" again and again with other noise until it is killed.
KILLER = """
import os, random, signal, sys, time
import torch
import cli_helpers

def overwrite(seed):
    return cli_helpers.run_recon("svct", "-i", "ct.nii.gz", "--simulate", "ideal", "--method", "fbp", "-o", "out",
                                 "--overwrite", "-q", "--photons", "1e4", "--seed", seed)

def child(first, done_pipe):
    for seed in range(first, 10**6):
        done = overwrite(seed)
        if done.code:
            os.write(2, done.err.encode())
            os._exit(1)
        os.write(done_pipe, b".")

torch.set_num_threads(1)
overwrite(0)  # imports what is still missing
started = time.monotonic()
overwrite(0)
one = time.monotonic() - started  # so that a busy machine is killed at the same places as a quiet one
delay = random.Random(int(sys.argv[1])).uniform
for number in range(int(sys.argv[2])):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        child(1000 * (number + 1), writing)
    if number % 2:
        os.read(reading, 1)  # however slow the machine, every second kill comes after an overwrite
    time.sleep(delay(0.3 * one, 2 * one))
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), status
    os.close(reading)
    os.close(writing)
    os.system(f"cp -r out killed-{number}")
"""


def test_a_killed_overwrite_leaves_one_whole_output(folder: Path) -> None:
    moments = 12
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", KILLER, "1", str(moments)], cwd=folder, env=environment, check=True)
    truth = np.clip(body(), -1000, 1000)
    seeds = set()
    for number in range(moments):
        output = folder / f"killed-{number}"
        assert {path.name for path in output.iterdir()} == {"recon.nii.gz", "result.json", "report.html"}
        result = json.loads((output / "result.json").read_text(encoding="utf-8"))
        found = np.clip(load(output / "recon.nii.gz").get_fdata(), -1000, 1000)
        psnr = 10 * np.log10(2000**2 / np.mean((found - truth) ** 2))
        assert result["metrics"]["psnr"] == pytest.approx(psnr, abs=1e-3)  # of this seed's noise, not another's
        assert "</html>" in (output / "report.html").read_text(encoding="utf-8")[-20:]
        seeds.add((result["seed"], result["noise"] is None))
    assert len(seeds) > moments // 2  # every second kill, at least, came after an overwrite
    left = {path.name for path in folder.iterdir() if not path.name.startswith((".recon-", "killed-"))}
    assert left == {"ct.nii.gz", "mr.nii.gz", "out"}
    assert run_recon(*FBP, "-q").code == 0  # what a kill left behind is in nobody's way


@pytest.mark.parametrize(
    "arguments",
    [
        FBP,
        (*FBP[:-2], "new"),
        ("simulate", "svct", "-i", "ct.nii.gz", "-o", "new.h5"),
        ("simulate", "mri", "-i", "mr.nii.gz", "--mask", "gauss1d", "--accel", 2, "-o", "new.h5"),
    ],
    ids=lambda a: f"{a[0]}-{a[-1]}",
)
def test_no_space_left(folder: Path, arguments: tuple[object, ...]) -> None:
    before = listing(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))  # Python ignores the signal: writes fail with EFBIG
    try:
        result = run_recon(*arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert result.code == 1
    lines = [line for line in result.err.splitlines() if not line.startswith(("note: ", "model error"))]
    assert len(lines) == 1
    assert "no space left" in lines[0]
    assert listing(folder) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(folder: Path) -> None:
    (folder / "locked").mkdir(mode=0o500)
    result = run_recon(*FBP[:-2], "locked/out")
    assert result.code == 2
    assert "no permission" in result.err


def test_a_reader_that_goes_away_costs_nothing_but_the_text(folder: Path) -> None:
    process = start(folder, *FBP, "--json")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.wait(timeout=120)
    assert json.loads((folder / "out" / "result.json").read_text(encoding="utf-8"))["method"] == "fbp"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_standard_output_is_one_line(folder: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "recon", "methods"],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr


def test_the_progress_bar_shows_the_residual_on_a_terminal(folder: Path) -> None:
    import pty

    leader, follower = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-m", "recon", "mri", *map(str, SCAN[1:]), "--set", "iterations=200"]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=follower)
    os.close(follower)
    shown = b""
    try:
        while chunk := os.read(leader, 65536):
            shown += chunk
    except OSError:  # Linux says so when the other side closes
        pass
    finally:
        os.close(leader)
    assert process.wait(timeout=120) == 0
    assert b"residual" in shown
    assert b"/200" in shown
