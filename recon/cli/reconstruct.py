"""What ``recon svct`` and ``recon mri`` do alike: from a measured scan to the folder with its reconstruction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recon.cli.console import default_folder, progress_bar, say, show_result
from recon.errors import InputError

if TYPE_CHECKING:
    from recon.scan.measurement import Scan
    from recon.scan.volume import Modality


_FILES = (".nii", ".nii.gz", ".hdr", ".img", ".dcm", ".h5", ".npy", ".npz", ".png", ".html", ".json")
"""Ends of names that are meant as files."""


@dataclass(frozen=True)
class Order:
    """What the user asks for, besides the scan itself.

    Attributes:
        modality: CT or MR.
        source: file or folder that was read, from which the output's usual name follows.
        scan: the way of measuring as part of that name, such as ``paper40-40views``; empty where the data decide it.
        method: name of the method, or ``auto``.
        settings: options of the method, key to text.
        seed: seed of all randomness.
        output: folder to write; None: the usual name.
        overwrite: whether an output of an earlier run may be replaced.
        dicom: whether to write a DICOM series too.
        as_json: whether to print the result as JSON.
        quiet: whether to print nothing but the output's path.
    """

    modality: Modality
    source: Path
    scan: str
    method: str
    settings: dict[str, str]
    seed: int
    output: Path | None
    overwrite: bool
    dicom: bool
    as_json: bool
    quiet: bool

    def check(self) -> None:
        """Refuse, before anything takes long, what cannot be: method, options and folder, as far as they are known."""
        from recon.run.choose import AUTO

        if self.method != AUTO:
            self.folder(self.method)

    def folder(self, method: str) -> Path:
        """The folder for a method, which must take the options; refused if it must not be written."""
        from recon.io.atomic import check_output
        from recon.methods import get_method, parse_options

        parse_options(get_method(self.modality, method), self.settings)
        task = "svct" if self.modality == "CT" else "mri"
        folder = self.output or default_folder(self.source, task, self.scan, method)
        if folder.name.lower().endswith(_FILES) and not folder.is_dir():
            stem = folder.name[: folder.name.index(".", 1)]
            raise InputError(
                f"`output` {folder}: names a file, but a run writes a folder with the volume and its report; "
                f"give {folder.with_name(stem)}, and the volume will be {folder.with_name(stem) / 'recon.nii.gz'}"
            )
        check_output(folder, self.overwrite, inputs=[self.source])
        return folder

    def fulfil(self, scan: Scan) -> None:
        """Reconstruct a scan, write the folder and show the result."""
        from recon.run.choose import choose_method
        from recon.run.outcome import reconstruct
        from recon.run.save import save

        protocol = scan.measurement.protocol
        method, why = choose_method(self.method, scan.measurement, self.modality, self.settings)
        folder = self.folder(method)
        for notice in (*protocol.notices, *why):
            say(f"note: {notice}", self.quiet)
        with progress_bar(self.quiet) as progress:
            outcome = reconstruct(
                scan.measurement,
                scan.grid,
                method,
                truth=scan.truth,
                settings=self.settings,
                seed=self.seed,
                progress=progress,
                notices=why,
            )
        for notice in outcome.answer.notices if outcome.answer else ():
            say(f"note: {notice}", self.quiet)
        result = save(folder, outcome, overwrite=self.overwrite, dicom=self.dicom)
        show_result(result, folder, self.as_json, self.quiet)
