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
from recon.io.kspace.epi import correction_notice
from recon.io.kspace.partitions import slices_of_volume
from recon.io.kspace.request import KSpaceRequest
from recon.io.kspace.support import is_rectangle
from recon.io.kspace.twix_readouts import TwixReadout, ramp_of, without_ghost

INSTALL = "pip install twixtools"

_LEFT_OUT = (
    *(
        "NOISEADJSCAN",
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
    kept apart; backward readouts of echo-planar data are turned, and their phase is corrected by the reference lines;
    readouts of noise and phase stabilisation are left out.

    Raises:
        InputError: the extra is not installed, a damaged file, echo-planar data without reference lines, or several
            contrasts or repetitions of which none is chosen.
    """
    require_file(path)
    check_fits(path, 6 * path.stat().st_size)
    scan = _loaded(path)
    kinds = _sorted_readouts(path, scan["mdb"], request or KSpaceRequest())
    header, left_out = scan["hdr"]["MeasYaps"], len(kinds["other"]) + len(kinds["reference"])
    readouts, lines = ([TwixReadout.of(each) for each in kinds[kind]] for kind in ("image", "calibration"))
    notices: tuple[str, ...] = ()
    if any(each.backwards for each in readouts):
        reference = [TwixReadout.of(each) for each in kinds["reference"]]
        ramp = ramp_of(path, scan["hdr"], readouts[0].data.shape[1])
        readouts = without_ghost(path, readouts, reference, ramp)
        lines = without_ghost(path, lines, reference, ramp) if lines else []
        left_out, notices = left_out - len(reference), (correction_notice(len(reference), ramp),)
    columns = int(header["sKSpace"]["lPhaseEncodingLines"])
    partitions = 1 + max(each.partition for each in readouts)
    counters = sorted({each.slice_ for each in readouts})
    shape = (len(counters), readouts[0].data.shape[0], _rows(readouts), columns, partitions)
    check_fits(path, 32 * int(np.prod(shape, dtype=object)))
    data, sampled = _placed(path, readouts, shape, counters)
    calibration = _placed(path, lines, shape, counters)[0] if lines else None
    mask: np.ndarray | None = None
    if partitions == 1:
        data, calibration = data[..., 0], None if calibration is None else calibration[..., 0]
        mask = None if is_rectangle(sampled[0, ..., 0]) else sampled[0, ..., 0]
    elif len(counters) > 1:
        raise InputError(f"{path}: several slabs of two phase encodings; only one can be read")
    else:
        data, further = slices_of_volume(data[0])
        notices += further
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
        transformed=partitions > 1,
        meta={"spacing_known": True, "orientation_known": False, "readouts_left_out": left_out},
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
    kinds: dict[str, list[Any]] = {"image": [], "calibration": [], "reference": [], "other": []}
    for readout in readouts:
        kinds[_kind(set(readout.get_active_flags()))].append(readout)
    if not kinds["image"]:
        raise InputError(f"{path}: none of the {len(readouts)} readouts is imaging data")
    numbers = {name: [int(getattr(each, key)) for each in kinds["image"]] for name, key in _SINGLE.items()}
    wanted = request.wanted_of(path, numbers)
    series: dict[bool, list[Any]] = {True: [], False: []}
    for each in kinds["image"]:
        series[all(int(getattr(each, _SINGLE[name])) == n for name, n in wanted.items())].append(each)
    return kinds | {"image": series[True], "other": kinds["other"] + series[False]}


def _kind(flags: set[str]) -> str:
    if flags & set(_LEFT_OUT) or "ACQEND" in flags:
        return "other"
    if "PHASCOR" in flags:
        return "reference"
    return "calibration" if "PATREFSCAN" in flags and "PATREFANDIMASCAN" not in flags else "image"


def _rows(readouts: list[TwixReadout]) -> int:
    """Samples of a whole readout: of an asymmetric echo, twice what lies behind its centre."""
    longest, centre = max(each.data.shape[1] for each in readouts), readouts[0].centre
    return max(longest, 2 * (longest - centre), 2 * centre) if 0 < centre < longest else longest


def _placed(
    path: Path, readouts: list[TwixReadout], shape: tuple[int, ...], counters: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """(z, coils, y, x, partitions) averaged k-space, and (z, y, x, partitions) bool where there are samples."""
    data = np.zeros(shape, np.complex64)
    counts = np.zeros((shape[0], *shape[2:]), np.int32)
    _, coils, rows, columns, partitions = shape
    for readout in readouts:
        line = readout.line + columns // 2
        plane = readout.plane + partitions // 2 if partitions > 1 else 0
        samples = readout.data
        first = rows // 2 - readout.centre if samples.shape[1] < rows else 0
        last = first + samples.shape[1]
        inside = 0 <= line < columns and 0 <= plane < partitions and first >= 0 and last <= rows
        if samples.shape[0] != coils or not inside or readout.slice_ not in counters:
            raise InputError(f"{path}: a readout does not fit the header's matrix of {rows} x {columns}")
        z = counters.index(readout.slice_)
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
