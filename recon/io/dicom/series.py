"""A folder of DICOM slices as a volume; :func:`write_series` puts a result back as a derived series."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.dicom_file import NO_UID, series_uid
from recon.errors import InputError
from recon.io.checks import check_fits, check_values, without_nan
from recon.io.dicom.export import write_series as write_series
from recon.io.dicom.files import choose_series, scan_folder
from recon.io.dicom.frames import Slice, is_mosaic, is_phase, slices_of
from recon.io.dicom.geometry import Stack, stack_slices
from recon.io.dicom.pixels import Notes, check_headers, read_frames
from recon.io.intensity import AIR_HU, NaNs
from recon.io.orientation import to_canonical

if TYPE_CHECKING:
    from recon.scan.volume import Modality, Volume


def read_series(
    folder: Path, modality: Modality, series: str | None = None, resample: bool = False, nan: NaNs = "refuse"
) -> Volume:
    """The volume of one DICOM series, in canonical orientation.

    CT is in HU by each slice's rescale slope and intercept, pixels of the stated padding value are air; MR keeps
    its stored values (rescaled where a slope is given).

    Args:
        folder: holds the slices, one file each or as frames, in any order and perhaps in folders below.
        modality: what the series must be.
        series: end of the SeriesInstanceUID, or the SeriesNumber, where there are several.
        resample: whether slices of a tilted gantry or of uneven distances are resampled, and not refused.
        nan: what becomes of the NaN that pixels of floating point may be; ``air`` takes them as air (CT) or 0 (MR).

    Raises:
        InputError: no or several series, slices that form no regular grid, phase images, mosaics, colour, a
            compression that cannot be decoded, damaged files, NaN, a constant volume.
    """
    import torch

    from recon.scan.volume import Source, Volume

    chosen = choose_series(folder, scan_folder(folder), series)
    slices, stack, notices = grid_of_series(folder, chosen, modality, resample)
    rows, columns = int(slices[0].get("Rows")), int(slices[0].get("Columns"))
    notes = Notes()
    values = read_frames(slices, (rows, columns), modality, notes)
    values, more = without_nan(folder, values, modality, nan)
    check_values(folder, values, "volume")
    stored = stack.affine
    if stack.skew is not None:
        from recon.io.dicom.resample import resampled

        values, stored = resampled(values, stored, stack.skew, AIR_HU if modality == "CT" else 0.0)
    data, affine = to_canonical(values.T, stored)
    header = {
        "files": [found.path for found in slices],
        "frames": any(found.frame is not None for found in slices),
        "resampled": stack.skew is not None,
    }
    depth, rows, columns = values.shape
    source = Source(folder, "dicom", stored, (columns, rows, depth), header)
    return Volume(torch.from_numpy(data), affine, modality, source, (*notices, *notes.texts(values.size), *more))


def grid_of_series(
    folder: Path, headers: list[Any], modality: Modality, resample: bool = False
) -> tuple[list[Slice], Stack, list[str]]:
    """The slices of a series in order, where they lie, and what was decided; from the headers alone.

    Raises:
        InputError: as :func:`read_series`, as far as headers tell.
    """
    slices, notices = _checked(folder, slices_of(headers), modality)
    stack = stack_slices(folder, slices, resample)
    check_headers(headers, slices, modality)
    check_fits(folder, 16 * int(slices[0].get("Rows")) * int(slices[0].get("Columns")) * len(slices))
    if len({series_uid(header) for header in headers}) > 1:
        count = sum(series_uid(header) == NO_UID for header in headers)
        notices.append(f"{count} files state no series; they were taken as part of the one in the folder")
    identities = [str(header.get("SOPInstanceUID") or "") for header in headers]
    if len(set(identities)) < len(identities) or "" in identities:
        notices.append("the slices' SOPInstanceUIDs are missing or not unique; their positions tell them apart")
    return [slices[k] for k in stack.order], stack, notices + list(stack.notices)


def _checked(folder: Path, slices: list[Slice], modality: Modality) -> tuple[list[Slice], list[str]]:
    for found in slices:
        if found.get("Modality") != modality:
            raise InputError(f"{folder}: the series is {found.get('Modality') or 'of no modality'}, not {modality}")
        photometric = found.get("PhotometricInterpretation", "MONOCHROME2")
        if int(found.get("SamplesPerPixel") or 1) != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
            raise InputError(f"{folder}: {found.name} is a colour image; a volume has one value a voxel")
        if is_mosaic(found):
            raise InputError(
                f"{folder}: {found.name} is a Siemens mosaic, all slices side by side in one picture; "
                "convert it to NIfTI first (dcm2niix)"
            )
    if modality != "MR" or not any(map(is_phase, slices)):
        return slices, []
    magnitudes = [found for found in slices if not is_phase(found)]
    if not magnitudes:
        raise InputError(f"{folder}: the series holds phase images (or parts of complex ones), no magnitudes")
    return magnitudes, [f"{len(slices) - len(magnitudes)} phase images of the series were left out"]
