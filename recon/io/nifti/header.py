"""What a NIfTI header says: shape, affine in mm, units; and which of two statements counts where they disagree."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from recon.errors import InputError
from recon.io.orientation import check_affine, numbers, spacing_of

PROGRAM = "meddiffusion-recon"
"""How NIfTI files (``descrip``) and pictures (``Software``) name the program that wrote them."""

_HEADER_BYTES = {348: 1, 540: 2}  # sizeof_hdr to NIfTI version
_MM = {0: ("unknown", 1.0), 1: ("metre", 1000.0), 2: ("mm", 1.0), 3: ("micron", 0.001)}
_LARGEST_VOXEL = 100.0
"""mm. A header in metres with larger voxels has the wrong unit, as no patient fits into such voxels."""

_SAME_PLACE = 0.01
"""Distance in voxels of a corner up to which qform and sform place it alike."""


@dataclass(frozen=True)
class Grid:
    """Where the voxels lie.

    Attributes:
        shape: (i, j, k).
        affine: (4, 4) affine, voxel (i, j, k) to RAS+ mm.
        placed: whether the header states the orientation (a qform or an sform).
        notices: what was decided on the way.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    placed: bool
    notices: tuple[str, ...]


def version_of(block: bytes) -> int | None:
    """1 or 2 for the start of a NIfTI header of either byte order, else None."""
    sizes = {int.from_bytes(block[:4], "little"), int.from_bytes(block[:4], "big")}
    version = next((_HEADER_BYTES[size] for size in sizes if size in _HEADER_BYTES), None)
    magic = block[344:348] if version == 1 else block[4:8]
    return version if magic[:3] in (b"n+1", b"n+2", b"ni1", b"ni2") else None


def is_pair(block: bytes) -> bool:
    """Whether the voxels lie in another file (.img) than this header (.hdr)."""
    return b"ni" in (block[344:346], block[4:6])


