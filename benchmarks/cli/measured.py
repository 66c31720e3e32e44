"""``benchmarks run real-ct`` and ``real-mr``: methods on measured scans that lie in a folder of the user's."""

from __future__ import annotations

import json
from pathlib import Path

import click

from recon.cli.console import say
from recon.cli.flags import in_flags
from recon.cli.harmless import harmless
from recon.errors import InputError, input_errors

OF_REAL_SCANS = ("table", "data", "methods", "out", "as_json")
"""What tables of real scans take: their files, and not data sets, decide what is measured."""


def real_table(name: str, data: tuple[Path, ...], methods: str, out: Path, as_json: bool) -> None:
    """Run a table of real scans, print it, and write its results and its page into a folder of its name."""
    from benchmarks.measured import page, text
    from benchmarks.measured.run import MeasuredRequest, run_measured
    from benchmarks.measured.spec import load_measured_spec

    if not data:
        raise InputError(f"`data`: {name} looks at measured scans; name the folder that holds them")
    for folder in data:
        if not folder.is_dir():
            raise InputError(f"`data` {folder}: no such folder")
    with input_errors():
        spec = load_measured_spec(name)
    asked = tuple(dict.fromkeys(each.strip() for each in methods.split(",") if each.strip()))
    request = MeasuredRequest(name, spec, data, out / name, asked)
    result = run_measured(request, lambda line: say(in_flags(line)))
    written = page.write_all(result, request.cells, request.out)
    click.echo(json.dumps(result.to_dict(), indent=2) if as_json else harmless(in_flags(text.table(result))))
    click.echo(f"written: {', '.join(click.format_filename(path) for path in written)}", err=True)
