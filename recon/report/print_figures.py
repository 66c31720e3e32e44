"""Pictures at full resolution for a paper: every voxel a pixel, with the patient's sides and a scale in the margins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recon.pictures import figures
from recon.pictures.lettering import MARGIN, Frame, framed
from recon.pictures.planes import PLANES
from recon.report.data import STD, TRUTH, ReportData
from recon.report.viewer import Window, deviation_top, error_scale, windows_of

_GAP, _CAPTION = 4, 18
_MOST_SLICES = 500
_AXIAL = PLANES[0]


@dataclass(frozen=True)
class FigureRequest:
    """Which pictures to write.

    Attributes:
        window: name of a window of the report, such as ``soft-tissue``, or ``CENTRE,WIDTH`` in the images' unit; None:
            the one that the report begins with.
        slices: axial slices, counted from 1 as the report does, such as ``10,20-24``; ``middle`` or ``all``.
    """

    window: str | None = None
    slices: str = "middle"


def check_figures(data: ReportData, request: FigureRequest) -> None:
    """Refuse slices and windows that are not there.

    Raises:
        ValueError: as :func:`chosen_slices` and :func:`chosen_window`.
    """
    chosen_slices(request.slices, data.shape[_AXIAL.axis])
    chosen_window(request.window, data)


def write_figures(folder: Path, data: ReportData, request: FigureRequest) -> None:
    """Write for each slice one PNG of all images and errors, ``axial-012.png``, and one of each of them.

    Args:
        folder: made if need be.
        data: the images, with what is known of them.
        request: window and slices.
    """
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    window = chosen_window(request.window, data)
    for index in chosen_slices(request.slices, data.shape[_AXIAL.axis]):
        name = f"axial-{index + 1:03d}"
        rows = [dict(_images(data, index, window)), dict(_errors(data, index))]
        for caption, picture in (pair for row in rows for pair in row.items()):
            Image.fromarray(picture).save(folder / f"{name}-{_file_name(caption)}.png", dpi=(300, 300))
        Image.fromarray(_side_by_side([row for row in rows if row])).save(folder / f"{name}.png", dpi=(300, 300))


def chosen_slices(text: str, depth: int) -> list[int]:
    """Indices from 0 of the slices that ``text`` names from 1.

    Raises:
        ValueError: no such form, or slices that are not there.
    """
    if text in ("middle", "all"):
        chosen = [depth // 2] if text == "middle" else list(range(depth))
    else:
        parts = [re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part.strip()) for part in text.split(",")]
        if not all(parts):
            raise ValueError(f"`slices` {text}: must be middle, all, or numbers such as 10,20-24")
        ends = [(int(part[1]), int(part[2] or part[1])) for part in parts if part]
        wrong = next((end for end in ends if not 1 <= end[0] <= end[1] <= depth), None)
        if wrong:
            raise ValueError(f"`slices` {text}: there are slices 1 to {depth}")
        chosen = sorted({index - 1 for first, last in ends for index in range(first, last + 1)})
    if len(chosen) > _MOST_SLICES:
        raise ValueError(f"`slices` {text}: {len(chosen)} slices; at most {_MOST_SLICES} are drawn, choose some")
    return chosen


def chosen_window(text: str | None, data: ReportData) -> Window:
    """The window that ``text`` names or states.

    Raises:
        ValueError: no such window.
    """
    known = {_file_name(window.name): window for window in windows_of(data, data.images[data.grey_scale_key])}
    if text is None:
        return next(iter(known.values()))
    if _file_name(text) in known:
        return known[_file_name(text)]
    try:
        centre, width = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"`window` {text}: must be CENTRE,WIDTH or one of {', '.join(known)}") from None
    if not (np.isfinite(centre) and np.isfinite(width) and width > 0):
        raise ValueError(f"`window` {text}: the width must be above 0")
    return Window(text, centre, width)


def _images(data: ReportData, index: int, window: Window) -> Iterator[tuple[str, np.ndarray]]:
    """Caption and (h, w, 3) picture of the ground truth, of each reconstruction, and of the standard deviation."""
    for key, image in data.images.items():
        shown = _AXIAL.picture(image, index)
        if key == STD:
            levels = figures.to_bytes(shown, 0, deviation_top(data.images))
            yield data.label(key), _framed(levels, figures.DEVIATIONS, data)
        else:
            yield data.label(key), _framed(figures.to_bytes(shown, window.low, window.high), figures.GREYS, data)


def _errors(data: ReportData, index: int) -> Iterator[tuple[str, np.ndarray]]:
    """Caption and picture of the error of each reconstruction, all on one scale; nothing without a ground truth."""
    if TRUTH not in data.images:
        return
    scale = error_scale(data, data.images)
    truth = _AXIAL.picture(data.images[TRUTH], index)
    for key in data.reconstructions:
        levels = figures.to_bytes(_AXIAL.picture(data.images[key], index) - truth, -scale, scale)
        caption = f"Error of {data.label(key)}, within {figures.number(scale)} {data.unit}".strip()
        yield caption, _framed(levels, figures.ERRORS, data)


def _framed(levels: np.ndarray, colours: np.ndarray, data: ReportData) -> np.ndarray:
    """A picture in its colours with letters and scale in its margins; pixels that are no squares are repeated."""
    _, row, column = data.spacing
    square = min(row, column)
    rows, columns = (_stretched(n, step / square) for n, step in zip(levels.shape, (row, column), strict=True))
    levels = levels[np.ix_(rows, columns)]
    frame = Frame(data.sides_known, square if data.sizes_known else None)
    margins = framed(np.zeros_like(levels), _AXIAL.letters, frame)
    picture = np.repeat(margins[:, :, None], 3, axis=2)
    picture[MARGIN:-MARGIN, MARGIN:-MARGIN] = colours[levels]
    return picture


def _stretched(count: int, factor: float) -> np.ndarray:
    """Indices that repeat pixels until they are squares."""
    return np.minimum((np.arange(max(1, round(count * factor))) / factor).astype(int), count - 1)


def _side_by_side(rows: list[dict[str, np.ndarray]]) -> np.ndarray:
    """All pictures with their captions above; errors stand below the images that they are of."""
    from PIL import Image, ImageDraw

    height, width, _ = next(iter(rows[0].values())).shape
    columns = max(len(rows[0]), 1 + len(rows[1]) if rows[1:] else 0)
    step_down, step_right = height + _CAPTION + _GAP, width + _GAP
    page = Image.fromarray(np.zeros((step_down * len(rows), step_right * columns - _GAP, 3), np.uint8))
    pen = ImageDraw.Draw(page)
    for i, row in enumerate(rows):
        for j, (caption, picture) in enumerate(row.items(), start=1 if i else 0):
            page.paste(Image.fromarray(picture), (j * step_right, i * step_down + _CAPTION))
            pen.text((j * step_right + MARGIN, i * step_down + 3), _short(pen, caption, width), fill=(255, 255, 255))
    return np.asarray(page)


def _short(pen: object, caption: str, width: int) -> str:
    """A caption cut to what fits above its picture."""
    from PIL import ImageDraw

    assert isinstance(pen, ImageDraw.ImageDraw)
    while caption and pen.textlength(caption) > width - MARGIN:
        caption = caption[:-1]
    return caption


def _file_name(caption: str) -> str:
    """A caption as part of a file's name."""
    return re.sub(r"[^a-z0-9+]+", "-", caption.lower().split(",")[0]).strip("-")
