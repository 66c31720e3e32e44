"""Branching vessels and airways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from datasets.anatomy_phantom.canvas import Canvas, Point

_MURRAY = 2.0 ** (-1 / 3)


@dataclass(frozen=True)
class Branch:
    """A straight piece of a tree: ends (z, y, x) in mm, radii in mm."""

    start: np.ndarray
    stop: np.ndarray
    radius: float
    stop_radius: float


def grow(
    root: Point,
    direction: Point,
    *,
    length: float,
    radius: float,
    generations: int,
    inside: Callable[[np.ndarray], bool],
    rng: np.random.Generator,
) -> list[Branch]:
    """A tree that forks at every generation, each branch shorter and thinner by Murray's law.

    Args:
        root, direction: the point (z, y, x) mm where the first branch begins, and its direction.
        length, radius: the length and the radius of the first branch in mm.
        generations: forks in a row.
        inside: whether a point belongs to the organ; no branch but the first leaves it.
        rng: draws angles and lengths.
    """
    start, heading = np.asarray(root, float), _unit(np.asarray(direction, float))
    tips = [Branch(start, start + length * heading, radius, radius * _MURRAY)]
    branches = list(tips)
    for generation in range(1, generations):
        reach = length * _MURRAY**generation
        tips = [fork for tip in tips for fork in _fork(tip, reach, inside, rng)]
        branches += tips
    return branches


def _fork(
    branch: Branch, length: float, inside: Callable[[np.ndarray], bool], rng: np.random.Generator
) -> list[Branch]:
    """Two branches from the end of one, or fewer where none of a few draws stays in the organ."""
    heading, found = _unit(branch.stop - branch.start), []
    for _ in range(2):
        for spread in (0.5, 0.7, 0.9, 1.2):
            turned = _unit(heading + spread * rng.standard_normal(3))
            stop = branch.stop + rng.uniform(0.8, 1.2) * length * turned
            if inside(stop):
                found.append(Branch(branch.stop, stop, branch.stop_radius, branch.stop_radius * _MURRAY))
                break
    return found


def paint_tree(canvas: Canvas, branches: list[Branch], value: float, wider: float = 0.0) -> None:
    """Fill the branches with ``value`` HU, each ``wider`` mm in radius than it was grown."""
    for branch in branches:
        canvas.capsule(branch.start, branch.stop, branch.radius + wider, value, branch.stop_radius + wider)


def within_ellipsoid(centre: Point, radii: Point, share: float = 0.9) -> Callable[[np.ndarray], bool]:
    """Whether a point lies in an ellipsoid (z, y, x) mm, shrunk to ``share`` of its size."""
    middle, size = np.asarray(centre, float), share * np.asarray(radii, float)
    return lambda point: bool((((point - middle) / size) ** 2).sum() < 1)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.sqrt((vector * vector).sum())
