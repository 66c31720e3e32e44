"""The image viewer: which pictures it shows, with which windows, and the data that viewer.js draws them from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from recon.report import figures, packing
from recon.report.data import STD, TRUTH, ReportData
from recon.report.planes import Plane, Selection, select

Kind = Literal["image", "error", "std"]


@dataclass(frozen=True)
class Window:
    """A named grey window, in the images' unit."""

    name: str
    centre: float
    width: float

    @property
    def low(self) -> float:
        """The value drawn black."""
        return self.centre - self.width / 2

    @property
    def high(self) -> float:
        """The value drawn white."""
        return self.centre + self.width / 2


CT_WINDOWS = (
    Window("Soft tissue", 40, 400),
    Window("Lung", -600, 1500),
    Window("Bone", 480, 2500),
    Window("Full", 0, 2000),
)
"""Usual settings of CT consoles; Full is [-1000, 1000] HU, the window of the metrics."""

DEVIATION_LEVELS = 128
"""Enough for a colour map, and few enough for the map to take little room beside the images."""

MR_PERCENTILES = {"Auto (0.5–99.5 %)": (0.5, 99.5), "Contrast (5–98 %)": (5.0, 98.0), "Full range": (0.0, 100.0)}


@dataclass(frozen=True)
class Column:
    """One column of the viewer: an image, its difference from the truth, or the standard deviation."""

    key: str
    kind: Kind
    caption: str


@dataclass(frozen=True)
class Figure:
    """One picture: what it looks like before (or without) the script, and where it stands."""

    column: Column
    source: str
    alt: str


@dataclass(frozen=True)
class Cut:
    """Where another plane crosses a picture, in percent of its height or width."""

    plane: Plane
    across: bool
    percent: float


@dataclass(frozen=True)
class Row:
    """One plane: its figures, and their size relative to the widest plane (one scale in mm for all)."""

    selection: Selection
    figures: list[Figure]
    cuts: list[Cut]
    aspect: float
    width_percent: float


@dataclass(frozen=True)
class Viewer:
    """Everything the template shows of the images; ``payload`` is the script's JSON."""

    rows: list[Row]
    windows: list[Window]
    error_scales: list[float]
    error_scale: float
    deviation_top: float
    notes: list[str]
    payload: dict[str, Any]


@np.errstate(invalid="ignore", over="ignore")  # infinite voxels are drawn, and counted in the notes
def viewer(data: ReportData) -> Viewer:
    """The viewer of a report's images."""
    selections = select(data.shape, data.spacing, sum(key != STD for key in data.images))
    stack = {key: selections[0].pictures(image) for key, image in data.images.items()}
    windows = list(CT_WINDOWS) if data.modality == "CT" else _mr_windows(stack[data.reference])
    error_scale = _error_scale(stack, data.reconstructions[-1])
    deviation_top = figures.nice_above(figures.finite_range(stack[STD], 0, 99.5)[1]) if STD in stack else 1.0
    pictures = {s.plane.name: {key: s.pictures(image) for key, image in data.images.items()} for s in selections[1:]}
    pictures[selections[0].plane.name] = stack
    limits = (windows[0], error_scale, deviation_top)
    widest = max(selection.extent[1] for selection in selections)
    rows = [_row(data, s, selections, pictures[s.plane.name], limits, widest) for s in selections]
    payload = {
        "unit": data.unit,
        "columns": [vars(column) for column in _columns(data)],
        "slices": selections[0].indices,
        "depth": data.shape[selections[0].plane.axis],
        "stack": selections[0].plane.name,
        "volumes": _volumes(data, pictures),
        "colours": {"error": _packed_colours(figures.ERRORS), "std": _packed_colours(figures.DEVIATIONS)},
        "deviationTop": deviation_top,
    }
    scales = [figures.nice_above(error_scale * f) for f in (0.2, 0.5, 1, 2, 5)] if TRUTH in data.images else []
    return Viewer(rows, windows, scales, error_scale, deviation_top, _notes(data, selections[0]), payload)


def _columns(data: ReportData) -> list[Column]:
    """Truth, reconstructions, their errors (only where there is a truth), standard deviation."""
    shown = [key for key in data.images if key != STD]
    columns = [Column(key, "image", data.label(key)) for key in shown]
    if TRUTH in data.images:
        minus = f" − {data.label(TRUTH).lower()}"
        columns += [Column(key, "error", data.label(key) + minus) for key in data.reconstructions]
    if STD in data.images:
        columns.append(Column(STD, "std", data.labels.get(STD, "Standard deviation")))
    return columns


