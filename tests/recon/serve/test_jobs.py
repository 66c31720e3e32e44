"""The queue of jobs: bounded in number and time, and nothing of a deleted job is left."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from recon.errors import InputError
from recon.serve import jobs as jobs_module
from recon.serve.jobs import Job, Jobs, QueueFullError
from recon.serve.limits import Limits
from recon.serve.order import Order, file_name

QUICK = "import pathlib, sys; (pathlib.Path(sys.argv[1]) / 'result').mkdir()"
SLOW = 'import time; print(\'{"stage": "tv", "done": 1, "total": 9}\', flush=True); time.sleep(600)'
Make = Callable[..., Jobs]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes a queue whose jobs run a program of the test's."""
    made: list[Jobs] = []

    def queue(program: str, **limits: float) -> Jobs:
        def start(folder: Path) -> subprocess.Popen[str]:
            return subprocess.Popen(
                [sys.executable, "-c", program, str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )

        monkeypatch.setattr(jobs_module, "_start", start)
        made.append(Jobs(tmp_path, Limits(**limits)))  # type: ignore[arg-type]
        return made[-1]

    yield queue
    for each in made:
        each.close()
    assert list(tmp_path.iterdir()) == []


def submit(jobs: Jobs) -> Job:
    with jobs.receive() as job:
        (job.folder / "input.npy").write_bytes(b"scan")
        jobs.submit(job, Order("MR", "input.npy", "zero-filled"))
    return job


def test_jobs_run_one_after_the_other_in_a_private_folder(make: Make, tmp_path: Path) -> None:
    jobs = make(QUICK)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    several = [submit(jobs) for _ in range(3)]
    for job in several:
        jobs.wait(job)
        assert (job.state, job.error) == ("done", "")
        assert job.result.is_dir()
        assert stat.S_IMODE(job.folder.stat().st_mode) == 0o700
    assert jobs.list() == several
    assert jobs.delete(several[0].id)
    assert not several[0].folder.exists()
    assert not jobs.delete(several[0].id)


def test_no_more_wait_than_may(make: Make) -> None:
    jobs = make(SLOW, waiting=2)
    running = submit(jobs)
    while running.state != "running":
        threading.Event().wait(0.02)
    waiting = [submit(jobs), submit(jobs)]
    assert [jobs.place(job) for job in waiting] == [1, 2]
    with pytest.raises(QueueFullError, match="2 jobs wait already"):
        submit(jobs)
    jobs.delete(waiting[0].id)
    submit(jobs)


def test_a_job_that_takes_too_long_is_ended(make: Make) -> None:
    jobs = make(SLOW, seconds=0.5)
    job = submit(jobs)
    jobs.wait(job)
    assert job.state == "failed"
    assert "longer than the 0.5 s" in job.error


def test_a_running_job_can_be_deleted(make: Make) -> None:
    jobs = make(SLOW)
    job = submit(jobs)
    while not job.progress:
        threading.Event().wait(0.02)
    assert job.progress == {"stage": "tv", "done": 1, "total": 9}
    jobs.delete(job.id)
    again = submit(jobs)
    while again.state != "running":
        threading.Event().wait(0.02)
    assert not job.folder.exists()


def test_a_process_that_dies_fails_its_job_alone(make: Make) -> None:
    jobs = make("import os; os.abort()")
    for _ in range(2):
        job = submit(jobs)
        jobs.wait(job)
        assert job.state == "failed"
        assert "ended early" in job.error


def test_old_results_go(make: Make) -> None:
    jobs = make(QUICK, kept=2)
    several = [submit(jobs) for _ in range(4)]
    jobs.wait(several[-1])
    assert jobs.list() == several[2:]
    assert [job.folder.exists() for job in several] == [False, False, True, True]
    assert jobs.find(several[3].id) is several[3]
    assert jobs.find("x") is None


def test_an_upload_that_breaks_off_leaves_nothing(make: Make, tmp_path: Path) -> None:
    jobs = make(QUICK)
    with suppress(ConnectionError), jobs.receive() as job:
        (job.folder / "input.npy").write_bytes(b"sc")
        raise ConnectionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"modality": "PET"}, "`modality`"),
        ({"method": "nothing"}, "`method` nothing"),
        ({"settings": {"weights": "/etc/passwd"}}, "`weights`: names a file of the server"),
        ({"settings": {"prior": "../x"}}, "`prior`: names a file of the server"),
        ({"mask": "/etc/passwd"}, "`mask`"),
        ({"geometry": "/etc/passwd"}, "`geometry`"),
        ({"geometry": "a.yaml"}, "`geometry`"),
        ({"seed": -1}, "`seed`"),
    ],
)
def test_an_order_names_no_file_of_the_server(values: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Order(**({"modality": "MR", "file": "input.h5"} | values)).check()  # type: ignore[arg-type]


def test_only_the_end_of_a_name_is_kept() -> None:
    assert file_name("../../Jane Doe.NII.GZ") == "input.nii.gz"
    assert file_name("scan.h5") == "input.h5"
    for name in ("run.py", "x.pkl", "x.pt", "nii"):
        with pytest.raises(InputError, match="must end in one of"):
            file_name(name)
