"""The CT and MR series in a folder of DICOM files, from their headers alone."""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.case import Modality

_TAGS = ["SeriesInstanceUID", "Modality", "PatientID", "Rows"]
_DAMAGED = (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, struct.error)
_MODALITIES: dict[str, Modality] = {"CT": "CT", "MR": "MR"}


@dataclass(frozen=True)
class DicomSeries:
    """One series: the ``folder`` that holds its files directly, its ``uid``, its patient's ID ("" if not stated)."""

    folder: Path
    uid: str
    modality: Modality
    patient: str


def find_series(folder: Path) -> list[DicomSeries]:
    """The image series of CT or MR whose files lie directly in ``folder``, in order of UID.

    Other objects (structures, segmentations, reports, PET) are no volumes of ours and are passed over. A file that is
    damaged says nothing here; reading its series fails and says why.
    """
    found: dict[str, DicomSeries] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        header = _header(path)
        modality = _MODALITIES.get(str(header.get("Modality")))
        if modality and "Rows" in header and "SeriesInstanceUID" in header:
            uid, patient = str(header.SeriesInstanceUID), str(header.get("PatientID") or "")
            found.setdefault(uid, DicomSeries(folder, uid, modality, patient))
    return [found[uid] for uid in sorted(found)]


def _header(path: Path) -> Any:
    """The header; an empty one for a file that is not DICOM or is damaged."""
    from pydicom import Dataset, dcmread
    from pydicom.errors import BytesLengthException, InvalidDicomError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
            list(header)  # pydicom decodes values when they are looked at
            return header
    except (*_DAMAGED, InvalidDicomError, BytesLengthException, NotImplementedError):
        return Dataset()
