"""Stored pixels of DICOM slices as HU or magnitudes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.errors import InputError
from recon.io.dicom.files import read_file
from recon.io.dicom.frames import Slice
from recon.io.intensity import AIR_HU

if TYPE_CHECKING:
    from recon.scan.volume import Modality


_TAKEN = {"slope": "1 was", "intercept": "0 was", "slope or intercept": "1 and 0 were"}
"""What stands in for what a slice lacks of its rescale."""

_BITS = (1, 8, 16, 32, 64)
"""Bits of a pixel that DICOM knows; 64 are those of double precision."""


@dataclass
class Notes:
    """What the reader of a result must know about the pixels.

    Attributes:
        padded: number of pixels with the padding value, by that value in HU.
        unscaled: number of slices without a rescale slope or intercept, by what they lack.
    """

    padded: dict[float, int] = field(default_factory=dict)
    unscaled: dict[str, int] = field(default_factory=dict)

    def texts(self, voxels: int) -> list[str]:
        """In words, for a volume of so many voxels."""
        found = [
            f"{count} of {voxels} voxels hold the stated padding value ({value:g} HU) and were taken as air"
            for value, count in self.padded.items()
            if count
        ]
        return found + [
            f"{count} slices state no rescale {lacking}: {_TAKEN[lacking]} taken, as if their values were HU"
            for lacking, count in self.unscaled.items()
        ]


def check_headers(headers: list[Any], slices: list[Slice], modality: Modality) -> None:
    """:class:`InputError` if the headers tell that pixels cannot be read, or are neither HU nor magnitudes."""
    for header in headers:
        path = Path(header.filename)
        _check_decodable(path, header)
        bits = header.get("BitsAllocated", 16)
        if bits not in _BITS:
            raise InputError(f"{path}: BitsAllocated is {bits}; the file is damaged")
    for found in slices:
        if found.get("ModalityLUTSequence"):
            raise InputError(f"{found.path}: its values need a look-up table (Modality LUT), which is not supported")
        for keyword in ("RescaleSlope", "RescaleIntercept"):
            _rescale(found, found.header, keyword)
        if modality == "MR" and found.get("PhotometricInterpretation") == "MONOCHROME1":
            raise InputError(f"{found.path}: an inverted MR image (MONOCHROME1): its values are no signal magnitudes")


def read_frames(slices: list[Slice], shape: tuple[int, int], modality: Modality, notes: Notes) -> np.ndarray:
    """(slices, rows, columns) float32; each file is opened once."""
    values = np.empty((len(slices), *shape), np.float32)
    places: dict[Path, list[int]] = {}
    for place, found in enumerate(slices):
        places.setdefault(found.path, []).append(place)
    for path, held in places.items():
        dataset, pixels = _pixels(path)
        for place in held:
            found = slices[place]
            stored = pixels if found.frame is None else pixels[found.frame]
            if stored.shape != shape:
                raise InputError(f"{path}: holds pixels of shape {stored.shape}, its series is {shape}")
            values[place] = _values(found, dataset, stored, modality, notes)
    return values


def _pixels(path: Path) -> tuple[Any, np.ndarray]:
    """The data set of a file, and its pixels as stored."""
    dataset = read_file(path, pixels=True)
    _check_decodable(path, dataset)
    try:
        pixels = np.asarray(dataset.pixel_array)
    except Exception as error:  # decoders of compressed pixels fail in as many ways as there are
        raise InputError(f"{path}: damaged DICOM file ({' '.join(str(error).split())[:200]})") from error
    frames = int(dataset.get("NumberOfFrames") or 1)
    is_multiframe = "PerFrameFunctionalGroupsSequence" in dataset or frames > 1
    return dataset, pixels[None] if is_multiframe and pixels.ndim == 2 else pixels


def _values(found: Slice, dataset: Any, stored: np.ndarray, modality: Modality, notes: Notes) -> np.ndarray:
    slope, intercept = _rescale(found, dataset, "RescaleSlope"), _rescale(found, dataset, "RescaleIntercept")
    values = stored * (1.0 if slope is None else slope) + (intercept or 0.0)
    if modality == "CT":  # the greyscale direction (MONOCHROME1) concerns display, HU keep their meaning
        lacking = " or ".join(name for name, value in (("slope", slope), ("intercept", intercept)) if value is None)
        if lacking:
            notes.unscaled[lacking] = notes.unscaled.get(lacking, 0) + 1
        return _without_padding(dataset, stored, values, notes)
    return np.asarray(values)


def _rescale(found: Slice, dataset: Any, keyword: str) -> float | None:
    """The frame's own value, or that of the whole file; None where neither states one."""
    value = found.get(keyword)
    value = dataset.get(keyword) if value is None else value
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number) or abs(number) > 1e12 or (keyword == "RescaleSlope" and number == 0):
        raise InputError(f"{found.path}: {keyword} is {value}, which no scanner writes: the file is damaged")
    return number


def _without_padding(dataset: Any, stored: np.ndarray, values: np.ndarray, notes: Notes) -> np.ndarray:
    """HU with air in place of padding: pixels equal to PixelPaddingValue, or between it and PixelPaddingRangeLimit."""
    stated = dataset.get("PixelPaddingValue")
    if not isinstance(stated, int | float):
        return values
    limit = dataset.get("PixelPaddingRangeLimit")
    bounds = [_as_stored(bound, stored) for bound in (stated, limit) if isinstance(bound, int | float)]
    padding = (stored >= min(bounds)) & (stored <= max(bounds))
    if padding.any():
        held = float(values[padding][0])
        notes.padded[held] = notes.padded.get(held, 0) + int(padding.sum())
    return np.where(padding, AIR_HU, values)


def _as_stored(value: float, stored: np.ndarray) -> int:
    """A padding value as signed pixels hold it, though its element is written unsigned."""
    bits = 8 * stored.dtype.itemsize
    return int(value) - (1 << bits) if stored.dtype.kind == "i" and value >= 1 << (bits - 1) else int(value)


def _check_decodable(path: Path, dataset: Any) -> None:
    from pydicom.pixels import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_compressed or syntax.is_deflated:
        return
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise InputError(
            f"{path}: compressed as {syntax.name}, for which no decoder is installed; "
            "install one (pip install python-gdcm, the extra `jpeg`), or decompress the series with another program"
        )
