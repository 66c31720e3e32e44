"""Echo-planar readouts: samples on the gradient's ramps to the grid, and readouts in both directions to agreement.

A readout on the way back is turned around. Gradients and receiver are late by a little, so that its echo is shifted
against that of the others, and every second line has a phase that is linear along the readout: an image with a ghost
half a field of view away. Reference lines without phase encoding tell that phase (Ahn & Cho 1987, IEEE Trans Med
Imaging 6:32).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

_CUT = 1e-2
"""Singular value, over the largest, below which a direction of a line is not told by its samples."""


@dataclass(frozen=True)
class Ramp:
    """A trapezoidal readout gradient; all times in µs.

    Attributes:
        up, flat, down: duration of the ramps and of the flat top.
        delay: from the start of the gradient to the start of sampling.
        dwell: duration of a sample.
        samples: number of samples.
    """

    up: float
    flat: float
    down: float
    delay: float
    dwell: float
    samples: int

    @property
    def usable(self) -> bool:
        """Whether the samples lie within a gradient whose times can be."""
        times = (self.up, self.flat, self.down, self.delay, self.dwell)
        finite = bool(np.isfinite(times).all()) and min(times) >= 0 and self.dwell > 0 and self.samples > 1
        return finite and self.delay + self.samples * self.dwell <= (self.up + self.flat + self.down) * (1 + 1e-3)

    def area(self, time: np.ndarray) -> np.ndarray:
        """The area under the gradient, of height 1, from its start to some times."""
        falling = np.clip(time - self.up - self.flat, 0, self.down)
        rising = np.clip(time, 0, self.up)
        return np.asarray(
            (rising**2 / (2 * self.up) if self.up else 0)
            + np.clip(time - self.up, 0, self.flat)
            + (falling - falling**2 / (2 * self.down) if self.down else 0)
        )

    def positions(self, rows: int) -> np.ndarray:
        """(samples,) places along k of the samples of a forward readout, in steps of a grid of ``rows`` steps that they
        cover; sample ``samples // 2`` is at 0."""
        edges = self.area(self.delay + self.dwell * np.array([0.0, self.samples]))
        middles = self.area(self.delay + self.dwell * (np.arange(self.samples) + 0.5))
        return np.asarray((middles - middles[self.samples // 2]) * rows / (edges[1] - edges[0]))


@dataclass(frozen=True)
class LineGrid:
    """From samples of a readout to a line of k-space on its grid.

    Attributes:
        rows: samples of the line.
        ramp: the gradient under which samples were taken; None: they lie on the grid, but for missing ones before.
    """

    rows: int
    ramp: Ramp | None = None

    def on_grid(self, line: np.ndarray, backwards: bool) -> np.ndarray:
        """(coils, samples) of a readout in time as (coils, rows) in the order of k."""
        ordered = line[:, ::-1] if backwards else line
        if self.ramp is None:
            return ordered
        return np.asarray(ordered @ (self._backwards if backwards else self._forwards), np.complex64)

    @cached_property
    def _forwards(self) -> np.ndarray:
        assert self.ramp is not None
        return _regridding(self.ramp.positions(self.rows), self.rows)

    @cached_property
    def _backwards(self) -> np.ndarray:
        assert self.ramp is not None
        return _regridding(-self.ramp.positions(self.rows)[::-1], self.rows)


def _regridding(positions: np.ndarray, rows: int) -> np.ndarray:
    """(samples, rows): least squares for the profile that has samples at positions, and its samples on the grid."""
    x = np.arange(rows) - rows // 2
    measured = np.exp(-2j * np.pi * np.outer(positions, x) / rows)
    on_grid = np.exp(-2j * np.pi * np.outer(x, x) / rows)
    return np.asarray((on_grid @ np.linalg.pinv(measured, rcond=_CUT)).T)


@dataclass(frozen=True)
class GhostPhase:
    """The phase of backward lines against forward ones, linear along the readout.

    Attributes:
        offset: radians at the centre.
        slope: radians a pixel.
    """

    offset: float
    slope: float

    def corrected(self, line: np.ndarray) -> np.ndarray:
        """A backward line (coils, rows) of k-space without that phase."""
        rows = line.shape[-1]
        phase = self.offset + self.slope * (np.arange(rows) - rows // 2)
        return _to_kspace(_to_profile(line) * np.exp(-1j * phase))


def ghost_phase(forward: np.ndarray, backward: np.ndarray) -> GhostPhase:
    """The phase of reference lines (n, coils, rows), all on the grid and in the order of k.

    The mean of forward lines, before and behind the backward one, is taken, so that their drift cancels. The slope is
    that of neighbouring pixels' phases and then the offset that of all (weighted by the signal).
    """
    product = _to_profile(backward.mean(0)) * _to_profile(forward.mean(0)).conj()
    cross = product.sum(0)
    slope = float(np.angle((cross[1:] * cross[:-1].conj()).sum()))
    x = np.arange(len(cross)) - len(cross) // 2
    return GhostPhase(float(np.angle((cross * np.exp(-1j * slope * x)).sum())), slope)


def _to_profile(lines: np.ndarray) -> np.ndarray:
    return np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(lines, axes=-1), axis=-1, norm="ortho"), axes=-1)


def _to_kspace(profiles: np.ndarray) -> np.ndarray:
    spectrum = np.fft.fft(np.fft.ifftshift(profiles, axes=-1), axis=-1, norm="ortho")
    return np.fft.fftshift(spectrum, axes=-1).astype(np.complex64)


def correction_notice(references: int, ramp: Ramp | None) -> str:
    """What was done to echo-planar readouts, in words."""
    gridded = "; samples on the gradient's ramps were brought to the grid" if ramp else ""
    turned = "echo-planar: backward readouts were turned, and their phase corrected by"
    return f"{turned} {references} reference lines{gridded}"
