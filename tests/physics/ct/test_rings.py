"""Rings: the gain errors of cells are found and taken off, and little else is."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from physics.ct.fbp import fbp
from physics.ct.geometry import FanBeam, ImageGrid, ParallelBeam, circular_angles
from physics.ct.projector import CTProjector
from physics.ct.rings import ring_profile, without_rings

GRID = ImageGrid((96, 96), (1.5, 1.5))


def body() -> torch.Tensor:
    """A body with organs away from its middle."""
    y, x = torch.meshgrid(*[(torch.arange(96) - 47.5) * 1.5] * 2, indexing="ij")
    image = 0.02 * ((x / 58).square() + (y / 44).square() < 1).float()
    for cx, cy, r, value in ((20, 15, 9, 0.01), (-25, -12, 12, -0.008), (-18, 22, 5, 0.02), (33, -10, 6, 0.006)):
        image += value * ((x - cx).square() + (y - cy).square() < r**2).float()
    return image[None]


SCANS = {
    "fan": FanBeam(circular_angles(90), 2.0),
    "fan, few views": FanBeam(circular_angles(40), 2.0),
    "parallel": ParallelBeam(circular_angles(90, 0, math.pi), 1.2),
}


@pytest.mark.parametrize("scan", SCANS)
def test_rings_go_and_the_image_stays(scan: str) -> None:
    projector = CTProjector(SCANS[scan], GRID)
    clean = projector(body()).numpy()
    gain = 0.02 * np.random.default_rng(0).standard_normal(clean.shape[-1]).astype(np.float32)
    ringed = clean + gain

    def image(sinogram: np.ndarray) -> torch.Tensor:
        return fbp(torch.from_numpy(sinogram), projector.geometry, GRID, "hann")

    reference = image(clean)
    rings, left = image(ringed) - reference, image(without_rings(ringed)) - reference
    assert float(left.square().sum()) < 0.45 * float(rings.square().sum())
    changed = image(without_rings(clean)) - reference
    assert float(changed.norm() / reference.norm()) < 0.03


def test_a_single_stripe() -> None:
    sinogram = np.random.default_rng(1).standard_normal((2, 60, 50)).astype(np.float32) * 0.01
    sinogram[1, :, 20] += 0.5
    profile = ring_profile(sinogram)
    assert profile.shape == (2, 50)
    assert profile[1, 20] == pytest.approx(0.5, rel=0.25)
    assert np.abs(profile[0]).max() < 0.02


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="at least 8 views of 15 cells, not 5 of 20"):
        ring_profile(np.zeros((1, 5, 20)))
    with pytest.raises(ValueError, match="odd number"):
        without_rings(np.zeros((1, 10, 20)), 8)
