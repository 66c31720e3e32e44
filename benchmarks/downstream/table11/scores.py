"""Scores of classifiers on the same test volumes: with bootstrap intervals, and compared by McNemar's exact test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

RESAMPLES = 2000
_THRESHOLD = 0.5


@dataclass(frozen=True)
class Estimate:
    """A score with its 95 % interval over test volumes.

    Attributes:
        value: the mean over the classifiers of all seeds.
        low, high: the percentiles of the same mean over resampled test volumes, resampled within each class.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Scores:
    """The scores of the classifiers of one row; the classes are abnormal, whose probability is given, and normal."""

    accuracy: Estimate
    f1_abnormal: Estimate
    f1_normal: Estimate
    balanced_accuracy: Estimate
    auc: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class McNemar:
    """Two classifiers on the same volumes: McNemar's test (1947), two-sided and exact.

    Attributes:
        only_this: the number of volumes that this classifier alone has right.
        only_baseline: the number of volumes that the baseline alone has right.
        p: the p-value; 1 where no volume tells them apart.
        difference: this classifier's accuracy less the baseline's, with its 95 % interval: means over all seeds.
    """

    only_this: int
    only_baseline: int
    p: float
    difference: Estimate


def score(probabilities: np.ndarray, abnormal: np.ndarray) -> Scores:
    """The scores of the classifiers of several seeds.

    Args:
        probabilities: (seeds, n), of abnormal; volumes at 0.5 and above are taken to be abnormal.
        abnormal: (n,) booleans, at least one of each.

    Raises:
        ValueError: test volumes of one class alone.
    """
    weights = _with_resamples(abnormal)
    found = {name: [] for name in Scores.__dataclass_fields__}  # type: ignore[var-annotated]
    for row in np.atleast_2d(probabilities):
        for name, values in _weighted(row, abnormal, weights).items():
            found[name].append(values)
    return Scores(**{name: _estimate(np.mean(values, axis=0)) for name, values in found.items()})


def confusion(probabilities: np.ndarray, abnormal: np.ndarray) -> dict[str, int]:
    """Counts of one classifier: abnormal volumes found and missed, normal ones taken for abnormal and not."""
    found = probabilities >= _THRESHOLD
    return {
        "true_abnormal": int((found & abnormal).sum()),
        "missed_abnormal": int((~found & abnormal).sum()),
        "false_abnormal": int((found & ~abnormal).sum()),
        "true_normal": int((~found & ~abnormal).sum()),
    }


def compare(this: np.ndarray, baseline: np.ndarray, abnormal: np.ndarray) -> McNemar:
    """A row beside the baseline.

    Each row's predictions are pooled first: the mean of its seeds' probabilities decides about a volume, so that every
    volume counts once, as the test needs it.

    Args:
        this, baseline: (seeds, n) probabilities of abnormal.
        abnormal: (n,) booleans.
    """
    right, other = ((each.mean(0) >= _THRESHOLD) == abnormal for each in (this, baseline))
    only_this, only_baseline = int((right & ~other).sum()), int((~right & other).sum())
    discordant = only_this + only_baseline
    p = float(stats.binomtest(min(only_this, only_baseline), discordant).pvalue) if discordant else 1.0
    weights = _with_resamples(abnormal)
    accuracy = [
        np.mean([_weighted(row, abnormal, weights)["accuracy"] for row in rows], axis=0) for rows in (this, baseline)
    ]
    return McNemar(only_this, only_baseline, p, _estimate(accuracy[0] - accuracy[1]))


def _with_resamples(abnormal: np.ndarray) -> np.ndarray:
    """(1 + resamples, n) how often each volume counts: once, then as it was drawn; the same draws for every row."""
    random = np.random.default_rng(0)
    weights = np.ones((1 + RESAMPLES, len(abnormal)))
    for own in (np.flatnonzero(abnormal), np.flatnonzero(~abnormal)):
        if not len(own):
            raise ValueError("test volumes of one class alone tell nothing")
        weights[1:, own] = random.multinomial(len(own), np.full(len(own), 1 / len(own)), RESAMPLES)
    return weights


def _weighted(row: np.ndarray, abnormal: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Every score of one classifier for each set of weights, (sets,)."""
    found = row >= _THRESHOLD
    tp, fn, fp, tn = (
        weights @ each for each in (found & abnormal, ~found & abnormal, found & ~abnormal, ~found & ~abnormal)
    )
    ranks = np.sign(row[abnormal][:, None] - row[~abnormal][None]) / 2 + 0.5  # 1 where the abnormal one is above
    pairs = ((weights[:, abnormal] @ ranks) * weights[:, ~abnormal]).sum(1)
    return {
        "accuracy": (tp + tn) / (tp + tn + fp + fn),
        "f1_abnormal": _f1(tp, fp + fn),
        "f1_normal": _f1(tn, fp + fn),
        "balanced_accuracy": (tp / (tp + fn) + tn / (tn + fp)) / 2,
        "auc": pairs / ((tp + fn) * (tn + fp)),
    }


def _f1(true: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """2 TP / (2 TP + FP + FN); 0 for a class that no volume is taken for and that none has right."""
    return 2 * true / np.maximum(2 * true + errors, 1e-12)


def _estimate(values: np.ndarray) -> Estimate:
    low, high = np.percentile(values[1:], (2.5, 97.5))
    return Estimate(*(round(float(each), 6) for each in (values[0], low, high)))


def as_array(probabilities: Sequence[Sequence[float]]) -> np.ndarray:
    """(seeds, n) float64."""
    return np.asarray(probabilities, dtype=np.float64)
