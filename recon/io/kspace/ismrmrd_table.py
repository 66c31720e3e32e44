"""The table of readouts of ISMRMRD raw data: which are for what, and their samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recon.errors import InputError
from recon.io.checks import check_fits
from recon.io.kspace.request import KSpaceRequest

if TYPE_CHECKING:
    import h5py

# Acquisition flags are numbered from 1 (ismrmrd.h, ISMRMRD_AcquisitionFlags).
_NOISE = 19
_CALIBRATION = 20
REVERSED = 22
"""The flag of a readout that goes backwards."""
_REFERENCE = 24
_NOT_IMAGING = (19, 23, 24, 26, 27, 28, 29, 30, 31)
"""Noise, navigator, phase correction, feedback, dummy, surface coil correction, phase stabilization, its reference."""
_COMPRESSED = (53, 54, 55, 56)
_SINGLE = ("contrast", "phase", "repetition", "set")


@dataclass(frozen=True)
class Table:
    """Readouts of one kind.

    Attributes:
        heads: headers of the readouts.
        lines: samples of each, real and imaginary parts alternating.
        points: coordinates of each, as many a sample as the header says; None where they were not read.
    """

    heads: np.ndarray
    lines: np.ndarray
    points: np.ndarray | None = None

    def chosen(self, which: np.ndarray) -> Table:
        """The readouts of a (readouts,) bool array alone."""
        return Table(self.heads[which], self.lines[which], None if self.points is None else self.points[which])


@dataclass(frozen=True)
class Readouts:
    """All readouts of a file.

    Attributes:
        imaging: those that make the image.
        calibration: those of separate calibration lines.
        noise: those of noise alone.
        reference: those without phase encoding that tell the phase of backward readouts.
        others: how many there are besides image, calibration and noise.
    """

    imaging: Table
    calibration: Table
    noise: Table
    reference: Table
    others: int


def read_table(path: Path, table: h5py.Dataset, trajectories: bool = False) -> Readouts:
    """The readouts by what they are for; with their coordinates where ``trajectories`` are wanted.

    Raises:
        InputError: a table of another form, compressed readouts, or none that makes an image.
    """
    if table.dtype.names is None or not {"head", "data"} <= set(table.dtype.names):
        raise InputError(f"{path}: the ISMRMRD table 'data' has no columns 'head' and 'data'")
    check_fits(path, 4 * table.size * table.dtype.itemsize)
    heads = table.fields("head")[()]
    check_fits(path, 16 * int((heads["number_of_samples"].astype(int) * heads["active_channels"]).sum()))
    if flagged(heads, _COMPRESSED).any():
        raise InputError(f"{path}: its readouts are compressed (flags 53 to 56); convert it to uncompressed ISMRMRD")
    usable = ~flagged(heads, _NOT_IMAGING) & (heads["number_of_samples"] > 0) & (heads["encoding_space_ref"] == 0)
    apart = flagged(heads, (_CALIBRATION,))
    imaging = usable & ~apart
    if not imaging.any():
        raise InputError(f"{path}: none of the {len(heads)} readouts is imaging data")
    lines = table.fields("data")[()]
    noise = flagged(heads, (_NOISE,)) & (heads["number_of_samples"] > 0)
    points = table.fields("traj")[()] if trajectories and "traj" in table.dtype.names else None
    whole = Table(heads, lines, points)
    reference = flagged(heads, (_REFERENCE,)) & (heads["number_of_samples"] > 0)
    return Readouts(
        imaging=whole.chosen(imaging),
        calibration=whole.chosen(usable & apart),
        noise=whole.chosen(noise),
        reference=whole.chosen(reference),
        others=int((~usable).sum()),
    )


def noise_readouts(path: Path, noise: Table, imaging: Table) -> np.ndarray | None:
    """(coils, samples) of all noise readouts with the image's coils, of the level of the image's samples.

    Noise power goes as the bandwidth, the inverse of the time of a sample, and as the inverse number of averages.
    """
    coils = int(imaging.heads[0]["active_channels"])
    found = []
    for head, samples in zip(noise.heads, noise.lines, strict=True):
        if int(head["active_channels"]) != coils:
            continue
        dwell = float(head["sample_time_us"]) / (float(imaging.heads[0]["sample_time_us"]) or 1.0)
        line = valid_samples(path, head, samples)
        found.append(line * (dwell if np.isfinite(dwell) and dwell > 0 else 1.0) ** 0.5)
    if not found:
        return None
    return np.concatenate(found, axis=1) / _averages(imaging.heads) ** 0.5


def _averages(heads: np.ndarray) -> int:
    """How often each line of the image was measured, as the counters of averages and repetitions tell."""
    return len(np.unique(heads["idx"]["average"])) * len(np.unique(heads["idx"]["repetition"]))


def flagged(heads: np.ndarray, flags: tuple[int, ...]) -> np.ndarray:
    """Which readouts have one of some flags."""
    bits = np.bitwise_or.reduce([np.uint64(1) << np.uint64(flag - 1) for flag in flags])
    return np.asarray((heads["flags"] & bits) != 0)


def one_series(path: Path, readouts: Readouts, request: KSpaceRequest) -> Readouts:
    """The readouts of the one image series that the user wants, or of the only one.

    Separate calibration lines and reference lines are those of the series where it has some, and else all.

    Raises:
        InputError: several series, one that is not there, or a number of coils that changes.
    """
    heads = readouts.imaging.heads
    wanted = request.wanted_of(path, {counter: heads["idx"][counter].tolist() for counter in _SINGLE})
    imaging = readouts.imaging.chosen(_matching(heads, wanted))
    if len(np.unique(imaging.heads["active_channels"])) > 1:
        raise InputError(f"{path}: the number of coils changes between readouts")
    left = len(heads) - len(imaging.heads)
    return replace(
        readouts,
        imaging=imaging,
        calibration=_of_series(readouts.calibration, wanted),
        reference=_of_series(readouts.reference, wanted),
        others=readouts.others + left,
    )


def _of_series(table: Table, wanted: dict[str, int]) -> Table:
    own = _matching(table.heads, wanted)
    return table.chosen(own) if own.any() else table


def _matching(heads: np.ndarray, wanted: dict[str, int]) -> np.ndarray:
    """Which readouts have the wanted numbers."""
    matching = np.ones(len(heads), bool)
    for counter, number in wanted.items():
        matching &= heads["idx"][counter] == number
    return matching


def valid_samples(path: Path, head: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """(coils, n) samples of a readout without those that are to be discarded."""
    count, coils = int(head["number_of_samples"]), int(head["active_channels"])
    if samples.size != 2 * count * coils:
        raise InputError(f"{path}: a readout holds {samples.size // 2} samples, its header says {coils} x {count}")
    line = np.ascontiguousarray(samples, np.float32).view(np.complex64).reshape(coils, count)
    return line[:, kept_samples(path, head)]


def kept_samples(path: Path, head: np.ndarray) -> slice:
    """Which samples of a readout are left when those that are to be discarded are taken away."""
    count, before, after = (int(head[name]) for name in ("number_of_samples", "discard_pre", "discard_post"))
    if before + after >= count:
        raise InputError(f"{path}: a readout of {count} samples, of which {before} + {after} are to be discarded")
    return slice(before, count - after)
