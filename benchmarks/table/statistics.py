"""Means over cases, and whether two methods differ on the same cases."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

RESAMPLES = 9999
CONFIDENCE = 0.95
_LEAST_FOR_TEST = 6
"""With fewer pairs no two-sided Wilcoxon test can reach 0.05."""


@dataclass(frozen=True)
class Summary:
    """A metric of one method over cases.

    Attributes:
        count: cases.
        mean: the mean over the cases; NaN without any.
        sd: sample standard deviation; None of fewer than two cases.
    """

    count: int
    mean: float
    sd: float | None

    def text(self, digits: int) -> str:
        """As the paper prints it: ``24.81 (2.60)``."""
        if not self.count:
            return "–"
        spread = "" if self.sd is None else f" ({self.sd:.{digits}f})"
        return f"{self.mean:.{digits}f}{spread}"


def summary(values: Sequence[float]) -> Summary:
    """Mean and standard deviation over cases."""
    array = np.asarray(values, dtype=np.float64)
    if not len(array):
        return Summary(0, math.nan, None)
    return Summary(len(array), float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else None)


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same cases.

    Attributes:
        count: pairs.
        difference: mean of the first less the second.
        low, high: bootstrap 95 % interval of it; None of fewer than two pairs.
        p: the p-value of Wilcoxon's signed-rank test, two-sided; None for fewer than six pairs.
    """

    count: int
    difference: float
    low: float | None
    high: float | None
    p: float | None

    def text(self, digits: int) -> str:
        """``+1.20 [0.80, 1.60], p = 0.031 (8 cases)``."""
        if not self.count:
            return "no case has both"
        interval = "" if self.low is None else f" [{self.low:+.{digits}f}, {self.high:+.{digits}f}]"
        test = ", too few cases for a test" if self.p is None else f", p = {self.p:.2g}"
        return f"{self.difference:+.{digits}f}{interval}{test} ({self.count} case{'s' if self.count > 1 else ''})"


def compare(pairs: Sequence[tuple[float, float]]) -> Comparison:
    """The paired difference, its bootstrap interval (bias-corrected and accelerated) and Wilcoxon's test.

    Efron 1987, "Better bootstrap confidence intervals"; Wilcoxon 1945. The bootstrap's seed is fixed.
    """
    differences = np.array([one - other for one, other in pairs], dtype=np.float64)
    if not len(differences):
        return Comparison(0, math.nan, None, None, None)
    low, high = _interval(differences)
    p = None
    if len(differences) >= _LEAST_FOR_TEST and np.any(differences):
        p = float(stats.wilcoxon(differences).pvalue)
    return Comparison(len(differences), float(differences.mean()), low, high, p)


def _interval(differences: np.ndarray) -> tuple[float | None, float | None]:
    if len(differences) < 2:
        return None, None
    if np.ptp(differences) == 0:
        return float(differences[0]), float(differences[0])
    generator = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # BCa is undefined for some tiny samples; percentiles stand in then
        for method in ("BCa", "percentile"):
            found = stats.bootstrap(
                (differences,),
                np.mean,
                confidence_level=CONFIDENCE,
                n_resamples=RESAMPLES,
                method=method,
                rng=generator,
            ).confidence_interval
            if np.isfinite([found.low, found.high]).all():
                break
    return float(found.low), float(found.high)