def read_block(path: Path, stream: BinaryIO) -> bytes:
    """The bytes of a header, from the start of a file."""
    block = stream.read(348)
    if block[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c"):  # 540: NIfTI-2
        block += stream.read(540 - 348)
    if version_of(block) is None:
        raise InputError(f"{path}: not a NIfTI file; give a .nii or .nii.gz volume")
    return block


def parse_header(path: Path, block: bytes) -> Any:
    """The header as nibabel's object; :class:`InputError` if it is damaged."""
    import nibabel
    from nibabel.spatialimages import HeaderDataError

    header_class = nibabel.Nifti2Header if version_of(block) == 2 else nibabel.Nifti1Header
    if len(block) < header_class.sizeof_hdr:
        raise InputError(f"{path}: the file ends within its header: it is truncated")
    with quiet_nibabel():
        stored = header_class(block, check=False)
        _check_spacing(path, stored)
        try:
            return header_class(block, check=True)
        except (HeaderDataError, ValueError) as error:
            raise InputError(f"{path}: the NIfTI header is damaged ({one_line(error)})") from error


def grid_of(path: Path, header: Any) -> Grid:
    """Shape and affine. ``header`` is changed to say what was decided: its unit becomes mm, a broken form is dropped.

    Raises:
        InputError: not one 2D or 3D image, a unit that cannot be meant, or no usable affine.
    """
    with quiet_nibabel():
        shape, notices = _shape(path, header)
        notices += _to_millimetres(path, header)
        affine, more = _affine(path, header, shape)
    check_affine(path, affine)
    placed = bool(header["sform_code"] or header["qform_code"])
    if not placed:
        more.append("the header says nothing of the orientation (qform and sform codes are 0): it is unknown")
    return Grid(shape, affine, placed, tuple(notices + more))


@contextmanager
def quiet_nibabel() -> Iterator[None]:
    """nibabel's remarks on a damaged header go to a logger that prints; the error that follows says enough."""
    from nibabel import imageglobals

    before = imageglobals.logger.disabled
    imageglobals.logger.disabled = True
    try:
        yield
    finally:
        imageglobals.logger.disabled = before


def one_line(error: Exception) -> str:
    """The text of an error in one line."""
    return " ".join(str(error).split())


def _check_spacing(path: Path, header: Any) -> None:
    """Refuse sizes that are not positive, on the header as stored: nibabel's own check silently makes them 1.

    Of a 2D image the third size means nothing.
    """
    count = 2 if int(header["dim"][0]) == 2 else 3
    spacing = np.asarray(header["pixdim"][1 : count + 1], float)
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise InputError(
            f"{path}: the header's voxel size (pixdim) is {numbers(spacing)}; it must be positive along every axis"
        )


def _shape(path: Path, header: Any) -> tuple[tuple[int, int, int], list[str]]:
    try:
        shape = tuple(int(n) for n in header.get_data_shape())
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: the NIfTI header is damaged ({one_line(error)})") from error
    words = " x ".join(map(str, shape)) or "nothing"
    if min(shape, default=0) < 1:
        raise InputError(f"{path}: an image of shape {words} is empty")
    if len(shape) < 2:
        raise InputError(f"{path}: a line of {words} values; an image is needed")
    if math.prod(shape[3:]) > 1:
        raise InputError(f"{path}: {math.prod(shape[3:])} volumes in one file ({words}); give a file with one")
    if len(shape) == 2:
        depth = float(header["pixdim"][3])
        header["pixdim"][3] = depth if math.isfinite(depth) and depth > 0 else 1.0
        notice = f"a 2D image ({words}) was taken as one slice of {float(header['pixdim'][3]):g} mm"
        return (shape[0], shape[1], 1), [notice]
    return (shape[0], shape[1], shape[2]), []


def _to_millimetres(path: Path, header: Any) -> list[str]:
    """Scale the header to mm."""
    unit, factor = _MM.get(int(header["xyzt_units"]) & 7, ("an unknown code", math.nan))
    if math.isnan(factor):
        raise InputError(f"{path}: the header's spatial unit is {unit}; convert it and the affine to mm")
    if factor == 1:
        return []
    stated = np.asarray(header["pixdim"][1:4], float)
    if (stated * factor).max() > _LARGEST_VOXEL:
        raise InputError(
            f"{path}: the header's spatial unit is {unit}, which makes voxels of {numbers(stated * factor)} mm; "
            "is it mm? then correct the header"
        )
    for name in ("srow_x", "srow_y", "srow_z", "qoffset_x", "qoffset_y", "qoffset_z"):
        header[name] = np.asarray(header[name]) * factor
    header["pixdim"][1:4] = stated * factor
    header["xyzt_units"] = (int(header["xyzt_units"]) & ~7) | 2
    return [f"the header's unit is {unit}: voxels are {numbers(stated * factor)} mm"]


def _affine(path: Path, header: Any, shape: tuple[int, int, int]) -> tuple[np.ndarray, list[str]]:
    """sform before qform, as in nibabel; where one is broken, the other."""
    sform, qform = _form(path, header, "sform", shape), _form(path, header, "qform", shape)
    if not (header["sform_code"] or header["qform_code"]):
        return np.asarray(header.get_base_affine(), float), []
    problems = [form for form in (sform, qform) if isinstance(form, InputError)]
    good = [form for form in (sform, qform) if isinstance(form, np.ndarray)]
    if not good:
        raise problems[0]
    notices = []
    if problems:
        taken, dropped = ("sform", "qform") if isinstance(sform, np.ndarray) else ("qform", "sform")
        header[f"{dropped}_code"] = 0
        notices.append(f"the header's {dropped} is broken; its {taken} was taken")
    return good[0], notices + _disagreements(header, good, shape)


def _form(path: Path, header: Any, name: str, shape: tuple[int, int, int]) -> np.ndarray | InputError | None:
    """One of the two affines; an error if it is broken, None if its code is 0."""
    from nibabel.spatialimages import HeaderDataError

    if not header[f"{name}_code"]:
        return None
    try:
        affine = np.asarray(getattr(header, f"get_{name}")(), float)
        if shape[2] == 1 and not affine[:3, 2].any():  # a 2D image need not say where a third axis would point
            across = np.cross(affine[:3, 0], affine[:3, 1])
            affine[:3, 2] = across / max(float(np.linalg.norm(across)), 1e-12) * float(header["pixdim"][3])
        if not (np.isfinite(affine).all() and (np.linalg.norm(affine[:3, :3], axis=0) > 0).all()):
            check_affine(path, affine)
        return affine
    except (HeaderDataError, ValueError) as error:
        return InputError(f"{path}: the header's orientation is damaged ({one_line(error)})")
    except InputError as error:
        return error


def _disagreements(header: Any, forms: list[np.ndarray], shape: tuple[int, int, int]) -> list[str]:
    """Notices on a qform that places the voxels elsewhere than the sform, or sizes other than the sform's."""
    taken = forms[0]
    smallest = min(spacing_of(taken))
    if len(forms) == 2:
        corners = np.array([[*corner, 1] for corner in itertools.product(*((0, n - 1) for n in shape))])
        apart = float(np.linalg.norm((corners @ (forms[0] - forms[1]).T)[:, :3], axis=1).max())
        if apart > _SAME_PLACE * smallest:
            sizes = [numbers(np.asarray(spacing_of(form))) for form in forms]
            sized = f" (voxels of {sizes[0]} and {sizes[1]} mm)" if sizes[0] != sizes[1] else ""
            return [f"sform and qform of the header disagree by up to {apart:.4g} mm{sized}; the sform was taken"]
    elif header["sform_code"]:
        stated = np.asarray(header["pixdim"][1:4], float)
        if not np.allclose(stated, spacing_of(taken), rtol=_SAME_PLACE):
            return [
                f"the header's sform has voxels of {numbers(np.asarray(spacing_of(taken)))} mm, its pixdim says "
                f"{numbers(stated)} mm; the sform was taken"
            ]
    return []
