"""A result as a DICOM series that is derived from the slices it was made of (DICOM PS3.3, C.7.6.1 and C.12)."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.errors import InputError
from recon.io.dicom.codes import processing_equipment, source_image
from recon.io.dicom.files import read_file
from recon.io.dicom.windows import set_windows, windows_of
from recon.io.orientation import from_canonical

if TYPE_CHECKING:
    from recon.scan.volume import Volume

_INT16 = np.iinfo(np.int16)
_MR_FINE = 1000.0  # magnitudes up to here would lose precision as integers and are spread over int16
_OF_THE_SOURCE_PIXELS = (
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "SmallestPixelValueInSeries",
    "LargestPixelValueInSeries",
    "IconImageSequence",
    "ModalityLUTSequence",
    "VOILUTSequence",
)
_IDENTITY = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_OVERLAY_GROUPS = range(0x6000, 0x6020, 2)


def write_series(folder: Path, volume: Volume, description: str, number: int = 1) -> None:
    """Write ``volume`` as int16 slices with the headers of the DICOM series it was read from.

    Patient, study, frame of reference and positions are kept; series and instances get new UIDs (derived from
    source and content, so that the same run writes the same files), ImageType is DERIVED\\SECONDARY. The series
    has a number of its own, 100 times the source's plus ``number``. CT is stored as HU rounded to 1; MR with a slope
    that spreads small magnitudes. Windows are offered in place of the source's, and this program is named beside the
    scanner. Private tags are dropped.

    Args:
        folder: made if need be; gets ``IM00001.dcm`` and so on.
        volume: the volume to write, on the grid of its DICOM source.
        description: SeriesDescription and DerivationDescription.
        number: place of the series, from 1, among those that are derived from the source.

    Raises:
        InputError: the volume was not read from DICOM, or the source's files are gone.
    """
    slices, files = on_source_slices(volume)
    slope = _slope(slices, volume.modality)
    stored = np.clip(np.rint(slices / slope), _INT16.min, _INT16.max).astype("<i2")
    identity = hashlib.sha256(stored.tobytes() + description.encode()).hexdigest()
    windows = windows_of(slices, volume.modality)
    folder.mkdir(parents=True, exist_ok=True)
    for index, (path, pixels) in enumerate(zip(files, stored, strict=True), start=1):
        dataset = _derived(path, description, identity)
        dataset.SeriesNumber = series_number(dataset.get("SeriesNumber"), number)
        _set_pixels(dataset, pixels, slope, volume.modality)
        set_windows(dataset, windows)
        save_file(dataset, folder / f"IM{index:05d}.dcm")


def save_file(dataset: Any, path: Path) -> None:
    """Write a data set with the elements of its source as they are: pydicom warns of those that break the standard."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(path, enforce_file_format=True)


def on_source_slices(volume: Volume) -> tuple[np.ndarray, list[Path]]:
    """The volume as its DICOM source has it, (slices, rows, columns), and the source's file of each slice.

    Raises:
        InputError: as :func:`check_exportable`.
        ValueError: the volume has another grid than its source.
    """
    check_exportable(volume)
    source = volume.source
    assert source is not None
    array, affine = from_canonical(volume.data.numpy(), volume.affine, source.affine)
    if array.shape != source.shape or not np.allclose(affine, source.affine, atol=1e-4):
        raise ValueError(f"the volume is no longer on the grid of its source {source.path}")
    return np.ascontiguousarray(array.T), list(source.header["files"])


def check_exportable(volume: Volume) -> None:
    """Refuse, before any work, a source whose headers cannot become those of a derived series.

    Raises:
        InputError: not read from DICOM, multi-frame, or slices without the UIDs that a derived image refers to.
    """
    source = volume.source
    if source is None or source.format != "dicom":
        raise InputError(f"{source.path if source else 'the volume'}: DICOM output needs DICOM input, for its headers")
    if source.header.get("frames"):
        raise InputError(f"{source.path}: DICOM output needs one file a slice; this series is multi-frame")
    if source.header.get("resampled"):
        raise InputError(f"{source.path}: DICOM output needs the grid of the input; this series was resampled")
    for path in source.header["files"]:
        if not path.is_file():
            raise InputError(f"{path}: the source slice is gone; its header is needed for DICOM output")
        header = read_file(path, tags=list(_IDENTITY))
        missing = [keyword for keyword in _IDENTITY if not header.get(keyword)]
        if missing:
            raise InputError(f"{path}: DICOM output refers to the source's {missing[0]}, which this slice lacks")


def _slope(values: np.ndarray, modality: str) -> float:
    top = float(np.abs(values).max())
    if modality == "CT" or _MR_FINE <= top <= _INT16.max:
        return 1.0
    return float(f"{(top or 1.0) / _INT16.max * 1.0001:.8g}")  # a decimal string of DICOM holds 16 characters


def series_number(source: Any, number: int) -> int:
    """A number that sorts behind the source's and is no other scan's, within what an integer string holds."""
    try:
        own = int(source or 0)
    except (TypeError, ValueError):
        own = 0
    return 100 * own + number if 0 <= own < 10**7 else number


def _derived(path: Path, description: str, identity: str) -> Any:
    """The header of the source slice ``path``, made that of a slice of the new series."""
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    if not path.is_file():
        raise InputError(f"{path}: the source slice is gone; its header is needed for DICOM output")
    dataset = _little_endian(read_file(path))
    dataset.remove_private_tags()
    dataset.SourceImageSequence = [source_image(dataset)]
    dataset.ContributingEquipmentSequence = [
        *(dataset.get("ContributingEquipmentSequence") or ()),
        processing_equipment(),
    ]
    dataset.ImageType = ["DERIVED", "SECONDARY", *list(dataset.get("ImageType") or [])[2:]]
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[str(dataset.SOPInstanceUID), identity])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[str(dataset.SeriesInstanceUID), identity])
    dataset.SeriesDescription = description[:64]  # LO
    dataset.DerivationDescription = description[:1024]  # ST
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def _little_endian(dataset: Any) -> Any:
    """The data set without the bytes and the byte order that it was read with; pixels are set anew anyway."""
    from pydicom.dataset import FileDataset

    plain = FileDataset("", {}, preamble=b"\0" * 128, file_meta=dataset.file_meta)
    plain.update({element.tag: element for element in dataset})
    return plain


def _set_pixels(dataset: Any, pixels: np.ndarray, slope: float, modality: str) -> None:
    for keyword in _OF_THE_SOURCE_PIXELS:
        if keyword in dataset:
            delattr(dataset, keyword)
    for group in _OVERLAY_GROUPS:
        for element in list(dataset.group_dataset(group)):
            del dataset[element.tag]
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept = f"{slope:.8g}", "0"
    dataset.RescaleType = "HU" if modality == "CT" else "US"
    dataset.add_new("PixelData", "OW", pixels.tobytes())
