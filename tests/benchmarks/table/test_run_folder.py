"""Tables on one's own folders: used whole unless they have splits, without anybody's name, and honest at the end."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from cli_helpers import ROOT, body, run_benchmarks, write_ct, write_dicom

from benchmarks.render import documents
from benchmarks.table.cells import Job
from benchmarks.table.runner import Request, Source, check_leak, run_table, title_of
from benchmarks.table.spec import load_table_spec
from datasets import open_dataset
from priors.weights.card import Card, save_weights
from priors.weights.seen import Seen, chain_facts
from recon.errors import InputError, RunError

TABLE = """
title: two of mine
modality: CT
operators: [{name: 40 views, geometry: paper40, simulate: ideal}]
methods: [{method: fbp, label: FBP}]
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(TABLE)
    return path


def folder_of(root: Path, names: list[str]) -> Path:
    for number, name in enumerate(names):
        path = root / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_ct(path, (body() + number).astype(np.int16))
    return root


def request(own: Path, folder: Path, out: Path, **more: Any) -> Request:
    split = more.pop("split", None)
    return Request("own", load_table_spec(str(own)), (Source("folder", folder),), split, out, **more)


def test_a_folder_without_splits_is_used_whole_and_with_splits_what_is_left_out_is_said(own, tmp_path):
    whole = folder_of(tmp_path / "whole", ["a", "b", "c"])
    lines: list[str] = []
    assert len(run_table(request(own, whole, tmp_path / "out"), announce=lines.append).cells) == 3
    assert not any("left out" in line for line in lines)
    parted = folder_of(tmp_path / "parted", ["train/a", "val/b", "test/c", "test/d", "elsewhere/e"])
    lines.clear()
    assert len(run_table(request(own, parted, tmp_path / "out"), announce=lines.append).cells) == 2
    assert any("2 of 4 cases, the split test; left out: 1 in train, 1 in val" in line for line in lines)
    assert any("cases left out, in no folder train, val or test: 1" in line or "elsewhere/e" in line for line in lines)


def test_an_empty_split_tells_the_way_out(own, tmp_path):
    parted = folder_of(tmp_path / "parted", ["train/a", "train/b"])
    with pytest.raises(InputError, match=r"no CT case in the split test; there are 2 in train: name that `split`"):
        run_table(request(own, parted, tmp_path / "out"))
    assert len(run_table(request(own, parted, tmp_path / "out", split="train"), announce=str).cells) == 2


def test_ones_own_table_needs_no_field_of_the_papers_and_is_not_compared_with_its_data(own, tmp_path):
    title = title_of(request(own, folder_of(tmp_path / "mine", ["a"]), tmp_path))
    assert title.startswith("two of mine")
    assert "mine" in title
    assert "this is not" not in title


def test_a_table_of_the_papers_name_is_not_the_papers(own, tmp_path):
    other = own.rename(tmp_path / "table9.yaml")
    folder_of(tmp_path / "mine", ["a"])
    run = run_benchmarks(
        "run", other, "--dataset", f"folder={tmp_path / 'mine'}", "--out", tmp_path / "out", "--jobs", 1
    )
    assert run.code == 0, run.err
    assert "paper's own figures" not in run.out
    assert (tmp_path / "out" / "own-table9.html").is_file()


def test_a_series_whose_folder_is_named_after_its_patient(own, tmp_path):
    series = write_dicom(tmp_path / "DOE^JANE")
    result = run_table(request(own, series, tmp_path / "out"), announce=str)
    assert "DOE" not in json.dumps(documents.by_case(result))


def test_nobodys_name_is_in_any_result(own, tmp_path):
    (tmp_path / "folder").mkdir()
    series = write_dicom(tmp_path / "folder" / "DOE^JANE")
    folder_of(tmp_path / "folder", ["visit-DOE^JANE"])
    out = tmp_path / "out"
    lines: list[str] = []
    run = run_benchmarks("run", own, "--dataset", f"folder={series.parent}", "--out", out, "--jobs", 1)
    assert run.code == 0, run.err
    written = [path for path in out.rglob("*") if path.is_file()]
    assert len(written) >= 8
    assert not [path for path in written if b"DOE" in path.read_bytes() or "DOE" in path.name]
    assert "DOE" not in run.out
    assert "DOE^JANE (case-" in run.err, "whoever runs it learns which is which"
    first = run_table(request(own, series.parent, out), announce=lines.append)
    again = run_table(request(own, series.parent, out), announce=lines.append)
    assert {cell.case for cell in first.cells} == {cell.case for cell in again.cells}
    (out / "salt").unlink()
    other = run_table(request(own, series.parent, out), announce=lines.append)
    assert not {cell.case for cell in first.cells} & {cell.case for cell in other.cells}


def test_a_reason_names_nobody(own, tmp_path):
    folder = folder_of(tmp_path / "folder", ["anne", "bert"])
    (folder / "bert.nii.gz").write_bytes(b"no volume")
    result = run_table(request(own, folder, tmp_path / "out"), announce=str)
    (absent,) = result.absent
    assert "bert" not in absent.reason + absent.case
    assert absent.case in absent.reason


