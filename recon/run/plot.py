"""Images of a run in a notebook: as HTML, and as a figure of matplotlib."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recon.errors import InputError
from recon.pictures.glance import glance, window_of
from recon.pictures.planes import PLANES, Plane

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIDE = 3.2
"""Width of a picture in inches."""


@dataclass(frozen=True)
class Views:
    """What is shown side by side.

    Attributes:
        truth: the ground truth, (z, y, x), or None.
        reconstructions: captions with (z, y, x) volumes, the result last.
        spacing: voxel size (z, y, x) in mm.
        in_hu: whether the values are HU.
    """

    truth: np.ndarray | None
    reconstructions: dict[str, np.ndarray]
    spacing: tuple[float, float, float]
    in_hu: bool

    @property
    def result(self) -> np.ndarray:
        """The last reconstruction."""
        return list(self.reconstructions.values())[-1]

    @property
    def window(self) -> tuple[float, float]:
        """The values drawn black and white."""
        return window_of(self.result if self.truth is None else self.truth, self.in_hu)

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """All images with their captions, the ground truth first."""
        return ({} if self.truth is None else {"ground truth": self.truth}) | self.reconstructions


def views_html(views: Views, facts: list[str]) -> str:
    """The images side by side in the axial plane, and lines of facts."""
    return glance(list(views.columns.items()), views.spacing, views.window, facts, PLANES[:1])


def plot_views(views: Views, plane: str, index: int | None) -> Figure:
    """See :meth:`recon.run.outcome.Outcome.plot`."""
    try:
        import matplotlib.pyplot  # noqa: F401  registers how notebooks show figures
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("`plot` needs matplotlib, which is not installed; pip install matplotlib") from error
    chosen = _plane(plane)
    depth = views.result.shape[chosen.axis]
    index = depth // 2 if index is None else index
    if not 0 <= index < depth:
        raise InputError(f"`index` {index}: the {plane} plane has the slices 0 to {depth - 1}")
    pictures = {caption: chosen.picture(image, index) for caption, image in views.columns.items()}
    rows = 1 if views.truth is None else 2
    figure = Figure(figsize=(_SIDE * len(pictures), _SIDE * rows), layout="constrained")
    axes = figure.subplots(rows, len(pictures), squeeze=False)
    aspect = views.spacing[chosen.rows] / views.spacing[chosen.columns]
    low, high = views.window
    for place, (caption, picture) in zip(axes[0], pictures.items(), strict=True):
        place.imshow(picture, cmap="gray", vmin=low, vmax=high, aspect=aspect)
        place.set_title(caption)
    for each in axes.flat:
        each.set_axis_off()
    if views.truth is not None:
        _draw_errors(axes[1], list(pictures.values()), aspect)
    return figure


def _draw_errors(axes: np.ndarray, pictures: list[np.ndarray], aspect: float) -> None:
    """Differences from the first picture, on the scale of the last one's."""
    truth, *others = pictures
    top = float(np.percentile(np.abs(others[-1] - truth), 98)) or 1.0
    for place, picture in zip(axes[1:], others, strict=True):
        place.imshow(picture - truth, cmap="RdBu_r", vmin=-top, vmax=top, aspect=aspect)
        place.set_title(f"error, ± {top:.3g}")


def _plane(name: str) -> Plane:
    found = [plane for plane in PLANES if plane.name == name]
    if not found:
        raise InputError(f"`plane` {name}: must be one of {', '.join(plane.name for plane in PLANES)}")
    return found[0]
