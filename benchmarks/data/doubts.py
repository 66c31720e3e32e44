"""What looks wrong in a case that can be read: grids, values and references that a data set should not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from datasets.case import Case
from recon.errors import InputError
from recon.io.intensity import check_hu
from recon.io.orientation import axis_codes

if TYPE_CHECKING:
    from recon.scan.kspace import KSpace
    from recon.scan.volume import Volume

THINNEST, THICKEST = 0.2, 10.0
"""Voxel sizes in mm between which clinical CT and MR lie."""

STEEPEST = 15.0
"""Degrees between a grid and the body's axes that are worth a note."""

_FEW_SLICES = 8

Findings = tuple[list[str], list[str]]
"""What is off, and what is worth a note."""


def volume_doubts(case: Case, volume: Volume) -> Findings:
    """Doubts about spacing and values of a volume; notes on padding, orientation and thin stacks."""
    doubts = _spacing_doubts(volume.spacing)
    notes = _grid_notes(volume)
    if case.modality == "CT":
        wrong, padding = _hu_doubts(case, volume)
        doubts, notes = doubts + wrong, notes + padding
    elif float(volume.data.min()) < 0:
        doubts.append(f"values down to {float(volume.data.min()):g}; an MR magnitude is not negative (is it CT?)")
    return doubts, notes + _official_orientation(case, volume)


def kspace_doubts(case: Case, kspace: KSpace) -> Findings:
    """Doubts about the spacing and the reference of raw data."""
    doubts = []
    if kspace.meta.get("spacing_known"):
        x, y, z = np.linalg.norm(kspace.affine[:3, :3], axis=0)
        doubts += _spacing_doubts((float(z), float(y), float(x)))
    else:
        doubts.append("no header that tells the spacing")
    if case.split != "test" and kspace.reference is None:
        doubts.append(f"no reference image, which every {case.split} file has")
    if case.split != "test" and kspace.mask is not None:
        doubts.append(f"undersampled, and {case.split} files are not")
    if "acquisition" in case.details and "contrast" not in case.details:
        doubts.append(f"acquisition {case.details['acquisition']!r} is neither CORPD_FBK nor CORPDFS_FBK")
    return doubts, []


def _spacing_doubts(spacing: tuple[float, float, float]) -> list[str]:
    if all(THINNEST <= step <= THICKEST for step in spacing):
        return []
    steps = " x ".join(f"{step:g}" for step in spacing)
    return [f"voxels of {steps} mm (z, y, x); {THINNEST:g} to {THICKEST:g} mm is usual"]


def _hu_doubts(case: Case, volume: Volume) -> Findings:
    """What ``check_hu`` says; its remarks on padding, which it makes good, are notes."""
    _, padding = check_hu(volume, "hu")
    try:
        _, remarks = check_hu(volume)
    except InputError as error:
        return [str(error).removeprefix(f"{case.path}: ")], padding
    return [text.removeprefix(f"{case.path}: ") for text in remarks[len(padding) :]], padding


def _grid_notes(volume: Volume) -> list[str]:
    notes = []
    directions = np.abs(volume.affine[:3, :3]) / np.linalg.norm(volume.affine[:3, :3], axis=0)
    tilt = float(np.degrees(np.arccos(np.clip(np.diag(directions).min(), 0, 1))))
    if tilt > STEEPEST:
        notes.append(f"the grid is turned by {tilt:.0f} degrees against the body's axes")
    z, y, x = volume.spacing
    if volume.modality == "CT" and max(y, x) > 1.5 * z and abs(y - x) > 0.05 * max(y, x):
        notes.append(f"slices are not axial: voxels of {z:g} x {y:g} x {x:g} mm (z, y, x)")
    if len(volume.data) < _FEW_SLICES:
        notes.append(f"{len(volume.data)} slices only")
    if _states_no_orientation(volume):
        notes.append("the header states no orientation (sform and qform code 0); the axes were taken as stored")
    return notes


def _states_no_orientation(volume: Volume) -> bool:
    import nibabel

    extras = volume.source.header if volume.source else {}
    if "nifti_header" not in extras:
        return False
    header_class = nibabel.Nifti2Header if extras["nifti_version"] == 2 else nibabel.Nifti1Header
    header = header_class(extras["nifti_header"])
    return not (int(header["sform_code"]) or int(header["qform_code"]))


def _official_orientation(case: Case, volume: Volume) -> list[str]:
    """KiTS19's files state one orientation; another one shows that they were converted."""
    from datasets.sets.kits19 import ORIENTATION, is_official

    stored = axis_codes(volume.source.affine) if volume.source else ""
    if not is_official(case) or stored == ORIENTATION:
        return []
    return [f"stored {stored}, the official files are {ORIENTATION}: converted, or of the first release"]
