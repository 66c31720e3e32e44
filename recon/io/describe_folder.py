"""What a folder is, from names and headers alone: a DICOM series, a result of this suite, or a folder of volumes."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from datasets.walk import list_folder
from recon.errors import InputError
from recon.io.dicom.files import scan_folder
from recon.io.ours import FILES, MARKER, foreign

Step = Callable[[int, int], None]
MOST_FILES = 50_000
"""Files below a folder up to which it is looked through."""


def check_count(folder: Path) -> None:
    """:class:`InputError` if a folder holds more files than are looked through."""
    if next(islice((path for path in folder.rglob("*")), MOST_FILES, None), None) is not None:
        raise InputError(f"{folder}: holds more than {MOST_FILES} files; give a folder further down")


def result_facts(folder: Path) -> dict[str, Any] | None:
    """What the ``result.json`` of an output folder says; None for another folder."""
    try:
        content = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or "task" not in content or "versions" not in content:
        return None
    facts = {name: content.get(name) for name in ("task", "method", "input", "shape", "spacing_mm", "metrics")}
    facts["files"] = sorted(content.get(FILES) or [])
    facts["changed"] = foreign(folder)
    return {name: value for name, value in facts.items() if value is not None}


def weights_facts(folder: Path) -> dict[str, Any] | None:
    """The kinds of the networks whose weights files lie in a folder itself; None where there are none."""
    from priors.weights.card import read_card

    files = sorted(path for path in folder.glob("*.safetensors") if path.is_file())
    if not files:
        return None
    found = {}
    for path in files:
        try:
            found[path.name] = read_card(path).kind
        except (OSError, ValueError) as error:
            found[path.name] = f"unusable: {error}"
    return found


def dicom_headers(folder: Path, step: Step) -> dict[str, list[Any]]:
    """The headers of the images in a folder, by series.

    Raises:
        InputError: there is none; it says what the folder holds instead.
    """
    try:
        return scan_folder(folder, step)
    except InputError as error:
        listing = list_folder(folder)
        if listing.dicom or not listing.nifti:
            raise
        first = listing.nifti[0].relative_to(folder)
        raise InputError(
            f"{folder}: a folder of {len(listing.nifti)} NIfTI files (such as {first}); give one of them"
        ) from error