def _mr_windows(stack: np.ndarray) -> list[Window]:
    ranges = {name: figures.finite_range(stack, *percents) for name, percents in MR_PERCENTILES.items()}
    return [Window(name, (low + high) / 2, high - low) for name, (low, high) in ranges.items()]


def _error_scale(stack: dict[str, np.ndarray], result: str) -> float:
    """A round number that 98 % of the result's errors stay below, so that what is left to see is seen."""
    if TRUTH not in stack:
        return 1.0
    return figures.nice_above(figures.finite_range(np.abs(stack[result] - stack[TRUTH]), 0, 98)[1])


def _row(
    data: ReportData,
    selection: Selection,
    selections: list[Selection],
    pictures: dict[str, np.ndarray],
    limits: tuple[Window, float, float],
    widest: float,
) -> Row:
    height, width = selection.extent
    place = f"slice {selection.indices[selection.centre] + 1} of {data.shape[selection.plane.axis]}"
    drawn = [
        Figure(
            column,
            _picture(column, {key: stack[selection.centre] for key, stack in pictures.items()}, limits),
            f"{selection.plane.name.capitalize()} plane, {place}: {column.caption}",
        )
        for column in _columns(data)
    ]
    return Row(selection, drawn, _cuts(data, selection, selections), width / height, 100 * width / widest)


def _picture(column: Column, pictures: dict[str, np.ndarray], limits: tuple[Window, float, float]) -> str:
    """The PNG of a column at the default limits, for print previews and readers without the script."""
    window, error_scale, deviation_top = limits
    picture = pictures[column.key]
    if column.kind == "error":
        return figures.png(figures.ERRORS[figures.to_bytes(picture - pictures[TRUTH], -error_scale, error_scale)])
    if column.kind == "std":
        return figures.png(figures.DEVIATIONS[figures.to_bytes(picture, 0, deviation_top)])
    return figures.png(figures.to_bytes(picture, window.low, window.high))


def _cuts(data: ReportData, selection: Selection, selections: list[Selection]) -> list[Cut]:
    """The other planes' positions; pictures run against the stored axes, so does the percentage."""
    return [
        Cut(
            other.plane,
            across=other.plane.axis == selection.plane.rows,
            percent=100 * (1 - (other.indices[other.centre] + 0.5) / data.shape[other.plane.axis]),
        )
        for other in selections
        if other is not selection
    ]


def _volumes(data: ReportData, pictures: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
    """For each image its scale, and for each plane its packed pictures."""
    scales = _scales(data, {key: stack for shown in pictures.values() for key, stack in shown.items()})
    return {
        key: {
            "low": scales[key].low,
            "step": scales[key].step,
            "planes": {
                name: {"shape": shown[key].shape, "data": packing.pack(scales[key].codes(shown[key]))}
                for name, shown in pictures.items()
            },
        }
        for key in data.images
    }


def _scales(data: ReportData, stack: dict[str, np.ndarray]) -> dict[str, packing.Scale]:
    """One scale for all images, so that they can be subtracted by their codes; another for the deviation."""
    image = packing.HOUNSFIELD
    if data.modality == "MR":
        low, high = figures.finite_range(stack[data.reference], 0, 100)
        image = packing.scale_between(low - (high - low) / 4, high + (high - low) / 4)
    scales = dict.fromkeys(data.images, image)
    if STD in stack:
        scales[STD] = packing.scale_between(0.0, figures.finite_range(stack[STD], 0, 100)[1], levels=DEVIATION_LEVELS)
    return scales


def _packed_colours(colours: np.ndarray) -> list[int]:
    """0xBBGGRR of each colour: an RGBA pixel as a little-endian number, without its alpha."""
    return [int(r) | int(g) << 8 | int(b) << 16 for r, g, b in colours]


def _notes(data: ReportData, stack: Selection) -> list[str]:
    """What the pictures leave out."""
    notes = []
    depth = data.shape[stack.plane.axis]
    if len(stack.indices) < depth:
        notes.append(f"{len(stack.indices)} of the {depth} {stack.plane.name} slices are shown, evenly spread.")
    if stack.factor > 1:
        notes.append(f"In them, {stack.factor} × {stack.factor} pixels are averaged into one.")
    if data.modality == "CT":
        notes.append(f"Grey values are stored in steps of {packing.HOUNSFIELD.step:.0f} HU.")
    for key, image in data.images.items():
        lost = image.size - int(np.count_nonzero(np.isfinite(image)))
        if lost:
            notes.append(f"{data.label(key)}: {lost:,} voxels are not finite numbers and are drawn black.")
    return notes
