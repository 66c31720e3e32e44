"""Siemens raw data (twix, ``.dat``), read by ``twixtools``, an extra that users install themselves."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from recon.errors import InputError
from recon.io.checks import check_fits, require_file
from recon.io.kspace.checks import RawKSpace
from recon.io.kspace.partitions import slices_of_volume
from recon.io.kspace.request import KSpaceRequest
from recon.io.kspace.support import is_rectangle

INSTALL = "pip install twixtools"

_LEFT_OUT = (
    *(
        "NOISEADJSCAN",
        "PHASCOR",
        "RTFEEDBACK",
        "HPFEEDBACK",
        "SYNCDATA",
        "PHASESTABSCAN",
        "REFPHASESTABSCAN",
        "DUMMYSCAN",
    ),
    *("RAWDATACORRECTION", "TAGGEDPULSE", "NAVIGATORSCAN"),
)
"""Flags of readouts that are neither image nor calibration. Noise is measured with a bandwidth of its own, which no
header states, so that these readouts do not tell its level; outer k-space does."""
_SINGLE = {"contrast": "cEco", "repetition": "cRep", "set": "cSet", "phase": "cPhs"}
"""Counters that tell image series apart, by the names that they have in ISMRMRD."""


def is_twix(path: Path) -> bool:
    """Whether a file is named like Siemens raw data."""
    return path.suffix.lower() == ".dat"


def read_twix(path: Path, request: KSpaceRequest | None = None) -> RawKSpace:
    """Cartesian slices, or a volume with two phase encodings, of the last measurement in a file.

    Rows of the result are the readout, columns the phase encoding. Calibration lines that are no part of the image are
    kept apart; readouts of noise, phase correction and phase stabilisation are left out.

    Raises:
        InputError: the extra is not installed, a damaged file, echo-planar data, or several contrasts or repetitions
            of which none is chosen.
    """
    require_file(path)
    check_fits(path, 6 * path.stat().st_size)
    scan = _loaded(path)
    kinds = _sorted_readouts(path, scan["mdb"], request or KSpaceRequest())
    header = scan["hdr"]["MeasYaps"]
    columns = int(header["sKSpace"]["lPhaseEncodingLines"])
    partitions = 1 + max(int(readout.cPar) for readout in kinds["image"])
    counters = sorted({int(readout.cSlc) for readout in kinds["image"]})
    shape = (len(counters), kinds["image"][0].data.shape[0], _rows(kinds["image"]), columns, partitions)
    check_fits(path, 32 * int(np.prod(shape, dtype=object)))
    data, sampled = _placed(path, kinds["image"], shape, counters)
    calibration = _placed(path, kinds["calibration"], shape, counters)[0] if kinds["calibration"] else None
    notices: tuple[str, ...] = ()
    mask: np.ndarray | None = None
    if partitions == 1:
        data, calibration = data[..., 0], None if calibration is None else calibration[..., 0]
        mask = None if is_rectangle(sampled[0, ..., 0]) else sampled[0, ..., 0]
    elif len(counters) > 1:
        raise InputError(f"{path}: several slabs of two phase encodings; only one can be read")
    else:
        data, notices = slices_of_volume(data[0])
        calibration = None if calibration is None else slices_of_volume(calibration[0])[0]
    affine, image_shape = _geometry(header, data.shape, partitions)
    return RawKSpace(
        path,
        "twix",
        data,
        affine,
        mask,
        image_shape,
        calibration=calibration,
        meta={"spacing_known": True, "orientation_known": False, "readouts_left_out": len(kinds["other"])},
        notices=notices,
    )


def _loaded(path: Path) -> dict[str, Any]:
    """The last measurement of the file, as twixtools gives it."""
    try:
        import twixtools
    except ImportError:
        raise InputError(f"{path}: Siemens raw data need the package twixtools; install it with '{INSTALL}'") from None
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return dict(twixtools.read_twix(str(path))[-1])
    except Exception as error:
        raise InputError(f"{path}: not readable as Siemens raw data ({type(error).__name__}: {error})") from error


def _sorted_readouts(path: Path, readouts: list[Any], request: KSpaceRequest) -> dict[str, list[Any]]:
    """Readouts by what they are for, those of the image of the one series that the user wants."""
    kinds: dict[str, list[Any]] = {"image": [], "calibration": [], "other": []}
    for readout in readouts:
        kinds[_kind(set(readout.get_active_flags()))].append(readout)
    if not kinds["image"]:
        raise InputError(f"{path}: none of the {len(readouts)} readouts is imaging data")
    if any("REFLECT" in readout.get_active_flags() for readout in kinds["image"]):
        raise InputError(f"{path}: readouts in both directions (echo-planar): its ghost correction is not supported")
    numbers = {name: [int(getattr(each, key)) for each in kinds["image"]] for name, key in _SINGLE.items()}
    wanted = request.wanted_of(path, numbers)
    series: dict[bool, list[Any]] = {True: [], False: []}
    for each in kinds["image"]:
        series[all(int(getattr(each, _SINGLE[name])) == n for name, n in wanted.items())].append(each)
    return kinds | {"image": series[True], "other": kinds["other"] + series[False]}


def _kind(flags: set[str]) -> str:
    if flags & set(_LEFT_OUT) or "ACQEND" in flags:
        return "other"
    return "calibration" if "PATREFSCAN" in flags and "PATREFANDIMASCAN" not in flags else "image"


def _rows(readouts: list[Any]) -> int:
    """Samples of a whole readout: of an asymmetric echo, twice what lies behind its centre."""
    longest = max(int(readout.data.shape[1]) for readout in readouts)
    centre = int(readouts[0].mdh.CenterCol)
    return max(longest, 2 * (longest - centre), 2 * centre) if 0 < centre < longest else longest


def _placed(
    path: Path, readouts: list[Any], shape: tuple[int, ...], counters: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """(z, coils, y, x, partitions) averaged k-space, and (z, y, x, partitions) bool where there are samples."""
    data = np.zeros(shape, np.complex64)
    counts = np.zeros((shape[0], *shape[2:]), np.int32)
    _, coils, rows, columns, partitions = shape
    for readout in readouts:
        line = int(readout.cLin) - int(readout.mdh.CenterLin) + columns // 2
        plane = int(readout.cPar) - int(readout.mdh.CenterPar) + partitions // 2 if partitions > 1 else 0
        samples = np.asarray(readout.data)
        first = rows // 2 - int(readout.mdh.CenterCol) if samples.shape[1] < rows else 0
        last = first + samples.shape[1]
        inside = 0 <= line < columns and 0 <= plane < partitions and first >= 0 and last <= rows
        if samples.shape[0] != coils or not inside or int(readout.cSlc) not in counters:
            raise InputError(f"{path}: a readout does not fit the header's matrix of {rows} x {columns}")
        z = counters.index(int(readout.cSlc))
        data[z, :, first:last, line, plane] += samples
        counts[z, first:last, line, plane] += 1
    data /= np.maximum(counts, 1)[:, None]
    return data, counts > 0


def _geometry(header: Any, shape: tuple[int, ...], partitions: int) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Affine and (y, x) of the image: fields of view in mm, the readout's twice as wide where it is oversampled."""
    slice_ = header["sSliceArray"]["asSlice"][0]
    base = int(header["sKSpace"]["lBaseResolution"])
    read, phase = (
        float(slice_["dReadoutFOV"]) / base,
        float(slice_["dPhaseFOV"]) / int(header["sKSpace"]["lPhaseEncodingLines"]),
    )
    thickness = float(slice_["dThickness"])
    if partitions > 1:
        return np.diag([thickness / partitions, phase, read, 1.0]), None
    return np.diag([phase, read, _distance(header, thickness), 1.0]), (base, shape[-1])


def _distance(header: Any, thickness: float) -> float:
    """Distance of neighbouring slices in mm; their thickness where there is one, or no positions."""
    places = [
        [float(each.get("sPosition", {}).get(axis, 0.0)) for axis in ("dSag", "dCor", "dTra")]
        for each in header["sSliceArray"]["asSlice"]
        if isinstance(each, dict)
    ]
    if len(places) < 2:
        return thickness
    gaps = np.linalg.norm(np.diff(np.asarray(places), axis=0), axis=1)
    return float(np.median(gaps)) or thickness
