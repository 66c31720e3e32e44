"""Statistics of rankings: whether methods differ, which do, and whether the readers agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

RESAMPLES = 9999
LEAST_FOR_TEST = 6
"""With fewer pairs no two-sided Wilcoxon test can reach 0.05."""


@dataclass(frozen=True)
class Friedman:
    """Friedman's test over blocks of one reader and one case.

    Attributes:
        statistic: chi-squared, corrected for ties.
        p: the p-value with (number of methods - 1) degrees of freedom.
        kendall_w: Kendall's W, from 0 (no agreement of the blocks) to 1.
    """

    statistic: float
    p: float
    kendall_w: float


@dataclass(frozen=True)
class Agreement:
    """An intraclass correlation with its 95 % interval; the ends are None where they are not defined."""

    value: float
    low: float | None
    high: float | None


def mid_ranks(ranks: np.ndarray) -> np.ndarray:
    """(blocks, methods) ranks, of which those that are shared are the mean of the places they take together."""
    return np.asarray(stats.rankdata(ranks, axis=1), dtype=np.float64)


def friedman(ranks: np.ndarray) -> Friedman | None:
    """Friedman's test of (blocks, methods) ranks; None for fewer than three methods or two blocks, or all ties.

    Friedman 1937; W = chi2 / (n (k - 1)), Kendall and Babington Smith 1939.
    """
    blocks, methods = ranks.shape
    if methods < 3 or blocks < 2 or not np.any(np.ptp(ranks, axis=1)):
        return None
    found = stats.friedmanchisquare(*ranks.T)
    statistic = float(found.statistic)
    return Friedman(statistic, float(found.pvalue), statistic / (blocks * (methods - 1)))


def bootstrap_means(ranks: np.ndarray, cases: Sequence[object], seed: int = 0) -> np.ndarray | None:
    """(methods, 2) ends of the 95 % percentile intervals of the mean ranks; None of fewer than two cases.

    Cases are drawn, with the ranks of all their readers: ranks of one case are no independent observations.

    Args:
        ranks: (blocks, methods) ranks.
        cases: the case of each block.
        seed: the seed of the draws.
    """
    _, member = np.unique(np.array([str(case) for case in cases]), return_inverse=True)
    count = int(member.max()) + 1
    if count < 2:
        return None
    sums, sizes = np.zeros((count, ranks.shape[1])), np.bincount(member, minlength=count)
    np.add.at(sums, member, ranks)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    means = (drawn @ sums) / (drawn @ sizes)[:, None]
    return np.percentile(means, [2.5, 97.5], axis=0).T


def wilcoxon_against(ranks: np.ndarray, reference: int) -> dict[int, float | None]:
    """Two-sided p-values of Wilcoxon's signed-rank test of each method against one of them; None of too few blocks.

    Args:
        ranks: (blocks, methods) ranks.
        reference: the column of the method that the others are compared with.
    """
    found: dict[int, float | None] = {}
    for method in range(ranks.shape[1]):
        difference = ranks[:, method] - ranks[:, reference]
        if method == reference:
            continue
        if len(difference) < LEAST_FOR_TEST:
            found[method] = None
        else:
            found[method] = float(stats.wilcoxon(difference).pvalue) if np.any(difference) else 1.0
    return found


def holm(p: Mapping[int, float | None]) -> dict[int, float | None]:
    """The p-values corrected for their number, Holm 1979; None stays None."""
    known = sorted(((value, key) for key, value in p.items() if value is not None))
    corrected: dict[int, float | None] = dict.fromkeys(p)
    largest = 0.0
    for place, (value, key) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - place) * value))
        corrected[key] = largest
    return corrected


def agreement(means: np.ndarray) -> tuple[Agreement, Agreement] | None:
    """ICC(A,1) and ICC(A,k): absolute agreement of one reader, and of the mean of all; two-way random effects.

    McGraw and Wong 1996, "Forming inferences about some intraclass correlation coefficients", tables 4 and 7.

    Args:
        means: (methods, readers) mean ranks.

    Returns:
        None for fewer than two methods or readers, or means that are all equal.
    """
    n, k = means.shape
    if n < 2 or k < 2 or np.ptp(means) < 1e-12:
        return None
    rows, columns = means.mean(axis=1), means.mean(axis=0)
    of_rows = k * float(((rows - means.mean()) ** 2).sum()) / (n - 1)
    of_columns = n * float(((columns - means.mean()) ** 2).sum()) / (k - 1)
    residual = means - rows[:, None] - columns + means.mean()
    error = float((residual**2).sum()) / ((n - 1) * (k - 1))
    single = (of_rows - error) / (of_rows + (k - 1) * error + k * (of_columns - error) / n)
    low, high = _interval(single, of_rows, of_columns, error, n, k)
    mean = (of_rows - error) / (of_rows + (of_columns - error) / n)
    return Agreement(single, low, high), Agreement(mean, _of_k(low, k), _of_k(high, k))


def _interval(
    single: float, of_rows: float, of_columns: float, error: float, n: int, k: int
) -> tuple[float | None, float | None]:
    """The 95 % interval of ICC(A,1); undefined where nothing is left of errors."""
    if not (error > 1e-12 and single < 1):
        return None, None
    a = k * single / (n * (1 - single))
    b = 1 + k * single * (n - 1) / (n * (1 - single))
    freedom = (a * of_columns + b * error) ** 2 / (
        (a * of_columns) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1))
    )
    lower, upper = stats.f.ppf(0.975, n - 1, freedom), stats.f.ppf(0.975, freedom, n - 1)
    rest = k * of_columns + (k * n - k - n) * error
    low = n * (of_rows - lower * error) / (lower * rest + n * of_rows)
    high = n * (upper * of_rows - error) / (rest + n * upper * of_rows)
    return (float(low), float(high)) if math.isfinite(low) and math.isfinite(high) else (None, None)


def _of_k(single: float | None, k: int) -> float | None:
    """Spearman and Brown's step from one reader to the mean of ``k``."""
    return None if single is None else k * single / (1 + (k - 1) * single)


def spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Spearman's correlation of two rankings; None where all share one rank."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(stats.spearmanr(one, other).statistic)
