"""The volumes of one case as the text that the page unpacks: grey values, the same for all, within a size."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.readers.grid import Grid, coarser
from recon.report import packing
from recon.scan.volume import Modality

CT_RANGE = (-1000.0, 1000.0)
"""The values in HU that all volumes keep; beyond them, generators have nothing, and real volumes would be known."""

MR_TOP = 1400.0
"""The largest value of MR images, whose 99.5th percentile becomes 1000."""

_CT_STEPS = (None, (4.0, 16.0), (8.0, 24.0))
"""Steps in HU of the kept grey values, in soft tissue and elsewhere, from fine to coarse; None: 2 HU everywhere."""

_MR_STEPS = (None, 4, 16)
"""Numbers of codes from one kept grey value to the next."""

_MIDDLE = 4
"""Slices by which the size of a volume is judged."""

Images = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Packed:
    """One case.

    Attributes:
        known: what is the same for all its volumes: grid, scale of the grey values, kept levels.
        volumes: the packed codes of each method.
        grid: the grid of its volumes.
        is_coarser: whether voxels were left out for its size.
    """

    known: dict[str, Any]
    volumes: dict[str, str]
    grid: Grid
    is_coarser: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether all grey values are kept."""
        return self.known["levels"] is None

    @property
    def size(self) -> int:
        """About the number of characters of its text."""
        return sum(map(len, self.volumes.values()))

    def text(self, order: Sequence[str]) -> str:
        """The JSON that the page reads, with the volumes in the order of the letters."""
        content = {**self.known, "volumes": [self.volumes[method] for method in order]}
        return json.dumps(content, separators=(",", ":"))


def grey_values(image: np.ndarray, modality: Modality) -> np.ndarray:
    """The values that a page shows of a volume: HU in the common range, MR with its 99.5th percentile at 1000."""
    if modality == "CT":
        return image.clip(*CT_RANGE)
    top = float(np.percentile(image, 99.5)) or 1.0
    return (image * (1000.0 / top)).clip(0, MR_TOP)


def pack_case(volumes: Callable[[Grid], Images], grid: Grid, modality: Modality, letters: bool, limit: int) -> Packed:
    """A case of at most about ``limit`` characters: fewer grey values at first, then a coarser grid too.

    Args:
        volumes: the (z, y, x) values of each method on a grid, as :func:`grey_values` gives them.
        grid: the finest grid that all volumes have.
        modality: the modality, on which the scale of the grey values depends.
        letters: whether the sides of the patient are known.
        limit: the largest number of characters.
    """
    steps: tuple[Any, ...] = _CT_STEPS if modality == "CT" else _MR_STEPS
    images = volumes(grid)
    for step in steps:
        if step != steps[-1] and _middle_size(images, grid, modality, step) > limit:
            continue  # packing all of it for nothing takes long
        packed = _packed(images, grid, modality, letters, step)
        if packed.size <= limit:
            return packed
    while packed.size > limit:
        smaller = coarser(packed.grid, int(0.95 * packed.grid.voxels * limit / packed.size))
        if smaller.voxels >= packed.grid.voxels:
            break
        packed = _packed(volumes(smaller), smaller, modality, letters, steps[-1])
    return replace(packed, is_coarser=packed.grid != grid)


def _packed(images: Images, grid: Grid, modality: Modality, letters: bool, step: Any) -> Packed:
    """The volumes, turned so that every plane lies as radiologists look at it, with the grey values of one step."""
    scale = packing.HOUNSFIELD if modality == "CT" else packing.scale_between(0, MR_TOP)
    levels = _levels(step)
    known = {
        "shape": grid.shape,
        "spacing": [round(size, 6) for size in grid.spacing],
        "letters": letters,
        "low": scale.low,
        "step": scale.step,
        "levels": None if levels is None else levels.tolist(),
    }
    codes = {method: scale.codes(image[::-1, ::-1, ::-1]) for method, image in images.items()}
    if levels is not None:
        codes = {method: packing.nearest(each, levels) for method, each in codes.items()}
    return Packed(known, {method: packing.pack(each) for method, each in codes.items()}, grid)


def _middle_size(images: Images, grid: Grid, modality: Modality, step: Any) -> float:
    """The number of characters of all volumes, judged by their middle slices."""
    first = max(0, grid.shape[0] // 2 - _MIDDLE // 2)
    middle = {method: image[first : first + _MIDDLE] for method, image in images.items()}
    shown = min(_MIDDLE, grid.shape[0])
    return _packed(middle, grid, modality, True, step).size * grid.shape[0] / shown


def _levels(step: tuple[float, float] | int | None) -> np.ndarray | None:
    """The codes that are kept; None: all."""
    if step is None:
        return None
    return packing.even_levels(step) if isinstance(step, int) else packing.body_levels(*step)
