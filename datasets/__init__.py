"""Data sets: where their cases are, whose they are, and which split they belong to. Reading them is ``recon``'s.

``open_dataset`` is the one way in; see :mod:`datasets.case` for what it gives.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from datasets.case import Case, DataSet, Modality

__all__ = ["NAMES", "Case", "DataSet", "open_dataset"]

NAMES = ("kits19", "fastmri-knee", "folder", "sample", "phantom")


def open_dataset(
    spec: str,
    path: Path | None = None,
    *,
    modality: Modality | None = None,
    splits: Path | None = None,
    subject: str | None = None,
) -> DataSet:
    """The data set of a name.

    Args:
        spec: one of ``NAMES``. ``phantom`` takes settings, as in ``phantom:count=8,size=64x256x256``.
        path: the folder that holds it; ``sample`` and ``phantom`` have none.
        modality: ``CT`` or ``MR``; a ``folder`` of NIfTI files must be told.
        splits: of a ``folder``, the JSON file with its splits; by default ``splits.json`` in it, where there is one.
        subject: of a ``folder``, a regular expression that finds the subject in a case's relative path.

    Raises:
        ValueError: no such data set (the nearest is named), no path where one is needed or the reverse, or an
            option that does not go with it.
    """
    name, _, settings = spec.partition(":")
    _check_arguments(name, settings, path, splits, subject)
    if name == "sample":
        from datasets.sample_set import SampleSet

        return SampleSet(modality)
    if name == "folder":
        from datasets.folder import VolumeFolder

        return VolumeFolder(_given(name, path), modality, splits, subject)
    _check_modality(name, modality)
    if name == "phantom":
        from datasets.phantom import parse_phantom

        return parse_phantom(settings)
    if name == "kits19":
        from datasets.kits19 import KiTS19

        return KiTS19(_given(name, path))
    from datasets.fastmri_knee import FastMRIKnee

    return FastMRIKnee(_given(name, path))


def check_name(name: str) -> None:
    """``ValueError`` that names the nearest if there is no such data set."""
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, 1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"data set {name!r}: {hint}there are {', '.join(NAMES)}")


def _check_arguments(name: str, settings: str, path: Path | None, splits: Path | None, subject: str | None) -> None:
    check_name(name)
    if settings and name != "phantom":
        raise ValueError(f"data set {name}:{settings}: only phantom takes settings after its name")
    if path is not None and name in ("sample", "phantom"):
        raise ValueError(f"data set {name!r} needs no folder, and {path} was given; files are the data set 'folder'")
    if name != "folder" and (splits is not None or subject is not None):
        raise ValueError(f"data set {name!r} has its own splits and subjects; only 'folder' can be told them")


def _check_modality(name: str, modality: Modality | None) -> None:
    own = "MR" if name == "fastmri-knee" else "CT"
    if modality not in (None, own):
        raise ValueError(f"data set {name!r} is {own}, not {modality}")


def _given(name: str, path: Path | None) -> Path:
    if path is None:
        raise ValueError(f"data set {name!r} needs the folder that holds it; `benchmarks data how {name}` tells more")
    return path
