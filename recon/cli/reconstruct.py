"""What ``recon svct`` and ``recon mri`` do alike: from a measured scan to the folder with its reconstruction."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recon.cli.console import default_folder, progress_bar, say, show_result
from recon.errors import InputError, input_errors

if TYPE_CHECKING:
    from recon.report.print_figures import FigureRequest
    from recon.run.outcome import Outcome
    from recon.run.result import Record
    from recon.scan.measurement import Progress, Scan
    from recon.scan.units import CTUnit
    from recon.scan.volume import Modality


_FILES = (".nii.gz", ".nii", ".hdr", ".img", ".dcm", ".h5", ".npy", ".npz", ".png", ".html", ".json")
"""Ends of names that are meant as files, longer ones before those that they end in."""


@dataclass(frozen=True)
class Order:
    """What the user asks for, besides the scan itself.

    Attributes:
        modality: CT or MR.
        source: file or folder that was read, from which the output's usual name follows.
        scan: the way of measuring as part of that name, such as ``paper40-40views``; empty where the data decide it.
        methods: names of the methods, or ``auto``; several are shown side by side.
        settings: options of the methods, key to text; ``NAME.key`` is for the method NAME alone, and a key of its own
            for every method that has such an option.
        seed: seed of all randomness.
        output: folder to write; None: the usual name.
        overwrite: whether an output of an earlier run may be replaced.
        dicom: whether to write a DICOM series too.
        figures: the pictures to write at full resolution; None: none.
        unit: unit of the result of a measured CT scan.
        as_json: whether to print the result as JSON.
        quiet: whether to print nothing but the output's path.
    """

    modality: Modality
    source: Path
    scan: str
    methods: tuple[str, ...]
    settings: dict[str, str]
    seed: int
    output: Path | None
    overwrite: bool
    dicom: bool
    figures: FigureRequest | None
    as_json: bool
    quiet: bool
    unit: CTUnit = "HU"

    def check(self) -> None:
        """Refuse, before anything takes long, what cannot be: methods, options and folder, as far as they are known."""
        from recon.cli.settings import settings_of
        from recon.run.choose import AUTO, check_weights

        if AUTO not in self.methods:
            self.folder(self.methods)
        for method in self.methods:
            if method != AUTO:
                check_weights(method, self.modality, settings_of(method, self.methods, self.settings, self.modality))

    def folder(self, methods: Sequence[str]) -> Path:
        """The folder for these methods, which must take the options; refused if it must not be written."""
        from recon.cli.settings import settings_of
        from recon.io.atomic import check_output
        from recon.methods import get_method, parse_options

        for method in methods:
            parse_options(get_method(self.modality, method), settings_of(method, methods, self.settings, self.modality))
        task = "svct" if self.modality == "CT" else "mri"
        folder = self.output or default_folder(self.source, task, self.scan, "-".join(methods))
        end = next((end for end in _FILES if folder.name.lower().endswith(end)), None)
        if end and not folder.is_dir():
            stem = folder.name[: -len(end)] or "out"
            raise InputError(
                f"`output` {folder}: names a file, but a run writes a folder with the volume and its report; "
                f"give {folder.with_name(stem)}, and the volume will be {folder.with_name(stem) / 'recon.nii.gz'}"
            )
        check_output(folder, self.overwrite, inputs=[self.source])
        return folder

    def fulfil(self, scan: Scan) -> None:
        """Reconstruct a scan by every method, write the folder and show the result."""
        from recon.run.save import save

        methods, why = self._chosen(scan)
        folder = self.folder(methods)
        if self.figures is not None:
            from recon.report.print_figures import chosen_slices

            with input_errors():
                chosen_slices(self.figures.slices, scan.grid.data.shape[0])
        for notice in (*scan.measurement.protocol.notices, *why):
            say(f"note: {notice}", self.quiet)
        with progress_bar(self.quiet) as progress:
            outcomes = [self._outcome(scan, method, methods, why, progress) for method in methods]
        told = (notice for each in outcomes for notice in each.all_notices)
        for notice in dict.fromkeys(told):
            if notice not in (*scan.grid.notices, *scan.measurement.protocol.notices, *why):
                say(f"note: {notice}", self.quiet)
        result = save(
            folder, outcomes, overwrite=self.overwrite, dicom=self.dicom, figures=self.figures, record=record()
        )
        show_result(result, folder, self.as_json, self.quiet)

    def _chosen(self, scan: Scan) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The methods of a scan, each once, and why ``auto`` is what it is."""
        from recon.run.choose import choose_method

        pairs = [choose_method(name, scan.measurement, self.modality, self.settings) for name in self.methods]
        return tuple(dict.fromkeys(name for name, _ in pairs)), tuple(line for _, why in pairs for line in why)

    def _outcome(
        self, scan: Scan, method: str, methods: Sequence[str], why: tuple[str, ...], progress: Progress
    ) -> Outcome:
        from recon.cli.settings import settings_of
        from recon.run.outcome import reconstruct

        return reconstruct(
            scan.measurement,
            scan.grid,
            method,
            truth=scan.truth,
            settings=settings_of(method, methods, self.settings, self.modality),
            seed=self.seed,
            progress=progress,
            notices=why,
            unit=self.unit,
        )


def record() -> Record:
    """The command that is running, with all of its options, defaults too."""
    from recon.run.result import Record

    context = click.get_current_context()
    options = {name: _plain(value) for name, value in context.params.items()}
    return Record(shlex.join(["recon", *sys.argv[1:]]), options)


def _plain(value: Any) -> Any:
    """An option's value as JSON has it."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
