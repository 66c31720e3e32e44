"""From outcomes to files: ``recon.nii.gz``, ``result.json``, ``report.html``; DICOM and pictures on request."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recon.errors import InputError, input_errors
from recon.io.atomic import output_folder
from recon.io.ours import FILES, fingerprints
from recon.methods.method import method_label
from recon.run.memory import memory_errors
from recon.run.outcome import Outcome
from recon.run.result import Record, result_json, volume_name
from recon.scan.volume import Volume

if TYPE_CHECKING:
    from recon.report.print_figures import FigureRequest

REPORT = "report.html"
RESULT = "result.json"
FIGURES = "figures"


def save(
    path: Path | str,
    outcomes: Outcome | Sequence[Outcome],
    *,
    overwrite: bool = False,
    dicom: bool = False,
    figures: FigureRequest | None = None,
    record: Record | None = None,
) -> dict[str, Any]:
    """Write one or more outcomes of one measurement to a folder that appears whole or not at all.

    Args:
        path: folder to write.
        outcomes: the outcome of a reconstruction, or those of several methods, which are shown side by side.
        overwrite: whether a folder of an earlier run may be replaced.
        dicom: whether to write a DICOM series too; the input must be one.
        figures: the pictures to write at full resolution; None: none.
        record: what was asked for; None: a call from Python.

    Returns:
        The content of ``result.json``.

    Raises:
        InputError: the folder exists, DICOM was asked for without DICOM input, slices that are not there, or no
            outcome, two of one method, or of different measurements.
        RunError: no space left.
    """
    from recon.report import render
    from recon.report.print_figures import check_figures, write_figures
    from recon.run.reported import report_data

    several = [outcomes] if isinstance(outcomes, Outcome) else list(outcomes)
    _check_several(several)
    grid = several[-1].result
    if dicom:
        check_dicom(grid)
    path = Path(path)
    result = result_json(several, path, record or Record())
    data = report_data(several, result)
    if figures is not None:
        with input_errors():
            check_figures(data, figures)
    with memory_errors(), output_folder(path, overwrite, _inputs(grid)) as folder:
        for outcome in several:
            _write_volumes(folder, outcome, several, dicom)
        if figures is not None:
            write_figures(folder / FIGURES, data, figures)
        (folder / REPORT).write_text(render(data), encoding="utf-8", errors="surrogateescape")  # names are any bytes
        result[FILES] = fingerprints(folder)
        (folder / RESULT).write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return result


def _check_several(outcomes: Sequence[Outcome]) -> None:
    """:class:`InputError` if the outcomes cannot stand side by side."""
    names = [outcome.method for outcome in outcomes]
    if not names:
        raise InputError("`outcomes`: there is none; a folder needs at least one")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"`outcomes`: two of them are by {twice}; give each method once")
    if any(outcome.measurement is not outcomes[0].measurement for outcome in outcomes):
        raise InputError("`outcomes`: they are of different measurements; save each in a folder of its own")


def _write_volumes(folder: Path, outcome: Outcome, outcomes: Sequence[Outcome], dicom: bool) -> None:
    """The volume and its standard deviation as NIfTI, and as DICOM objects where that is asked for."""
    from recon.io.dicom.export import write_series
    from recon.io.dicom.parametric_map import write_map
    from recon.io.nifti.volume import write_volume

    ending = "" if len(outcomes) == 1 else f"-{outcome.method}"
    words = f"{method_label(outcome.method)}, not for diagnosis"
    number = 2 * [each.method for each in outcomes].index(outcome.method) + 1
    write_volume(folder / volume_name(outcome, outcomes), outcome.result)
    if dicom:
        write_series(folder / f"dicom{ending}", outcome.result, words, number)
    if outcome.std is not None:
        write_volume(folder / volume_name(outcome, outcomes, "std"), outcome.std)
        if dicom:
            write_map(folder / f"dicom-std{ending}", outcome.std, f"Standard deviation of {words}", number + 1)


def _inputs(volume: Volume) -> list[Path]:
    """The files and folders that the volume's grid was read from."""
    source = volume.source
    return [source.path, *source.header.get("files", [])] if source else []


def check_dicom(volume: Volume) -> None:
    """Refuse, before any work, DICOM output for an input that is no DICOM series."""
    if volume.source is None or volume.source.format != "dicom":
        raise InputError("`dicom`: a DICOM series needs the headers of a DICOM input; leave it out or give a folder")
    from recon.io.dicom.export import check_exportable

    check_exportable(volume)
