"""How well age and sex that are read agree with those that are true or were asked for, with intervals over volumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.patient_reader import Reading
from priors.networks.patient import Patient

RESAMPLES = 2000
"""Resamples of the volumes for an interval."""


@dataclass(frozen=True)
class Estimate:
    """A figure with the ends of its interval of 95 %, percentiles of a bootstrap over volumes."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Figures:
    """What was read of a set of volumes.

    Attributes:
        volumes: the number of volumes.
        age_error: the mean absolute error of the age in years; None where no age is known.
        age_bias: the mean of the age that was read less the true one, in years.
        age_correlation: Pearson's correlation of the two; None also where one of them is the same for all, and for two.
        sex_accuracy: the share of volumes whose sex is read right; None where no sex is known.
    """

    volumes: int
    age_error: Estimate | None
    age_bias: Estimate | None
    age_correlation: Estimate | None
    sex_accuracy: Estimate | None


def figures(wanted: Sequence[Patient], found: Sequence[Reading], seed: int = 0) -> Figures:
    """The figures of volumes with what is true of them, or was asked for, and what was read.

    Args:
        wanted: age and sex of each volume.
        found: what was read in each.
        seed: the seed of the resamples.
    """
    pairs = [(each.age, read.age) for each, read in zip(wanted, found, strict=True) if each.age is not None]
    truth, read = (np.array(values) for values in zip(*pairs, strict=True)) if pairs else (np.empty(0), np.empty(0))
    right = np.array(
        [
            float((each.sex == "male") == (read.male >= 0.5))
            for each, read in zip(wanted, found, strict=True)
            if each.sex is not None
        ]
    )
    return Figures(
        len(found),
        _estimate(lambda rows: np.abs(read - truth)[rows].mean(-1), len(truth), seed),
        _estimate(lambda rows: (read - truth)[rows].mean(-1), len(truth), seed),
        _estimate(lambda rows: _correlation(truth[rows], read[rows]), len(truth), seed),
        _estimate(lambda rows: right[rows].mean(-1), len(right), seed),
    )


def _estimate(figure: Callable[[np.ndarray], np.ndarray], count: int, seed: int) -> Estimate | None:
    """A figure of rows (…, count) of volumes; None without volumes, or where it is none of all of them."""
    if not count:
        return None
    value = float(figure(np.arange(count)[None])[0])
    if not np.isfinite(value):
        return None
    drawn = figure(np.random.Generator(np.random.PCG64(seed)).integers(count, size=(RESAMPLES, count)))
    low, high = np.percentile(drawn[np.isfinite(drawn)], [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def _correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pearson's correlation of rows (n, count); NaN where one of them is constant, or has two values alone."""
    if one.shape[-1] < 3:
        return np.full(one.shape[:-1], np.nan)
    varied = (np.ptp(one, axis=-1) > 0) & (np.ptp(other, axis=-1) > 0)
    a, b = (values - values.mean(-1, keepdims=True) for values in (one, other))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    return np.where(varied, found, np.nan)
