"""Segmentations in NIfTI files, in and out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from recon.errors import InputError
from recon.io.nifti.header import version_of
from recon.io.nifti.volume import load_stored, write_volume
from recon.io.orientation import to_canonical
from recon.scan.label_map import LabelMap
from recon.scan.volume import Source, Volume

LARGEST_LABEL = 255


def read_label_map(path: Path) -> LabelMap:
    """The segmentation in a NIfTI file, in canonical orientation.

    Raises:
        InputError: missing, damaged or not NIfTI; not one image; values that are no labels.
    """
    stored = load_stored(path, None, label_map=True)
    values = stored.array
    if not (values == np.round(values)).all() or values.min() < 0 or values.max() > LARGEST_LABEL:
        raise InputError(
            f"{path}: no segmentation: labels are whole numbers from 0 to {LARGEST_LABEL}, "
            f"its values are from {values.min():g} to {values.max():g}"
        )
    data, affine = to_canonical(values.astype(np.uint8), stored.affine)
    header = {"nifti_header": stored.header.binaryblock, "nifti_version": version_of(stored.header.binaryblock)}
    source = Source(path, "nifti", stored.affine, stored.grid.shape, header, orientation_known=stored.grid.placed)
    return LabelMap(torch.from_numpy(data), affine, source)


def write_label_map(path: Path, labels: LabelMap) -> None:
    """Write a segmentation as uint8 NIfTI with the orientation and affine of its source."""
    write_volume(path, Volume(labels.data.float(), labels.affine, "CT", labels.source), np.uint8)
