"""The slices of a series: files of one image each, or frames of multi-frame files (enhanced, legacy-converted, or old).

Functional groups of enhanced objects: DICOM PS3.3, C.7.6.16. What concerns a frame stands in its own group or in the
shared one; it is laid out here as single images state it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recon.errors import InputError

_GROUPS = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
    "MRImageFrameTypeSequence": ("FrameType", "ComplexImageComponent"),
    "CTImageFrameTypeSequence": ("FrameType",),
}
_SHARED = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_NO_MAGNITUDE = {"P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY", "VELOCITY", "VELOCITY MAP"}
_MOST_FRAMES = 20000


@dataclass(frozen=True)
class Slice:
    """One image.

    Attributes:
        path: its file.
        header: its values as a single image states them.
        frame: its place in a multi-frame file; None for a file of one image.
    """

    path: Path
    header: Any
    frame: int | None = None

    @property
    def name(self) -> str:
        """The file's name, with the number of the frame."""
        return self.path.name if self.frame is None else f"frame {self.frame + 1} of {self.path.name}"

    def get(self, keyword: str, default: Any = None) -> Any:
        """The value of an element."""
        return self.header.get(keyword, default)


def slices_of(headers: list[Any]) -> list[Slice]:
    """All slices of a series.

    Raises:
        InputError: a multi-frame file that does not say where its frames lie.
    """
    return [found for header in headers for found in _slices(header)]


def is_phase(found: Slice) -> bool:
    """Whether an MR image shows phase, velocity, or a real or imaginary part, and no magnitude."""
    types = [str(value).upper() for value in (*list(found.get("ImageType") or [])[2:], *(found.get("FrameType") or []))]
    component = str(found.get("ComplexImageComponent") or "").upper()
    return bool(_NO_MAGNITUDE & {*types, component})


def is_mosaic(found: Slice) -> bool:
    """Whether an image is a Siemens mosaic: all slices of a volume side by side in one picture."""
    return "MOSAIC" in (found.get("ImageType") or ())


def _slices(header: Any) -> list[Slice]:
    path = Path(header.filename)
    frames = int(header.get("NumberOfFrames") or 1)
    if _SHARED[1] not in header and frames == 1:
        return [Slice(path, header)]
    if frames > _MOST_FRAMES:
        raise InputError(f"{path}: {frames} frames; at most {_MOST_FRAMES} are read")
    if _SHARED[1] in header:
        return _enhanced(path, header, frames)
    return _classic(path, header, frames)


def _enhanced(path: Path, header: Any, frames: int) -> list[Slice]:
    own = list(header.get(_SHARED[1]) or [])
    shared = (list(header.get(_SHARED[0]) or []) or [{}])[0]
    if len(own) != frames:
        raise InputError(f"{path}: {frames} frames, but {len(own)} functional groups for them: the file is damaged")
    return [Slice(path, _flat(header, shared, group), index) for index, group in enumerate(own)]


def _flat(header: Any, shared: Any, own: Any) -> Any:
    """A data set with what the groups say of a frame, beside what holds for the whole file."""
    from pydicom.dataset import Dataset

    flat = Dataset()
    for element in header:
        if element.keyword not in _SHARED:
            flat.add(element)
    for group in (shared, own):
        for sequence, keywords in _GROUPS.items():
            for item in list(group.get(sequence) or [])[:1]:
                for keyword in keywords:
                    if keyword in item:
                        flat.add(item[keyword])
    return flat


def _classic(path: Path, header: Any, frames: int) -> list[Slice]:
    """Frames of an old multi-frame file: a stack from the position of the first, along the normal."""
    from pydicom.dataset import Dataset

    step = header.get("SpacingBetweenSlices") or header.get("SliceThickness")
    orientation, position = header.get("ImageOrientationPatient"), header.get("ImagePositionPatient")
    if not (step and orientation and position):
        raise InputError(
            f"{path}: a multi-frame file that does not say where its frames lie; convert it to one file a slice"
        )
    normal = np.cross(np.asarray(orientation[:3], float), np.asarray(orientation[3:], float))
    found = []
    for index in range(frames):
        flat = Dataset()
        for element in header:
            if element.keyword != "ImagePositionPatient":  # the elements themselves are shared
                flat.add(element)
        place = np.asarray(position, float) + index * abs(float(step)) * normal
        flat.ImagePositionPatient = [float(f"{value:.8g}") for value in place]
        found.append(Slice(path, flat, index))
    return found
