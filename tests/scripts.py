"""Shell scripts of the documentation, whose commands run in this process, where everything is imported already."""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
from pathlib import Path

from cli_helpers import ROOT, Run, run_benchmarks, run_recon

STUB = """#!/bin/sh
# Hands its arguments over and waits for the answer.
call=$(mktemp -d "$CALLS/call.XXXXXX")
printf '%s\\0' "${0##*/}" "$@" > "$call/arguments"
echo "$call" > "$CALLS/queue"
while [ ! -f "$call/code" ]; do sleep 0.02; done
code=$(cat "$call/code")
cat "$call/out"
cat "$call/err" >&2
exit "$code"
"""
COMMANDS = {"recon": run_recon, "benchmarks": run_benchmarks}


def run_script(name: str, *given: object, **variables: object) -> subprocess.CompletedProcess[str]:
    """A script of ``docs/recipes``, with two steps of every training on the CPU.

    Args:
        name: the name of the script.
        given: the arguments of the script.
        variables: further environment variables.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _run_in(Path(folder), name, [str(each) for each in given], variables)


def _run_in(
    folder: Path, name: str, given: list[str], variables: dict[str, object]
) -> subprocess.CompletedProcess[str]:
    for command in COMMANDS:
        (folder / command).write_text(STUB)
        (folder / command).chmod(0o755)
    os.mkfifo(folder / "queue")
    environment = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "CALLS": str(folder)}
    environment |= {each: str(value) for each, value in variables.items()}
    command = ["sh", str(ROOT / "docs" / "recipes" / name), *given, "--set", "steps=2", "--device", "cpu"]
    with (folder / "printed").open("w") as out, (folder / "told").open("w") as err:
        # a session of its own: a script that fails ends its own group of processes
        process = subprocess.Popen(
            command, env=os.environ | environment, stdout=out, stderr=err, start_new_session=True
        )
        _answer_calls(folder / "queue", process)
    printed, told = ((folder / each).read_text() for each in ("printed", "told"))
    return subprocess.CompletedProcess(command, process.returncode, printed, told)


def _answer_calls(queue: Path, process: subprocess.Popen[bytes]) -> None:
    """Run what the script asks for, until it ends."""
    waiting = os.open(queue, os.O_RDWR)  # also for writing, so that it stays open between two calls
    try:
        while process.poll() is None:
            if select.select([waiting], [], [], 0.05)[0]:
                for line in os.read(waiting, 65536).decode().splitlines():
                    _answer(Path(line))
    finally:
        os.close(waiting)
        process.wait()


def _answer(call: Path) -> None:
    name, *arguments = (call / "arguments").read_text().rstrip("\0").split("\0")
    run: Run = COMMANDS[name](*arguments)
    (call / "out").write_text(run.out)
    (call / "err").write_text(run.err)
    (call / "code.new").write_text(f"{run.code}\n")
    (call / "code.new").rename(call / "code")  # there as a whole
