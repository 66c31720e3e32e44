"""From folders of volumes to a page for each reader, and the key that stays with the organiser."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.readers.grid import Grid, common_grid, resample
from benchmarks.readers.packed import Packed, grey_values, pack_case
from benchmarks.readers.page import case_file, page
from benchmarks.readers.plan import Trial, broken_volume, generator_of, plan, usual_repeats
from benchmarks.readers.sources import Sets, choose_sets
from benchmarks.readers.study import Request, key_text, page_study, sha256, trial_id
from recon.scan.measurement import Progress, ProgressEvent, no_progress

Layout = Literal["auto", "one", "case"]

LARGEST_PAGE = 40_000_000
"""Characters beyond which a page gets a file for each case beside it: browsers are slow to open larger pages."""

KEY = "key.json"


@dataclass(frozen=True)
class Made:
    """What was written.

    Attributes:
        pages: the page of each reader that is to be opened, relative to the output folder.
        trials: the number of screens of each reader.
        is_matched: whether the volumes of a case show one anatomy.
        notes: sentences on how the volumes were prepared, as the pages have them.
        key_sha256: the hash of the key.
    """

    pages: dict[str, str]
    trials: int
    is_matched: bool
    notes: tuple[str, ...]
    key_sha256: str


def make(
    request: Request,
    out: Path,
    *,
    layout: Layout = "auto",
    overwrite: bool = False,
    on_progress: Progress = no_progress,
) -> Made:
    """Write the pages and the key of a study; all of them appear, or nothing.

    Args:
        request: the study.
        out: the folder to write: ``key.json``, ``result.json``, and for each reader one page, or a folder with the page
            and a file for each case.
        layout: ``one`` puts all volumes into the page, ``case`` writes a file for each case beside it, ``auto`` takes
            the first up to 40 MB.
        overwrite: whether a study that lies in ``out`` is replaced.
        on_progress: is told of every case.

    Raises:
        ValueError: as :class:`Request` and :func:`benchmarks.readers.sources.choose_sets`.
        InputError: a file that is no such volume, an output that exists.
    """
    from datasets.identity import file_sha256
    from recon.io.atomic import check_output, output_folder

    check_output(out, overwrite, inputs=request.folders.values())
    chosen = choose_sets(request.folders, request.cases, 2, request.match, request.seed)
    hashes = {path: file_sha256(path) for files in chosen.sets for path in files.values()}
    salt = sha256("\n".join([str(request.seed), *hashes.values()]))
    repeats = usual_repeats(request.cases) if request.repeats is None else request.repeats
    plans = {
        reader: plan(list(request.folders), request.cases, len(chosen.sets), repeats, salt, reader)
        for reader in request.readers
    }
    cases = _pack_all(request, chosen, plans, salt, on_progress)
    notes = _notes(request, list(cases.values()), chosen)
    with output_folder(out, overwrite, inputs=request.folders.values()) as folder:
        studies = {r: page_study(request, r, trials, list(_texts(trials, cases)), notes) for r, trials in plans.items()}
        hashes_of_pages = {reader: study["page_sha256"] for reader, study in studies.items()}
        key = key_text(request, salt, chosen.sets, hashes, plans, hashes_of_pages, chosen.is_matched)
        (folder / KEY).write_text(key, encoding="utf-8")
        pages = {}
        for reader, study in studies.items():
            study["key_sha256"] = sha256(key)
            pages[reader] = _write_page(folder, reader, study, plans[reader], cases, layout)
        made = Made(pages, len(next(iter(plans.values()))), chosen.is_matched, notes, sha256(key))
        (folder / "result.json").write_text(json.dumps(_result(request, made, folder), indent=1) + "\n", "utf-8")
    return made


Cases = Mapping[tuple[int, str | None], Packed]
"""The packed volumes of each set, and of each set with one volume broken on purpose."""


def _pack_all(
    request: Request, chosen: Sets, plans: Mapping[str, Sequence[Trial]], salt: str, on_progress: Progress
) -> Cases:
    """Every set that some reader sees."""
    wanted = sorted(
        {(trial.set_index, trial.broken) for trials in plans.values() for trial in trials},
        key=lambda pair: (pair[0], pair[1] or ""),
    )
    cases = {}
    for done, (index, broken) in enumerate(wanted):
        on_progress(ProgressEvent("packing cases", done, len(wanted)))
        cases[index, broken] = _pack(request, chosen.sets[index], broken, salt)
    on_progress(ProgressEvent("packing cases", len(wanted), len(wanted)))
    return cases


def _pack(request: Request, files: Mapping[str, Path], broken: str | None, salt: str) -> Packed:
    """One set, on the grid that all its volumes have."""
    from recon.io.nifti.volume import read_volume

    own, values, known = {}, {}, []
    for method, path in files.items():
        volume = read_volume(path, request.modality)
        own[method] = Grid(tuple(volume.data.shape), volume.spacing)
        values[method] = grey_values(np.asarray(volume), request.modality)
        known.append(volume.source is not None and volume.source.orientation_known)
    if broken is not None:
        values[broken] = broken_volume(values[broken], generator_of(salt, broken))

    def on(grid: Grid) -> dict[str, np.ndarray]:
        return {method: resample(image, own[method], grid) for method, image in values.items()}

    limit = int(request.case_megabytes * 1e6)
    return pack_case(on, common_grid(list(own.values())), request.modality, all(known), limit)


def _texts(trials: Sequence[Trial], cases: Cases) -> list[str]:
    return [cases[trial.set_index, trial.broken].text(trial.order) for trial in trials]


def _notes(request: Request, cases: Sequence[Packed], chosen: Sets) -> tuple[str, ...]:
    """What a reader may know of the volumes without learning which is which."""
    if chosen.is_matched:
        first = "The images of a case show the same patient."
    else:
        first = "The images of a case show different patients: rank the images, not the anatomy or its findings."
    grid = "All images of a case are on one grid, that of the coarsest and smallest of them"
    if any(case.is_coarser for case in cases):
        grid += ", or a coarser one where they would take too much room"
    if request.modality == "CT":
        values = "values are limited to -1000 to 1000 HU"
    else:
        values = "each image has its 99.5th percentile at 1000"
    kept = "" if all(case.is_exact for case in cases) else ", and fewer grey values are kept outside soft tissue"
    return first, f"{grid}; {values}{kept}."


def _write_page(
    folder: Path, reader: str, study: dict[str, Any], trials: Sequence[Trial], cases: Cases, layout: Layout
) -> str:
    """One reader's page; returns its name in ``folder``."""
    texts = dict(zip(map(trial_id, range(len(trials))), _texts(trials, cases), strict=True))
    if layout == "one" or (layout == "auto" and sum(map(len, texts.values())) <= LARGEST_PAGE):
        name = f"{reader}.html"
        (folder / name).write_text(page(study, texts), encoding="utf-8")
        return name
    (folder / reader / "cases").mkdir(parents=True)
    for trial, text in texts.items():
        (folder / reader / "cases" / f"{trial}.js").write_text(case_file(trial, text), encoding="utf-8")
    (folder / reader / "index.html").write_text(page(study, {}), encoding="utf-8")
    return f"{reader}/index.html"


def _result(request: Request, made: Made, folder: Path) -> dict[str, Any]:
    """What says of the folder that this suite wrote it."""
    from recon.io.ours import FILES, fingerprints
    from recon.run import provenance

    return {
        "task": "readers",
        "methods": {name: str(path) for name, path in request.folders.items()},
        "cases": request.cases,
        "trials": made.trials,
        "pages": made.pages,
        "key_sha256": made.key_sha256,
        "seed": request.seed,
        "notes": list(made.notes),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        FILES: fingerprints(folder),
    }
