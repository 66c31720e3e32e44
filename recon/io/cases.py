"""From a case of a data set to what it holds: the one place where ``datasets`` meets the readers."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.case import GENERATED, SEGMENTATION, SERIES, Case
from recon.errors import InputError

_HOSTILE = (MemoryError, RecursionError, OverflowError, zipfile.BadZipFile, zlib.error)
"""What a file that was made to do harm, or is damaged in a rare way, may still raise below the readers."""

if TYPE_CHECKING:
    from recon.scan.kspace import KSpace
    from recon.scan.label_map import LabelMap
    from recon.scan.volume import Volume


def read_case(case: Case) -> Volume | KSpace:
    """The volume or k-space of a case, read from its files, or computed where it is a generated one.

    Raises:
        InputError: an unusable file, or one that holds something else than the case says.
    """
    if GENERATED in case.details:
        return _generated(case)
    from recon.io.detect import read_any
    from recon.scan.kspace import KSpace
    from recon.scan.volume import Volume

    try:
        found = read_any(case.path, case.modality, series=case.details.get(SERIES))
    except _HOSTILE as error:  # one bad file ends no folder's check
        raise InputError(
            f"{case.path}: cannot be read: {' '.join(str(error).split())[:200] or type(error).__name__}"
        ) from error
    wanted = KSpace if case.kind == "kspace" else Volume
    if not isinstance(found, wanted):
        raise InputError(f"{case.path}: holds a {type(found).__name__}, the data set should have a {wanted.__name__}")
    return found


def _generated(case: Case) -> Volume:
    import torch

    from datasets.sets.phantom import voxels
    from recon.scan.volume import Volume

    try:
        data, affine = voxels(case)
    except ValueError as error:
        raise InputError(str(error)) from error
    return Volume(torch.from_numpy(data).float(), affine, case.modality)


def has_segmentation(case: Case) -> bool:
    """Whether a case has a label map; a generated one has, though that of a head is empty."""
    return GENERATED in case.details or SEGMENTATION in case.details


def read_segmentation(case: Case, volume: Volume) -> LabelMap:
    """The label map of a case, read from its file or computed, on the grid of the case's volume.

    Raises:
        InputError: the case has none, or an unusable file.
    """
    import torch

    from datasets.sets.phantom import label_map
    from recon.io.label_map import read_label_map
    from recon.scan.label_map import LabelMap

    if GENERATED in case.details:
        return LabelMap(torch.from_numpy(label_map(case)), volume.affine)
    if SEGMENTATION not in case.details:
        raise InputError(f"{case.path}: the case has no segmentation")
    return read_label_map(Path(case.details[SEGMENTATION])).on_grid_of(volume)
