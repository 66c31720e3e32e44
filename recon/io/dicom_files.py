"""Which DICOM series lie in a folder, and which of them is meant."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recon.errors import InputError

_HEADER_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "SeriesDescription",
    "SeriesNumber",
    "Modality",
    "ImageType",
    "InstanceNumber",
    "NumberOfFrames",
    "PerFrameFunctionalGroupsSequence",
    "SamplesPerPixel",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "SliceThickness",
    "SpacingBetweenSlices",
]

_PARSE_ERRORS = (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, struct.error)
"""What pydicom raises, depending on where a damaged file stops making sense."""

_TAIL = 8  # last characters of a series UID that are shown, and enough to name it


@contextmanager
def damaged_file(path: Path) -> Iterator[None]:
    """Turn pydicom's errors on a damaged file into an :class:`InputError`, and keep its remarks off the terminal."""
    from pydicom.errors import BytesLengthException

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (*_PARSE_ERRORS, BytesLengthException, NotImplementedError) as error:
        raise InputError(f"{path}: damaged DICOM file ({' '.join(str(error).split())})") from error


def scan_folder(folder: Path) -> dict[str, list[Any]]:
    """Headers (pydicom datasets, without pixels) of all images in a folder and those below it, by series UID.

    Files that are not DICOM, and DICOM objects without an image (reports, structures), are passed over; of
    copies of one instance the first counts.

    Raises:
        InputError: no such folder, a damaged DICOM file, or no image in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: {'a file, not a folder' if folder.exists() else 'no such folder'} of DICOM slices")
    series: dict[str, dict[str, Any]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        header = _read_header(path)
        if header is not None and "Rows" in header and "SeriesInstanceUID" in header:
            instance = str(header.get("SOPInstanceUID", path))
            series.setdefault(str(header.SeriesInstanceUID), {}).setdefault(instance, header)
    if not series:
        raise InputError(f"{folder}: no DICOM image in this folder")
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
    return "; ".join(f"{uid[-_TAIL:]} ({_describe(headers)})" for uid, headers in found.items())


def _describe(headers: list[Any]) -> str:
    description = headers[0].get("SeriesDescription") or "no description"
    count = f"{len(headers)} slice{'s' if len(headers) > 1 else ''}"
    return f"{headers[0].get('Modality', '?')}, {description}, {count}"


def _read_header(path: Path) -> Any | None:
    """The header of a DICOM file, or None for a file of another kind."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    with damaged_file(path):
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=_HEADER_TAGS)
        except InvalidDicomError:
            return None
        list(header)  # pydicom decodes values when they are looked at: do it here, where damage is expected
    return header


def _without_localizers(headers: list[Any]) -> list[Any]:
    """Scouts are sometimes filed under the series that was planned on them."""
    slices = [header for header in headers if "LOCALIZER" not in (header.get("ImageType") or ())]
    return slices or headers


def _number(headers: list[Any]) -> str:
    return str(headers[0].get("SeriesNumber", ""))
