"""Which DICOM series lie in a folder, and which of them is meant."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from datasets.dicom_file import NO_UID, is_dicom, read_dicom, series_uid
from recon.errors import InputError
from recon.io.printable import printable

_HEADER_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "SeriesDescription",
    "SeriesNumber",
    "Modality",
    "ImageType",
    "ComplexImageComponent",
    "InstanceNumber",
    "NumberOfFrames",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "SliceThickness",
    "SpacingBetweenSlices",
]

_DICOMDIR = "1.2.840.10008.1.3.10"
_TAIL = 8  # last characters of a series UID that are shown, and enough to name it

Step = Callable[[int, int], None]
"""Called with the number of files looked at and that of all."""


def read_file(path: Path, *, pixels: bool = False, tags: list[str] | None = None) -> Any:
    """As :func:`datasets.dicom_file.read_dicom`, with an :class:`InputError`."""
    try:
        return read_dicom(path, pixels=pixels, tags=tags)
    except ValueError as error:
        raise InputError(str(error)) from error


def scan_folder(folder: Path, step: Step = lambda done, total: None) -> dict[str, list[Any]]:
    """Headers (pydicom datasets, without pixels) of all images in a folder and those below it, by series UID.

    Files that are not DICOM, and DICOM objects without an image (reports, structures), are passed over; of copies of
    one instance (same UID, number and position) the first counts. Images without a series UID belong to the one
    series of the folder, if there is one.

    Raises:
        InputError: no such folder, a damaged DICOM file, or no image in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: {'a file, not a folder' if folder.exists() else 'no such folder'} of DICOM slices")
    series: dict[str, dict[Any, Any]] = {}
    paths = sorted(_files(folder))
    for index, path in enumerate(paths):
        step(index, len(paths))
        header = read_file(path, tags=_HEADER_TAGS) if is_dicom(path) else None
        if header is None:
            continue
        if not len(header) and not _is_directory(header):
            raise InputError(f"{path}: damaged DICOM file (nothing in it can be read)")
        if "Rows" in header:
            series.setdefault(series_uid(header), {}).setdefault(_instance(header, path), header)
    if not series:
        raise InputError(f"{folder}: no DICOM image in this folder")
    if len(series) == 2 and NO_UID in series:
        strays = series.pop(NO_UID)
        next(iter(series.values())).update(strays)
    return {uid: _without_localizers(list(headers.values())) for uid, headers in series.items()}


def choose_series(folder: Path, found: dict[str, list[Any]], series: str | None) -> list[Any]:
    """The headers of the series meant: the only one, or that whose UID ends in, or whose number is, ``series``.

    Raises:
        InputError: several fit, or none does; it lists them.
    """
    fitting = [uid for uid in found if series is None or uid.endswith(series) or _number(found[uid]) == series]
    if len(fitting) == 1:
        return found[fitting[0]]
    problem = "holds several series" if series is None else f"`series` {series} fits {len(fitting)} of its series"
    raise InputError(f"{folder}: {problem}; choose one with `series` UID-END: {list_series(found)}")


def list_series(found: dict[str, list[Any]]) -> str:
    """The series in one line: end of the UID, modality, description, number of slices."""
    ends = {uid: uid if uid == NO_UID else printable(uid[-_TAIL:]) for uid in found}
    return "; ".join(f"{ends[uid]} ({_describe(headers)})" for uid, headers in found.items())


def _files(folder: Path) -> Iterator[Path]:
    """Ordinary files below a folder; links to folders are not followed."""
    for root, _, names in os.walk(folder):
        yield from (path for name in names if (path := Path(root, name)).is_file())


def _is_directory(header: Any) -> bool:
    """Whether a file is the DICOMDIR of a medium, which lists others."""
    return str(header.file_meta.get("MediaStorageSOPClassUID")) == _DICOMDIR


def _instance(header: Any, path: Path) -> Any:
    """What tells an image from others: not its UID alone, which anonymisers empty, or give to all of them."""
    position = header.get("ImagePositionPatient")
    uid = header.get("SOPInstanceUID")
    if not uid or position is None:
        return str(path)
    return str(uid), str(header.get("InstanceNumber")), str(position)


def _describe(headers: list[Any]) -> str:
    description = printable(headers[0].get("SeriesDescription") or "no description")
    frames = sum(int(header.get("NumberOfFrames") or 1) for header in headers)
    return f"{printable(headers[0].get('Modality', '?'))}, {description}, {frames} slice{'s' if frames > 1 else ''}"


def _without_localizers(headers: list[Any]) -> list[Any]:
    """Scouts are sometimes filed under the series that was planned on them."""
    slices = [header for header in headers if "LOCALIZER" not in (header.get("ImageType") or ())]
    return slices or headers


def _number(headers: list[Any]) -> str:
    return str(headers[0].get("SeriesNumber", ""))
