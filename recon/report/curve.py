"""The convergence curve: relative data residual over iterations, logarithmic, as coordinates for an inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from recon.pictures.figures import nice_above, number

WIDTH, HEIGHT = 560, 280
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 46


@dataclass(frozen=True)
class Tick:
    """A labelled position on an axis, in the picture's pixels."""

    position: float
    label: str


@dataclass(frozen=True)
class Curve:
    """A drawing of WIDTH x HEIGHT pixels.

    Attributes:
        points: ``(x, y)`` of each point.
        x_ticks, y_ticks: labelled grid lines.
        summary: the curve in a sentence, for those who do not see it.
    """

    points: list[tuple[float, float]]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    summary: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM

    @property
    def path(self) -> str:
        """The points as an SVG ``points`` attribute."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


def convergence(trace: Sequence[tuple[int, float]]) -> Curve | None:
    """The curve of (iteration, residual) pairs; None if none has a finite, positive residual."""
    trace = [(i, r) for i, r in trace if math.isfinite(r) and r > 0]
    if not trace:
        return None
    residuals = [residual for _, residual in trace]
    last = max(iteration for iteration, _ in trace)
    low, high = _log_limits(min(residuals), max(residuals))
    right = last if last > 0 else 1

    def x(iteration: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * iteration / right

    def y(residual: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * math.log(high / residual) / math.log(high / low)

    return Curve(
        points=[(x(i), y(r)) for i, r in trace],
        x_ticks=[Tick(x(i), f"{i:,}") for i in _linear_ticks(right)],
        y_ticks=[Tick(y(r), number(r)) for r in _log_ticks(low, high)],
        summary=f"Relative data residual {residuals[0]:.3g} at iteration {trace[0][0]}, "
        f"{residuals[-1]:.3g} at iteration {trace[-1][0]}.",
    )


def _log_limits(low: float, high: float) -> tuple[float, float]:
    """Two different numbers of the 1-2-5 series around [low, high]."""
    bottom, top = 1 / nice_above(1 / low), nice_above(high)
    return bottom, top if top > bottom * (1 + 1e-9) else nice_above(2 * top)


def _log_ticks(low: float, high: float) -> list[float]:
    """The 1-2-5 series within [low, high]; powers of ten alone where that is enough."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    series = [float(f"{m}e{d}") for d in decades for m in (1, 2, 5)]
    inside = [tick for tick in series if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
    powers = [tick for tick in inside if math.log10(tick).is_integer()]
    return powers if len(powers) >= 4 else inside


def _linear_ticks(last: int) -> list[int]:
    """0, step, … up to ``last``, at most seven."""
    step = max(1, round(nice_above(last / 6)))
    return list(range(0, last + 1, step))
