"""From a path to what it holds, with what the reader of a result must know about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from datasets import sample
from datasets.case import Case
from recon.errors import InputError
from recon.io.cases import read_case
from recon.io.detect import read_any
from recon.io.intensity import Intensity, NaNs, check_hu
from recon.io.kspace.request import KSpaceRequest
from recon.io.sinogram import Sinogram
from recon.scan.kspace import KSpace
from recon.scan.non_cartesian_kspace import NonCartesianKSpace
from recon.scan.volume import Modality, Volume

_UNDERSHOOT = 0.1
"""Magnitudes below 0, over the maximum, that resampling by splines may leave; beyond, the values are none."""


def load(
    path: Path | str | None,
    modality: Modality,
    *,
    intensity: Intensity = "auto",
    axes: str | None = None,
    series: str | None = None,
    nan: NaNs = "refuse",
    resample: bool = False,
    trajectory: Path | None = None,
    matrix: tuple[int, int] | None = None,
    contrast: int | None = None,
    repetition: int | Literal["average"] | None = None,
) -> Volume | KSpace | NonCartesianKSpace | Sinogram:
    """Read a file or folder, whatever its format.

    Args:
        path: the file or folder; None takes the sample that comes with the suite.
        modality: ``CT`` takes volumes and sinograms, ``MR`` volumes and k-space.
        intensity: scale of a CT volume's values: ``hu``; ``unit``, [0, 1], or ``byte``, [0, 255], both taken as
            -1000 to 1000 HU; ``auto`` takes them as HU and notes where they hardly are.
        axes: axis order of an .npy or .npz array, such as ``zcyx``.
        series: end of the UID of the series to take from a DICOM folder that holds several.
        nan: what becomes of voxels that are NaN: ``refuse``; or ``air``, which takes them as air, in MR as 0.
        resample: whether a DICOM series of a tilted gantry, or of uneven distances, is resampled, and not refused.
        trajectory: file of the coordinates of k-space that lies on no grid, where it is not in the k-space file.
        matrix: (y, x) voxels of the image of such k-space, where neither the file nor its coordinates say it.
        contrast: number of the contrast (echo) of raw data that hold several, from 0.
        repetition: number of the repetition of raw data that hold several, from 0; or ``"average"`` for the average of
            all.

    Returns:
        A volume (CT in HU, its ``notices`` saying what is doubtful about it), k-space or a sinogram.

    Raises:
        InputError: an unusable file, values that the modality cannot have, a kind that does not go with ``modality``,
            or an argument that does not go with the kind.
    """
    _check_arguments(path, modality, intensity, nan)
    shipped: Literal["ct", "mr"] = "ct" if modality == "CT" else "mr"
    given = sample.path(shipped) if path is None else path
    request = KSpaceRequest(None, trajectory, matrix, contrast, repetition)
    found = read_any(given, modality, axes=axes, series=series, nan=nan, resample=resample, kspace=request)
    if not isinstance(found, Volume):
        if intensity != "auto":
            raise InputError(f"`intensity` {intensity}: is for CT volumes; {path} holds none")
        return found
    if path is None:
        found = replace(found, notices=(f"sample data: {sample.DESCRIPTION[shipped]}",))
    return _with_doubts(found, intensity)


def load_case(case: Case) -> Volume | KSpace:
    """What a case of a data set holds, as :func:`load` gives it.

    Raises:
        InputError: an unusable file, values that the modality cannot have, or something else than the case says.
    """
    found = read_case(case)
    return _with_doubts(found, "auto") if isinstance(found, Volume) else found


def _with_doubts(volume: Volume, intensity: Intensity) -> Volume:
    """The volume in its modality's unit, with what is doubtful about its values among its notices."""
    converted, doubts = check_hu(volume, intensity) if volume.modality == "CT" else (volume, _undershoot(volume))
    return replace(converted, notices=(*volume.notices, *doubts))


def _check_arguments(path: Path | str | None, modality: str, intensity: str, nan: str) -> None:
    if modality not in get_args(Modality):
        raise InputError(f"`modality` {modality}: must be one of {', '.join(get_args(Modality))}")
    if path == "":
        raise InputError("`path`: must name a file or folder; it is empty")
    if intensity not in get_args(Intensity):
        raise InputError(f"`intensity` {intensity}: must be one of {', '.join(get_args(Intensity))}")
    if nan not in get_args(NaNs):
        raise InputError(f"`nan` {nan}: must be one of {', '.join(get_args(NaNs))}")
    if intensity != "auto" and modality != "CT":
        raise InputError(f"`intensity` {intensity}: is for CT volumes; leave it out for MR")


def _undershoot(volume: Volume) -> list[str]:
    """A remark if a magnitude has values a little below 0; :class:`InputError` if it cannot be one."""
    subject = volume.source.path if volume.source else "the volume"
    low, high = (float(value) for value in volume.data.aminmax())
    if low < -_UNDERSHOOT * high:
        raise InputError(f"{subject}: values {low:g} to {high:g} are no MR magnitude; a CT volume is for recon svct")
    return [f"{subject}: values down to {low:g}; a magnitude has none below 0"] if low < 0 else []
