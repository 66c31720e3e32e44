"""The image viewer: which pictures it shows, with which windows, and the data that viewer.js draws them from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from recon.pictures import figures
from recon.pictures.planes import Plane, Selection, average
from recon.report import packing
from recon.report.data import STD, TRUTH, ReportData
from recon.report.embedding import BODY_STEPS, Embedding, Pictures, embed

STILL_SIDE = 256
"""Pixels of a still picture's longer side."""

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


@dataclass(frozen=True)
class Limits:
    """What the pictures are drawn with at first: errors within ±error_scale, deviations from 0 to deviation_top."""

    window: Window
    error_scale: float
    deviation_top: float


CT_WINDOWS = (
    Window("Soft tissue", 40, 400),
    Window("Lung", -600, 1500),
    Window("Bone", 480, 2500),
    Window("Full", 0, 2000),
)
"""Usual settings of CT consoles; Full is [-1000, 1000] HU, the window of the metrics."""

PERCENTILES = {"Auto (0.5–99.5 %)": (0.5, 99.5), "Contrast (5–98 %)": (5.0, 98.0), "Full range": (0.0, 100.0)}


@dataclass(frozen=True)
class Column:
    """One column of the viewer: an image, its difference from the ground truth, or the standard deviation."""

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
    """One plane: its figures, their width over height, and their width relative to the widest plane."""

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
    limits: Limits
    notes: list[str]
    payload: dict[str, Any]


@np.errstate(invalid="ignore", over="ignore")  # infinite voxels are drawn, and counted in the notes
def viewer(data: ReportData) -> Viewer:
    """The viewer of a report's images."""
    embedding = embed(data)
    windows = windows_of(data, embedding.stacks[data.grey_scale_key])
    limits = Limits(windows[0], error_scale(data, embedding.stacks), deviation_top(embedding.stacks))
    return Viewer(
        rows=[_row(data, embedding, selection, limits) for selection in embedding.selections],
        windows=windows,
        error_scales=_scales_around(limits.error_scale) if TRUTH in data.images else [],
        limits=limits,
        notes=_notes(data, embedding.stack, embedding.is_exact),
        payload=_payload(data, embedding, limits),
    )


def _payload(data: ReportData, embedding: Embedding, limits: Limits) -> dict[str, Any]:
    """What viewer.js reads."""
    return {
        "unit": data.unit,
        "columns": [vars(column) for column in _columns(data)],
        "slices": embedding.stack.indices,
        "depth": data.shape[embedding.stack.plane.axis],
        "stack": embedding.stack.plane.name,
        "flip": data.flip_key,
        "volumes": embedding.packed,
        "colours": {"error": _packed_colours(figures.ERRORS), "std": _packed_colours(figures.DEVIATIONS)},
        "deviationTop": limits.deviation_top,
    }


def _columns(data: ReportData) -> list[Column]:
    """Ground truth, reconstructions, their errors (only where there is a ground truth), standard deviation."""
    shown = [key for key in data.images if key != STD]
    columns = [Column(key, "image", data.label(key)) for key in shown]
    if TRUTH in data.images:
        minus = f" − {data.label(TRUTH).lower()}"
        columns += [Column(key, "error", data.label(key) + minus) for key in data.reconstructions]
    if STD in data.images:
        columns.append(Column(STD, "std", data.labels.get(STD, "Standard deviation")))
    return columns


def windows_of(data: ReportData, stack: np.ndarray) -> list[Window]:
    """The windows to choose from, the usual one first: those of CT consoles for bodies, else what the values ask for.

    Args:
        data: the report's images.
        stack: values of the image that sets the grey scale.
    """
    if data.shows_body:
        return list(CT_WINDOWS)
    found = _windows_by_values(stack)
    return [*found, *CT_WINDOWS] if data.modality == "CT" and data.unit == "HU" else found


def _windows_by_values(stack: np.ndarray) -> list[Window]:
    ranges = {name: figures.finite_range(stack, *percents) for name, percents in PERCENTILES.items()}
    return [Window(name, (low + high) / 2, high - low) for name, (low, high) in ranges.items()]


