"""Each view's share of the circle, and the arcs that were not scanned.

A view stands for the directions that are nearer to it than to any other view (the trapezoidal rule on the circle), so
that views may lie at any angles. Views of the same direction share what they stand for.

**What is an arc that was not scanned?** Its neighbours cannot stand for it. A wide gap alone does not say so: where
views lie sparsely, or at random, wide gaps are how the arc was scanned. A gap is taken for an arc that was not scanned
where it stands out of its surroundings: it is far wider than nearly all of the gaps around it, and than the mean gap.
"""

from __future__ import annotations

import numpy as np

_SAME_DIRECTION = 1e-2
"""Views nearer than this share of the mean gap are views of one direction, as of several turns."""

_TIMES_WIDER = 5.0
"""How many times wider than the gaps around it an arc that was not scanned is (golden angles' gaps differ by 2.6)."""

_SURROUNDINGS = 1.5
"""Width of the surroundings on either side, in widths of the gap."""

_NARROW_SHARE = 0.75
"""Share of the surroundings that narrow gaps must cover: more than one side, so that a gap at the edge of a sparsely
scanned part is none, and less than all, so that there may be another arc that was not scanned nearby."""

_TIMES_MEAN = 4.0
"""How many mean gaps an arc that was not scanned exceeds; few gaps of views at random angles do."""


def view_weights(angles: np.ndarray, period: float) -> tuple[np.ndarray, np.ndarray]:
    """Each view's share of the arc that was scanned, and the arcs that were not.

    A view beside an arc that was not scanned stands for as much on that side as on its other side.

    Args:
        angles: (views,) angles in radians, in any order, of any number of turns.
        period: angle in radians after which views are the same again.

    Returns:
        (views,) shares in radians, and (arcs, 2) start and end in radians of each arc that was not scanned.
    """
    turned = angles % period
    order = np.argsort(turned, kind="stable")
    direction, first, last, count = _directions(turned[order], period)
    gaps = np.append(first[1:], first[0] + period) - last
    missing = _not_scanned(last, gaps, period)
    after = np.where(missing, np.roll(gaps, 1), gaps)
    before = np.where(np.roll(missing, 1), gaps, np.roll(gaps, 1))
    share = (last - first + (after + before) / 2) / count
    weights = np.empty(len(angles))
    weights[order] = share[direction]
    half = np.where(missing, np.roll(gaps, 1), 0.0) / 2
    return weights, np.stack([last + half, last + gaps - half], 1)[missing]


def _directions(turned: np.ndarray, period: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Views grouped by direction.

    Args:
        turned: (views,) ascending angles within ``period``.
        period: angle in radians after which views are the same again.

    Returns:
        (views,) number of each view's group; then each group's first and last angle and its number of views. The
        first group may begin below 0.
    """
    same = _SAME_DIRECTION * period / len(turned)
    apart = np.diff(turned) > same
    direction = np.concatenate([[0], np.cumsum(apart)])
    groups = direction[-1] + 1
    first, last = turned[np.append(True, apart)], turned[np.append(apart, True)]
    count = np.bincount(direction)
    if groups > 1 and first[0] + period - last[-1] <= same:  # a direction on both sides of where the circle is cut
        direction = direction % (groups - 1)
        first[0], count[0] = first[-1] - period, count[0] + count[-1]
        first, last, count = first[:-1], last[:-1], count[:-1]
    return direction, first, last, count


def _not_scanned(begin: np.ndarray, gaps: np.ndarray, period: float) -> np.ndarray:
    """(gaps,) bool: which gaps are arcs that were not scanned, see the module's docstring.

    Args:
        begin: (gaps,) angle at which each gap begins, ascending.
        gaps: (gaps,) their widths.
        period: sum of all gaps and of the directions between them.
    """
    missing = np.zeros(len(gaps), dtype=bool)
    if len(gaps) < 3:
        return missing
    edges = np.concatenate([begin + turn * period for turn in (-1, 0, 1)])
    for k in np.flatnonzero(gaps > _TIMES_MEAN * period / len(gaps)):
        narrow = np.tile(np.where(gaps * _TIMES_WIDER <= gaps[k], gaps, 0.0), 3)
        reach = min(_SURROUNDINGS * gaps[k], (period - gaps[k]) / 2)
        low, high = begin[k] - reach, begin[k] + gaps[k] + reach
        covered = np.clip(np.minimum(edges + narrow, high) - np.maximum(edges, low), 0, None).sum()
        missing[k] = covered >= _NARROW_SHARE * 2 * reach
    return missing
