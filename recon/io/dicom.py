"""A folder of DICOM slices as a volume; :func:`write_series` puts a result back as a derived series."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.errors import InputError
from recon.io.checks import check_fits, check_values
from recon.io.dicom_export import write_series as write_series
from recon.io.dicom_files import choose_series, damaged_file, scan_folder
from recon.io.dicom_geometry import stack_slices
from recon.io.intensity import AIR_HU
from recon.io.orientation import to_canonical

if TYPE_CHECKING:
    from recon.scan.volume import Modality, Volume


def read_series(folder: Path, modality: Modality, series: str | None = None) -> Volume:
    """The volume of one DICOM series, in canonical orientation.

    CT is in HU by each slice's rescale slope and intercept, pixels of the stated padding value are air; MR keeps
    its stored values (rescaled where a slope is given).

    Args:
        folder: holds the slices, one file each, in any order and perhaps in folders below.
        modality: what the series must be.
        series: end of the SeriesInstanceUID, or the SeriesNumber, where there are several.

    Raises:
        InputError: no or several series, slices that form no regular grid, enhanced multi-frame files, colour, a
            compression that cannot be decoded, damaged files, a constant volume.
    """
    import torch

    from recon.scan.volume import Source, Volume

    headers = choose_series(folder, scan_folder(folder), series)
    _check_kind(folder, headers, modality)
    stack = stack_slices(folder, headers)
    rows, columns = int(headers[0].Rows), int(headers[0].Columns)
    check_fits(folder, 16 * rows * columns * len(headers))
    files = [Path(header.filename) for header in stack.headers]
    slices = np.stack([_read_slice(path, (rows, columns), modality) for path in files])
    check_values(folder, slices, "volume")
    data, affine = to_canonical(slices.T, stack.affine)
    source = Source(folder, "dicom", stack.affine, (columns, rows, len(files)), {"files": files})
    return Volume(torch.from_numpy(data), affine, modality, source)


def _check_kind(folder: Path, headers: list[Any], modality: Modality) -> None:
    for header in headers:
        name = Path(header.filename).name
        if "PerFrameFunctionalGroupsSequence" in header or int(header.get("NumberOfFrames") or 1) > 1:
            raise InputError(
                f"{folder}: {name} is an enhanced multi-frame file; convert it to one file a slice, or NIfTI"
            )
        if int(header.get("SamplesPerPixel") or 1) != 1:
            raise InputError(f"{folder}: {name} is a colour image; a volume has one value a voxel")
        if header.get("Modality") != modality:
            raise InputError(f"{folder}: the series is {header.get('Modality') or 'of no modality'}, not {modality}")


def _read_slice(path: Path, shape: tuple[int, int], modality: Modality) -> np.ndarray:
    """(rows, columns) float32 of one file."""
    from pydicom import dcmread

    with damaged_file(path):
        dataset = dcmread(path)
        _check_decodable(path, dataset)
        stored = dataset.pixel_array
        if stored.shape != shape:
            raise InputError(f"{path}: holds pixels of shape {stored.shape}, its series is {shape}")
        intercept = _rescale(path, dataset, "RescaleIntercept", 0.0, modality)
        values = stored * _rescale(path, dataset, "RescaleSlope", 1.0, modality) + intercept
        if modality == "CT":  # the greyscale direction (MONOCHROME1) concerns display, HU keep their meaning
            values = np.where(_padding(dataset, stored), AIR_HU, values)
        elif dataset.get("PhotometricInterpretation") == "MONOCHROME1":
            raise InputError(f"{path}: an inverted MR image (MONOCHROME1): its values are no signal magnitudes")
    return np.asarray(values, np.float32)


def _rescale(path: Path, dataset: Any, keyword: str, default: float, modality: Modality) -> float:
    value = dataset.get(keyword)
    if value is None and modality == "CT":
        raise InputError(f"{path}: a CT slice without {keyword}: its values cannot be turned into HU")
    number = default if value is None else float(value)
    if not np.isfinite(number) or (keyword == "RescaleSlope" and number == 0):
        raise InputError(f"{path}: {keyword} is {number:g}, which no scanner writes: the file is damaged")
    return number


def _padding(dataset: Any, stored: np.ndarray) -> np.ndarray:
    """Which pixels are padding: equal to PixelPaddingValue, or between it and PixelPaddingRangeLimit."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, bool)
    limit = dataset.get("PixelPaddingRangeLimit", value)
    low, high = min(value, limit), max(value, limit)
    return np.asarray((stored >= low) & (stored <= high))


def _check_decodable(path: Path, dataset: Any) -> None:
    from pydicom.pixels import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_compressed:
        return
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise InputError(
            f"{path}: compressed as {syntax.name}, for which no decoder is installed; "
            "install pylibjpeg[all], or decompress the series (gdcmconv, uncompressed)"
        )
