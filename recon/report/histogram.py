"""The distribution of (Ax − y)/σ as coordinates for an inline SVG, beside the normal distribution it should have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from recon.pictures.figures import number
from recon.report.curve import Tick
from recon.report.data import ResidualSpread

WIDTH, HEIGHT = 420, 220
LEFT, RIGHT, TOP, BOTTOM = 14, 14, 14, 34
REACH = 5.0
"""Deviations to either side of 0."""


@dataclass(frozen=True)
class Histogram:
    """A drawing of WIDTH x HEIGHT pixels.

    Attributes:
        label: the method.
        bars: (x, y, width, height) of each bin.
        normal: the normal distribution of deviation 1 as an SVG ``points`` attribute.
        x_ticks: labelled positions.
        summary: the drawing in a sentence, for those who do not see it.
    """

    label: str
    bars: list[tuple[float, float, float, float]]
    normal: str
    x_ticks: list[Tick]
    summary: str
    width: int = WIDTH
    height: int = HEIGHT
    bottom: int = HEIGHT - BOTTOM


def histograms(residuals: Mapping[str, ResidualSpread]) -> list[Histogram]:
    """A drawing for each method whose residual has a distribution."""
    return [_histogram(label, spread) for label, spread in residuals.items() if sum(spread.counts)]


def _histogram(label: str, spread: ResidualSpread) -> Histogram:
    total, bins = sum(spread.counts), len(spread.counts)
    step = 2 * REACH / bins
    density = [count / total / step for count in spread.counts]
    top = max(*density, 1 / math.sqrt(2 * math.pi))
    room, across = HEIGHT - TOP - BOTTOM, (WIDTH - LEFT - RIGHT) / bins

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value + REACH) / (2 * REACH)

    def y(value: float) -> float:
        return TOP + room * (1 - value / top)

    points = [i / 10 for i in range(round(-10 * REACH), round(10 * REACH) + 1)]
    curve = " ".join(f"{x(t):.1f},{y(math.exp(-t * t / 2) / math.sqrt(2 * math.pi)):.1f}" for t in points)
    beyond = 100 * (spread.counts[0] + spread.counts[-1]) / total
    deviations = spread.deviations if spread.deviations is not None else math.nan
    return Histogram(
        label,
        [(x(-REACH + i * step), y(value), across, room * value / top) for i, value in enumerate(density)],
        curve,
        [Tick(x(t), number(t)) for t in (-4, -2, 0, 2, 4)],
        f"{label}: (Ax − y)/σ has the root mean square {number(deviations)}; {beyond:.2g} % of the data lie in the "
        "outermost bins, which hold all that is beyond them too.",
    )
