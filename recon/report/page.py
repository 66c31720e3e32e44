"""The page: the template, filled in."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recon.pictures import figures
from recon.pictures.planes import average
from recon.report.curve import convergence
from recon.report.data import TRUTH, ReportData
from recon.report.histogram import histograms
from recon.report.table import metrics_table
from recon.report.viewer import viewer

HERE = Path(__file__).parent
DATA_PICTURE_SIDE = 1024


@dataclass(frozen=True)
class Picture:
    """A still picture with its caption, and the values that black and white stand for (None: no scale)."""

    source: str
    caption: str
    kind: str
    scale: tuple[float, float] | None = None


def render(data: ReportData) -> str:
    """The report as a whole HTML page: no file beside it and no network is needed to read it.

    All text is escaped, and the page's content security policy forbids every request and every script but its own.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = figures.number
    script = "\n".join((HERE / name).read_text(encoding="utf-8") for name in ("unpack.js", "viewer.js"))
    return environment.get_template("page.html.j2").render(
        data=data,
        table=metrics_table(data.metrics, drop_unknown=TRUTH not in data.images),
        viewer=viewer(data),
        measured=_measured(data),
        curve=convergence(data.trace),
        histograms=histograms(data.residuals),
        legends={
            "image": figures.legend(figures.GREYS),
            "error": figures.legend(figures.ERRORS),
            "std": figures.legend(figures.DEVIATIONS),
        },
        style=(HERE / "style.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def _measured(data: ReportData) -> list[Picture]:
    """The pictures of the data: a view of a cone beam and a sinogram, or k-space and its mask."""
    pictures = []
    if data.projection is not None:
        pictures.append(_projection(data.projection))
    if data.data_picture is not None:
        pictures.append(_sinogram(data.data_picture) if data.modality == "CT" else _kspace(data.data_picture))
    if data.mask is not None:
        pictures.append(_mask(data.mask))
    return pictures


def _projection(projection: np.ndarray) -> Picture:
    rows, cells = projection.shape
    source, scale = _grey(projection[::-1])
    caption = f"First view: {rows:,} detector rows of {cells:,} cells, line integrals of attenuation."
    return Picture(source, caption, "sinogram", scale)


def _sinogram(sinogram: np.ndarray) -> Picture:
    views, cells = sinogram.shape
    source, scale = _grey(sinogram)
    caption = f"Sinogram: {views:,} views (down) of {cells:,} detector cells (across), line integrals of attenuation."
    return Picture(source, caption, "sinogram", scale)


def _kspace(magnitude: np.ndarray) -> Picture:
    rows, columns = magnitude.shape
    source, scale = _grey(magnitude)
    return Picture(source, f"k-space, {rows} × {columns} (y × x): logarithm of the magnitude.", "kspace", scale)


def _grey(picture: np.ndarray) -> tuple[str, tuple[float, float]]:
    """The picture from its least finite value to its 99.9th percentile, at most DATA_PICTURE_SIDE pixels wide."""
    low, high = figures.finite_range(picture, 0, 99.9)
    small = average(
        np.nan_to_num(picture, nan=low, posinf=high, neginf=low), -(-max(picture.shape) // DATA_PICTURE_SIDE)
    )
    return figures.png(figures.to_bytes(small, low, high)), (low, high)


def _mask(mask: np.ndarray) -> Picture:
    sampled = np.count_nonzero(mask)
    share = sampled / mask.size
    rate = f"{100 * share:.1f} % of {mask.shape[0]} × {mask.shape[1]} positions sampled (white)"
    rate += f", acceleration {1 / share:.2f}." if sampled else "."
    return Picture(figures.png(mask.astype(bool)), f"Sampling mask: {rate}", "kspace")