def card(path: Path, extra: dict[str, Any]) -> Path:
    import torch

    save_weights(path, {"w": torch.ones(1)}, Card("fbpconv", {}, extra=extra))
    return path


def test_the_leak_check_asks_hashes_contents_and_what_came_before(tmp_path):
    folder = folder_of(tmp_path / "folder", ["anne", "bert"])
    cases = open_dataset("folder", folder, modality="CT").cases()
    from datasets.identity import content_sha256

    contents = {case.id: content_sha256(case) for case in cases}
    other = Seen.of(["cleo"], ["cleo"])
    for known in (
        chain_facts(Seen.of(["anne"], []), []),
        chain_facts(Seen.of([], [], [contents["anne"]]), []),
        chain_facts(other, [Seen.of(["anne"], [])]),
        {"subjects": ["anne"]},
    ):
        with pytest.raises(InputError, match="trained or calibrated on anne"):
            check_leak([card(tmp_path / "w.safetensors", known)], cases)
    check_leak([card(tmp_path / "w.safetensors", chain_facts(other, []))], cases)


def test_a_table_without_a_result_fails_in_one_line(own, tmp_path):
    own.write_text(TABLE.replace("methods: [", "methods: [{method: dolce, label: DOLCE}] #"))
    run = run_benchmarks("run", own, "--weights", f"dolce={tmp_path / 'none'}", "--out", tmp_path / "out", "--jobs", 1)
    assert run.code == 1 or run.code == 2
    from benchmarks.cli import main

    result = subprocess.run(
        [sys.executable, "-c", "from benchmarks.cli import main; main()", "run", str(own), "--weights", "dolce=none"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert main.name == "benchmarks"
    assert result.returncode == 1, result.stderr
    assert "no method has a result; DOLCE: " in result.stderr.splitlines()[-1]


def test_jobs_name_folders_that_every_worker_understands(own, tmp_path, monkeypatch):
    folder_of(tmp_path / "data", ["a"])
    monkeypatch.chdir(tmp_path)
    seen: list[Job] = []
    command = importlib.import_module("benchmarks.cli.run")
    monkeypatch.setattr(command, "_executor", lambda given: lambda jobs, done: seen.extend(jobs))
    run_benchmarks("run", own, "--dataset", "folder=data", "--out", "results", "--weights", "fbp=mine")
    (job,) = seen
    assert job.store == tmp_path / "results"
    assert job.case.path.is_absolute()
    assert job.method.settings["weights"] == str(tmp_path / "mine")


def test_a_result_that_landed_elsewhere_is_absent_with_its_reason(own, tmp_path):
    folder = folder_of(tmp_path / "data", ["a"])

    def elsewhere(jobs: Any, on_done: Any) -> None:
        for job in jobs:
            on_done(job, "")

    (absent,) = run_table(request(own, folder, tmp_path / "out"), elsewhere, str).absent
    assert "all workers must see that folder" in absent.reason


def test_a_cluster_that_ends_is_one_line(own, tmp_path, monkeypatch):
    import distributed

    from benchmarks.table.dask_execute import dask_executor

    class Dead:
        def __init__(self, *_: object, **__: object) -> None: ...

        def submit(self, *_: object, **__: object) -> None:
            raise OSError("the connection was lost\nfor ever")

    monkeypatch.setattr(distributed, "Client", Dead)
    folder = folder_of(tmp_path / "data", ["a"])
    with pytest.raises(RunError, match=r"`scheduler` tcp://x: the cluster did not finish .the connection was lost for"):
        run_table(request(own, folder, tmp_path / "out"), dask_executor("tcp://x"), str)


def children_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "spawn_main" in " ".join(child.cmdline())
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_process_that_started_them(tmp_path, number):
    phantoms = "phantom:count=60,size=8x32x32,spacing=8x10x10"
    table = tmp_path / "mine.yaml"
    table.write_text(TABLE.replace("method: fbp", "method: tv"))
    command = [sys.executable, "-c", "from benchmarks.cli import main; main()", "run", str(table)]
    command += ["--dataset", phantoms, "--out", str(tmp_path / "out"), "--jobs", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and not list((tmp_path / "out").glob("cells/*.json")):
        time.sleep(0.05)
    workers = children_of(process)
    assert len(workers) == 2
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    if number == signal.SIGTERM:
        assert process.returncode == 130
        assert "interrupted" in errors.splitlines()[-1]
        assert "Traceback" not in errors


def test_the_salt_is_made_once(tmp_path):
    from benchmarks.table.names import names_for

    case = open_dataset("sample").cases()
    one, other = names_for(case, tmp_path), names_for(case, tmp_path)
    assert one == other
    assert json.dumps(dict(one.hidden)).count("case-") == len(case)
    assert not names_for([], tmp_path / "none").hidden
    assert not (tmp_path / "none").exists()
