"""The grey values that the page carries: which pictures of each volume, and their packed numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recon.pictures import figures
from recon.pictures.planes import Selection, select
from recon.report import packing
from recon.report.data import BASELINE, STD, ReportData

VOXEL_BUDGET = 42 * 256 * 256
"""Voxels of one volume's stack at first."""

PACKED_LIMIT = 2_500_000
"""Characters of packed numbers beyond which slices are left out: with the still pictures a page of about 3 MB."""

BODY_STEPS, _BASELINE_STEPS = (8.0, 24.0), (16.0, 64.0)
"""Steps in HU of the levels that are kept in soft tissue and elsewhere, where not all fit; the streaks of a direct
method, which hide finer steps, would take more room than all else."""

_EVEN_STEP = 4
"""Codes between the levels that are then kept of other images: 1024 grey values."""

DEVIATION_LEVELS = 128
"""Enough for a colour map, and few enough for the map to take little room beside the images."""

Pictures = dict[str, np.ndarray]


@dataclass(frozen=True)
class Embedding:
    """The embedded part of a report's images.

    Attributes:
        selections: the planes; the first is the stack that the slider goes through.
        pictures: plane name to image key to (slices, rows, columns) float32.
        packed: image key to its scale and, for each plane, shape and packed codes, as viewer.js reads them.
        is_exact: whether all grey levels are kept.
    """

    selections: list[Selection]
    pictures: dict[str, Pictures]
    packed: dict[str, Any]
    is_exact: bool = True

    @property
    def stack(self) -> Selection:
        """The plane that the slider goes through."""
        return self.selections[0]

    @property
    def stacks(self) -> Pictures:
        """Image key to the pictures of the stack."""
        return self.pictures[self.stack.plane.name]

    @property
    def size(self) -> int:
        """Characters of all packed codes."""
        return sum(len(plane["data"]) for volume in self.packed.values() for plane in volume["planes"].values())


def embed(data: ReportData) -> Embedding:
    """The pictures of all images. How well noise packs is known only afterwards: too large a page is made again, with
    fewer grey levels, and, where that does not suffice, with fewer slices too."""
    first = _embed(data, VOXEL_BUDGET, is_exact=True)
    if first.size <= PACKED_LIMIT:
        return first
    second = _embed(data, VOXEL_BUDGET, is_exact=False)
    if second.size <= PACKED_LIMIT:
        return second
    return _embed(data, second.stacks[data.grey_scale_key].size * PACKED_LIMIT // second.size, is_exact=False)


def _embed(data: ReportData, budget: int, is_exact: bool) -> Embedding:
    selections = select(data.shape, data.spacing, budget)
    pictures = {s.plane.name: {key: s.pictures(image) for key, image in data.images.items()} for s in selections}
    scales = _scales(data, pictures[selections[0].plane.name])
    packed = {
        key: _packed(scale, _levels(data, key, is_exact), {name: shown[key] for name, shown in pictures.items()})
        for key, scale in scales.items()
    }
    return Embedding(selections, pictures, packed, is_exact)


def _levels(data: ReportData, key: str, is_exact: bool) -> np.ndarray | None:
    """The codes of an image that are kept; None: all."""
    if is_exact or key == STD:
        return None
    if not data.shows_body:
        return packing.even_levels(_EVEN_STEP)
    return packing.body_levels(*(_BASELINE_STEPS if key == BASELINE else BODY_STEPS))


def _packed(scale: packing.Scale, levels: np.ndarray | None, planes: Pictures) -> dict[str, Any]:
    codes = {name: scale.codes(pictures) for name, pictures in planes.items()}
    if levels is not None:
        codes = {name: packing.nearest(each, levels) for name, each in codes.items()}
    packed = {name: {"shape": each.shape, "data": packing.pack(each)} for name, each in codes.items()}
    kept = None if levels is None else levels.tolist()
    return {"low": scale.low, "step": scale.step, "levels": kept, "planes": packed}


def _scales(data: ReportData, stacks: Pictures) -> dict[str, packing.Scale]:
    """One scale for all images, so that they can be subtracted by their codes; another for the deviation."""
    image = packing.HOUNSFIELD
    if not data.shows_body:
        low, high = figures.finite_range(stacks[data.grey_scale_key], 0, 100)
        image = packing.scale_between(low - (high - low) / 4, high + (high - low) / 4)
    scales = dict.fromkeys(data.images, image)
    if STD in stacks:
        top = figures.finite_range(stacks[STD], 0, 100)[1]
        scales[STD] = packing.scale_between(0.0, top, levels=DEVIATION_LEVELS)
    return scales
