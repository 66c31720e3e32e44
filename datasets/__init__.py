"""Data sets: where their cases are, whose they are, and which split they belong to. Reading them is ``recon``'s.

``open_dataset`` is the one way in; see :mod:`datasets.case` for what it gives. A data set is one file in
``datasets/sets/`` whose ``ENTRY`` (:class:`datasets.entry.Entry`) says everything about it; its name is the file's.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import lru_cache
from pathlib import Path

from datasets import sets
from datasets.case import Case, DataSet, Modality
from datasets.entry import Entry, Given

__all__ = ["Case", "DataSet", "dataset_names", "find_entry", "how_to_get", "open_dataset"]


def dataset_names() -> tuple[str, ...]:
    """The names of all data sets, sorted; nothing is imported for it."""
    return tuple(sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(sets.__path__)))


@lru_cache(maxsize=64)
def find_entry(name: str) -> Entry:
    """The entry of a data set.

    Raises:
        ValueError: no such data set (the nearest is named), or one whose entry is missing or incomplete.
    """
    if name not in dataset_names():
        near = difflib.get_close_matches(name, dataset_names(), 1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"data set {name!r}: {hint}there are {', '.join(dataset_names())}")
    module = importlib.import_module(f"{sets.__name__}.{name.replace('-', '_')}")
    entry = getattr(module, "ENTRY", None)
    if not isinstance(entry, Entry):
        raise ValueError(f"data set {name!r}: {module.__file__} defines no ENTRY; see datasets.entry")
    return entry


def open_dataset(
    spec: str,
    path: Path | None = None,
    *,
    modality: Modality | None = None,
    splits: Path | None = None,
    subject: str | None = None,
    segmentations: Path | None = None,
) -> DataSet:
    """The data set of a name.

    Args:
        spec: a name of :func:`dataset_names`. ``phantom`` takes settings, as in ``phantom:count=8,size=64x256x256``.
        path: the folder that holds it; ``sample`` and ``phantom`` have none.
        modality: ``CT`` or ``MR``; a ``folder`` of NIfTI files must be told.
        splits: the JSON file with the splits of a ``folder``; by default ``splits.json`` in it, where there is one.
        subject: a regular expression that finds the subject in the relative path of a case of a ``folder``.
        segmentations: the folder that holds the label maps of a ``folder``; by default they lie beside its volumes.

    Raises:
        ValueError: no such data set (the nearest is named), no path where one is needed or the reverse, or an
            option that does not go with it.
    """
    name, _, settings = spec.partition(":")
    return find_entry(name).opened(name, Given(path, settings, modality, splits, subject, segmentations))


def how_to_get(name: str) -> str:
    """How to get a data set, how it is laid out and split, and its terms.

    Raises:
        ValueError: there is no such data set; the nearest is named.
    """
    return find_entry(name).text(name)
