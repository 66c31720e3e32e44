"""The methods side by side on one slice, with error maps and a zoom, in the manner of the paper's Figures 10 and 11."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.table.results import CellResult, Store, TableResult, methods_with_results
from recon.pictures import figures
from recon.pictures.lettering import scale_length
from recon.pictures.planes import PLANES, axial_picture

_ZOOM = 3
_ZOOM_SHARE = 4
"""The zoom shows a quarter of each axis, three times as large."""


@dataclass(frozen=True)
class Panel:
    """One column of a montage: PNG data URIs; the ground truth has no error map."""

    label: str
    caption: str
    image: str
    zoom: str
    error: str | None


@dataclass(frozen=True)
class Montage:
    """One slice of one case under one operator.

    Attributes:
        heading: case and operator.
        panels: the ground truth first, then the methods.
        error_top: what the error maps' ends stand for.
        unit: the unit of the values.
        letters: the patient's side at the left, right, top and bottom of a slice, each with its place; none where the
            sides are not known.
        scale: a length in mm with its share of a slice's width in percent, and of the zoom's; None where the size of
            pixels is not known.
        aspect: width of a slice over its height, in mm.
    """

    heading: str
    panels: tuple[Panel, ...]
    error_top: float
    unit: str
    letters: tuple[tuple[str, str], ...] = ()
    scale: tuple[int, float, float] | None = None
    aspect: float = 1.0


def montages(result: TableResult, store: Store) -> list[Montage]:
    """The first case of every operator."""
    found = []
    for operator in result.operators:
        cells = [cell for cell in result.cells if cell.operator == operator]
        if cells:
            case = min(cell.case for cell in cells)
            made = _montage(result, store, [cell for cell in cells if cell.case == case], f"{case}, {operator}")
            found += [made] if made else []
    return found


def _montage(result: TableResult, store: Store, cells: list[CellResult], heading: str) -> Montage | None:
    pictures = {cell.method: store.pictures(cell) for cell in cells}
    usable = {cell.method: cell for cell in cells if {"image", "truth"} <= set(pictures[cell.method])}
    if not usable:
        return None
    truth = axial_picture(next(pictures[method]["truth"] for method in usable)).astype(np.float32)
    low, high = (-1000.0, 1000.0) if result.modality == "CT" else (0.0, float(np.percentile(truth, 99.8)) or 1.0)
    images = {method: axial_picture(pictures[method]["image"]).astype(np.float32) for method in usable}
    # One scale for all, by the middle method: the direct one's errors would leave the others' maps black.
    errors = [float(np.percentile(abs(image - truth), 98)) for image in images.values()]
    top = figures.nice_above(float(np.median(errors)))
    region = _detailed_region(truth)
    panels = [Panel("Ground truth", "", *_grey(truth, region, low, high), None)]
    for method, label in methods_with_results(result):
        if method in usable:
            figure = usable[method].metrics["primary"]
            known = [value for key in ("psnr", "ssim") if (value := figure[key]) is not None and math.isfinite(value)]
            caption = f"{known[0]:.2f} dB, {known[1]:.4f}" if len(known) == 2 else ""
            error = figures.ERRORS[figures.to_bytes(images[method] - truth, -top, top)]
            panels.append(Panel(label, caption, *_grey(images[method], region, low, high), figures.png(error)))
    unit = "HU" if result.modality == "CT" else "of the maximum"
    facts = next(pictures[method] for method in usable)
    return Montage(heading, tuple(panels), top, unit, _letters(facts), *_sizes(facts, truth.shape, region))


def _letters(known: dict[str, np.ndarray]) -> tuple[tuple[str, str], ...]:
    """The letters of an axial slice, if the cell says that it lies in patient space."""
    if not bool(known.get("sides_known", False)):
        return ()
    return tuple(zip(PLANES[0].letters, ("left", "right", "top", "bottom"), strict=True))


def _sizes(
    known: dict[str, np.ndarray], shape: tuple[int, ...], region: tuple[slice, slice]
) -> tuple[tuple[int, float, float] | None, float]:
    """The scale and the aspect of a slice of (rows, columns), as far as the cell knows the size of its pixels."""
    rows, columns = shape
    high, wide = (float(size) for size in known.get("pixel", np.full(2, np.nan)))
    if not (math.isfinite(high * wide) and high > 0 and wide > 0):
        return None, columns / rows
    length = scale_length(columns, wide)
    zoomed = region[1].stop - region[1].start
    share = 100 * length / wide
    return (length, share / columns, min(100.0, share / zoomed)), columns * wide / (rows * high)


def _grey(image: np.ndarray, region: tuple[slice, slice], low: float, high: float) -> tuple[str, str]:
    """The image and its zoom."""
    pixels = figures.to_bytes(image, low, high)
    zoom = pixels[region].repeat(_ZOOM, axis=0).repeat(_ZOOM, axis=1)
    return figures.png(pixels), figures.png(zoom)


def _detailed_region(truth: np.ndarray) -> tuple[slice, slice]:
    """Where the ground truth varies most: the window with the largest summed gradient, out of a grid of windows."""
    gradient = sum(abs(each) for each in np.gradient(truth))
    assert isinstance(gradient, np.ndarray)
    size = tuple(max(1, edge // _ZOOM_SHARE) for edge in truth.shape)
    sums = gradient.cumsum(0).cumsum(1)
    padded = np.pad(sums, ((1, 0), (1, 0)))
    window = padded[size[0] :, size[1] :] - padded[: -size[0], size[1] :]
    window = window - padded[size[0] :, : -size[1]] + padded[: -size[0], : -size[1]]
    row, column = np.unravel_index(int(window.argmax()), window.shape)
    return slice(int(row), int(row) + size[0]), slice(int(column), int(column) + size[1])
