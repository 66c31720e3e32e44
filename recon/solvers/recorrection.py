"""The model error of a scan told once more, by an image that is better than the estimate which told it first.

The two-grid correction (:mod:`recon.solvers.two_grid`) takes its estimate x̂ on a fine grid from total variation. A
method that knows more finds a better image x on the grid of the result. It says nothing of what lies within a pixel;
that is kept of x̂, whose means are replaced:

    x̂' = x̂ + up(x − mean(x̂)),    e' = G(x̂') − A mean(x̂'),

with G the readings of detector cells of finite width. The data then become y − e' in place of y − e.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor
from torch.nn.functional import interpolate

from recon.scan.measurement import Measurement
from recon.solvers.finer_grid import FinerGrid, finer_grid


def recorrected(measurement: Measurement, image: Tensor) -> Measurement:
    """The measurement with its model error told by an image.

    Args:
        measurement: CT whose model error was taken off; one without such an estimate is returned as it is.
        image: (z, y, x) attenuation in 1/mm on the grid of the result.

    Returns:
        The same measurement with other data and another fine estimate.
    """
    estimate = measurement.finer
    if estimate is None:
        return measurement
    finer = finer_grid(measurement)
    difference = (image - finer.mean(estimate))[:, None]
    better = (estimate + interpolate(difference, size=finer.grid.shape, mode="bicubic")[:, 0]).clamp_min_(0)
    change = _error(measurement, finer, better) - _error(measurement, finer, estimate)
    return replace(measurement, y=measurement.y - change, finer=better)


def _error(measurement: Measurement, finer: FinerGrid, image: Tensor) -> Tensor:
    """The model error G(x̂) − A mean(x̂) of an image on the finer grid, (z, views, cells)."""
    return finer.read(image) - measurement.operator(finer.mean(image))
