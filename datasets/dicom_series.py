"""The CT and MR series in a folder of DICOM files, from their headers alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.case import Modality
from datasets.dicom_file import NO_UID, is_dicom, read_dicom, series_uid
from datasets.patients import dicom_age, dicom_sex

_TAGS = ["SeriesInstanceUID", "Modality", "PatientID", "PatientAge", "PatientSex", "Rows"]
_MODALITIES: dict[str, Modality] = {"CT": "CT", "MR": "MR"}


@dataclass(frozen=True)
class DicomSeries:
    """One series.

    Attributes:
        folder: the folder that holds its files directly.
        uid: its SeriesInstanceUID.
        modality: its modality.
        patient: its patient's ID; "" where none is stated.
        age: its patient's age in years, at most 90; None where none is stated, or nothing that is an age.
        sex: its patient's sex; None where neither female nor male is stated.
    """

    folder: Path
    uid: str
    modality: Modality
    patient: str
    age: float | None = None
    sex: str | None = None


def find_series(folder: Path) -> list[DicomSeries]:
    """The image series of CT or MR whose files lie directly in ``folder``, in order of UID.

    Other objects (structures, segmentations, reports, PET) are no volumes of ours and are passed over. A file that is
    damaged says nothing here; reading its series fails and says why. Files without a UID belong to the folder's one
    series, if there is one.
    """
    found: dict[str, DicomSeries] = {}
    for path in sorted(folder.iterdir()):
        header = _header(path)
        modality = _MODALITIES.get(str(header.get("Modality")))
        if modality and "Rows" in header:
            patient = str(header.get("PatientID") or "")
            age, sex = dicom_age(str(header.get("PatientAge") or "")), dicom_sex(str(header.get("PatientSex") or ""))
            series = DicomSeries(folder, series_uid(header), modality, patient, age, sex)
            found.setdefault(series.uid, series)
    if len(found) == 2:
        found.pop(NO_UID, None)
    return [found[uid] for uid in sorted(found)]


def _header(path: Path) -> Any:
    """The header; an empty one for a file that is not DICOM or is damaged."""
    try:
        return read_dicom(path, tags=_TAGS) if is_dicom(path) else {}
    except ValueError:
        return {}