def error_scale(data: ReportData, stacks: Mapping[str, np.ndarray]) -> float:
    """A round number that 98 % of the result's errors stay below, so that what is left to see is seen."""
    if TRUTH not in stacks:
        return 1.0
    errors = np.abs(stacks[data.reconstructions[-1]] - stacks[TRUTH])
    return figures.nice_above(figures.finite_range(errors, 0, 98)[1])


def deviation_top(stacks: Mapping[str, np.ndarray]) -> float:
    """A round number that 99.5 % of the standard deviations stay below."""
    return figures.nice_above(figures.finite_range(stacks[STD], 0, 99.5)[1]) if STD in stacks else 1.0


def _scales_around(error_scale: float) -> list[float]:
    """The error scale between its two neighbours of the 1-2-5 series on either side."""
    scales = [figures.nice_above(error_scale / 5)]
    for _ in range(4):
        scales.append(figures.nice_above(scales[-1] * 1.1))
    return scales


def _row(data: ReportData, embedding: Embedding, selection: Selection, limits: Limits) -> Row:
    middle = {key: stack[selection.centre] for key, stack in embedding.pictures[selection.plane.name].items()}
    place = f"slice {selection.indices[selection.centre] + 1} of {data.shape[selection.plane.axis]}"
    place = f"{selection.plane.name.capitalize()} plane, {place}"
    drawn = [Figure(column, _still(column, middle, limits), f"{place}: {column.caption}") for column in _columns(data)]
    height, width = selection.extent
    widest = max(other.extent[1] for other in embedding.selections)
    return Row(selection, drawn, _cuts(data, selection, embedding.selections), width / height, 100 * width / widest)


def _still(column: Column, pictures: Pictures, limits: Limits) -> str:
    """The PNG of a column at the default limits, for readers without the script; large ones are made smaller."""
    picture = pictures[column.key] - pictures[TRUTH] if column.kind == "error" else pictures[column.key]
    picture = average(picture, -(-max(picture.shape) // STILL_SIDE))
    if column.kind == "error":
        return figures.png(figures.to_bytes(picture, -limits.error_scale, limits.error_scale), figures.ERRORS)
    if column.kind == "std":
        return figures.png(figures.to_bytes(picture, 0, limits.deviation_top), figures.DEVIATIONS)
    return figures.png(figures.to_bytes(picture, limits.window.low, limits.window.high))


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


def _packed_colours(colours: np.ndarray) -> list[int]:
    """0xBBGGRR of each colour: an RGBA pixel as a little-endian number, without its alpha."""
    return [int(r) | int(g) << 8 | int(b) << 16 for r, g, b in colours]


def _notes(data: ReportData, stack: Selection, is_exact: bool) -> list[str]:
    """What the pictures leave out."""
    notes = []
    depth = data.shape[stack.plane.axis]
    if len(stack.indices) < depth:
        notes.append(f"{len(stack.indices)} of the {depth} {stack.plane.name} slices are shown, evenly spread.")
    if stack.factor > 1:
        notes.append(f"In them, {stack.factor} × {stack.factor} pixels are averaged into one.")
    if data.shows_body:
        notes.append(_stored_steps(is_exact))
    for key, image in data.images.items():
        lost = image.size - int(np.count_nonzero(np.isfinite(image)))
        if lost:
            notes.append(f"{data.label(key)}: {lost:,} voxels are not finite numbers and are drawn black.")
    return notes


def _stored_steps(is_exact: bool) -> str:
    if is_exact:
        return f"Grey values are stored in steps of {packing.HOUNSFIELD.step:.0f} HU."
    low, high = packing.SOFT_TISSUE
    return (
        f"Grey values are stored in steps of {BODY_STEPS[0]:.0f} HU from {low:.0f} to {high:.0f} HU and of "
        f"{BODY_STEPS[1]:.0f} HU elsewhere; those of the direct method more coarsely."
    )
