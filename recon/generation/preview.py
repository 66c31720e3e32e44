"""A picture of a generated volume, with the patient's sides and a scale in its margins."""

from __future__ import annotations

import numpy as np

from recon.scan.units import CT_WINDOW
from recon.scan.volume import Volume

_GAP = 4  # pixels between the planes


def preview(volume: Volume) -> np.ndarray:
    """The middle axial, coronal and sagittal plane side by side, (h, w) uint8, square pixels, radiological view.

    CT is shown from -1000 to 1000 HU, MR from 0 to 1.
    """
    from PIL import Image

    from recon.pictures.figures import to_bytes
    from recon.pictures.lettering import Frame, framed
    from recon.pictures.planes import PLANES

    low, high = CT_WINDOW if volume.modality == "CT" else (0.0, 1.0)
    data, pixel = volume.data.numpy(), min(volume.spacing)
    pictures = []
    for plane in PLANES:
        grey = to_bytes(plane.picture(data, data.shape[plane.axis] // 2), low, high)
        height, width = (round(data.shape[axis] * volume.spacing[axis] / pixel) for axis in (plane.rows, plane.columns))
        image = Image.fromarray(np.ascontiguousarray(grey))
        resized = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
        pictures.append(framed(resized, plane.letters, Frame(True, pixel)))
    canvas = np.zeros((max(p.shape[0] for p in pictures), sum(p.shape[1] + _GAP for p in pictures) - _GAP), np.uint8)
    left = 0
    for picture in pictures:
        canvas[: picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + _GAP
    return canvas
