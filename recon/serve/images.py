"""A reconstructed volume as ISMRMRD images, one a slice, with its place in the patient."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from recon.serve.messages import FLOAT, IMAGE_HEADER, MAGNITUDE, image_message

_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])


def images_of(path: Path, method: str) -> Iterator[bytes]:
    """The messages of a volume's slices.

    The first axis of an image is the rows of the volume, along which the scan was read out, and the second its columns,
    the phase encoding: as in images of Gadgetron.

    Args:
        path: the NIfTI file of the volume.
        method: the method, for the attributes.
    """
    import nibabel

    file: Any = nibabel.load(path)
    volume, affine = np.asarray(file.dataobj, np.float32), np.array(file.affine, np.float64)
    affine[:3] *= _RAS_TO_LPS[:, None]
    attributes = _attributes(volume, method)
    for k in range(volume.shape[2]):
        yield image_message(_header(volume.shape, affine, k), attributes, volume[:, :, k])


def _header(shape: tuple[int, ...], affine: np.ndarray, k: int) -> np.ndarray:
    """The header of slice ``k``; ``affine`` leads from voxels (x, y, z) to LPS in mm."""
    columns, rows, _ = shape
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    phase, read, normal = (affine[:3, :3] / sizes).T
    head = np.zeros((), IMAGE_HEADER)
    head["version"], head["data_type"], head["image_type"], head["channels"] = 1, FLOAT, MAGNITUDE, 1
    head["matrix_size"] = (rows, columns, 1)
    head["field_of_view"] = (rows * sizes[1], columns * sizes[0], sizes[2])
    head["position"] = (affine @ [columns // 2, rows // 2, k, 1])[:3]
    head["read_dir"], head["phase_dir"], head["slice_dir"] = read, phase, normal
    head["slice"], head["image_index"], head["image_series_index"] = k, k + 1, 1
    return head


def _attributes(volume: np.ndarray, method: str) -> str:
    """What an image says besides its header, as ``ismrmrdMeta``."""
    low, high = float(volume.min()), float(np.quantile(volume, 0.99))
    values = {
        "DataRole": "Image",
        "ImageProcessingHistory": f"meddiffusion-recon {method}",
        "ImageComments": "Research only, not for diagnosis",
        "WindowCenter": f"{(low + high) / 2:.6g}",
        "WindowWidth": f"{max(high - low, 1e-6):.6g}",
    }
    inside = "".join(f"<meta><name>{key}</name><value>{escape(value)}</value></meta>" for key, value in values.items())
    return f'<?xml version="1.0"?><ismrmrdMeta>{inside}</ismrmrdMeta>'
