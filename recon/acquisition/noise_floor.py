"""The noise of data most of which may be signal: the level that their quietest parts share.

Mean squares over windows of white noise follow a χ² law. Signal only adds to them. So the lower tail of all windows has
that law's shape where some hold noise alone, whatever share of them, and the level follows from where the tail begins.
Where the tail has another shape there is no noise floor to be seen, and none is given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

_LEAST_WINDOWS, _LEAST_SHARE = 60, 0.01

_TAIL = np.linspace(0.3, 1.15, 18)
"""Multiples of a level at which the windows' distribution, up to the last of them, is compared with the law."""

_ALLOWED, _ALLOWED_BY_CHANCE = 0.03, 1.4
"""Largest difference of the two that is no reason to doubt: of shares, or of that times the root of the count."""

_CANDIDATES = 600


@dataclass(frozen=True)
class NoiseFloor:
    """What the quietest windows share.

    Attributes:
        variance: mean square of the noise.
        windows: number of windows that hold noise alone.
        share: their share of all.
    """

    variance: float
    windows: int
    share: float


def noise_floor(power: np.ndarray, degrees: float) -> NoiseFloor | None:
    """The level of the noise in windows of data; None where they show none.

    Args:
        power: (windows,) mean squares, all above 0.
        degrees: of freedom of a mean square of noise.
    """
    if len(power) < _LEAST_WINDOWS:
        return None
    power = np.sort(power)
    levels = np.geomspace(power[0], power[-1], _CANDIDATES)
    below = np.searchsorted(power, levels[:, None] * _TAIL)
    law = chi2.cdf(_TAIL * degrees, degrees)
    enough = below[:, -1] >= max(_LEAST_WINDOWS * law[-1], _LEAST_SHARE * len(power))
    if not enough.any():
        return None
    levels, below = levels[enough], below[enough]
    difference = np.abs(below / below[:, -1:] - law / law[-1]).max(1)
    best = int(difference.argmin())
    count = int(below[best, -1])
    if difference[best] > max(_ALLOWED, _ALLOWED_BY_CHANCE / count**0.5):
        return None
    windows = min(count / float(law[-1]), len(power))
    return NoiseFloor(float(levels[best]), round(windows), windows / len(power))
