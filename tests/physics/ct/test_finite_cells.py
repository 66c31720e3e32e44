"""Cells of finite width against the analytic disc, and against thin rays where they must agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from physics.ct.finite_cells import Aperture, OffCentreSource, readings
from physics.ct.geometry import FanBeam, ImageGrid, ParallelBeam, circular_angles
from physics.ct.projector import CTProjector

_RADIUS, _ATTENUATION = 40.0, 0.03


def _disc(size: int, spacing: float, samples: int = 8) -> torch.Tensor:
    """A disc whose edge pixels hold its share of them."""
    fine = (np.arange(size * samples) - (size * samples - 1) / 2) * spacing / samples
    inside = (np.hypot(fine[:, None], fine[None]) < _RADIUS).astype(np.float32)
    return torch.from_numpy(inside.reshape(size, samples, size, samples).mean((1, 3)) * _ATTENUATION)[None]


def _chords(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Line integrals of the disc along rays from points (..., 2) to points (..., 2)."""
    direction = target - source
    cross = source[..., 0] * direction[..., 1] - source[..., 1] * direction[..., 0]
    distance = np.abs(cross) / np.linalg.norm(direction, axis=-1)
    return 2 * _ATTENUATION * np.sqrt(np.clip(_RADIUS**2 - distance**2, 0, None))


@pytest.mark.parametrize("spot", [0.0, 4.0])
def test_readings_of_a_disc_are_the_analytic_ones_within_a_tenth_of_a_percent(spot):
    geometry = FanBeam(circular_angles(6), pitch=3.0, cells=60)
    grid = ImageGrid((200, 200), (0.5, 0.5))
    found = readings(_disc(200, 0.5), geometry, grid, Aperture(16, spot))[0].numpy()
    cells = geometry.cell_positions()[:, None] + (np.arange(64) - 31.5) / 64 * geometry.pitch
    spots = (np.arange(15) - 7) / 15 * spot
    shape = (15, *cells.shape)
    across = geometry.source_detector - geometry.source_isocentre
    source = np.stack([np.broadcast_to(spots[:, None, None], shape), np.full(shape, -geometry.source_isocentre)], -1)
    target = np.stack([np.broadcast_to(cells, shape), np.full(shape, across)], -1)
    expected = -np.log(np.exp(-_chords(source, target)).mean((0, 2)))
    assert np.linalg.norm(found - expected) / (np.linalg.norm(expected) * np.sqrt(6)) < 1e-3


def test_one_ray_to_a_cell_is_the_projector():
    geometry = FanBeam(circular_angles(5), pitch=1.5, offset=0.7, cells=80)
    grid = ImageGrid((32, 40), (1.1, 1.1))
    image = torch.rand(2, 32, 40, generator=torch.Generator().manual_seed(0)) * 0.02
    assert torch.allclose(
        readings(image, geometry, grid, Aperture(1)),
        CTProjector(geometry, grid, slices=2, builder="siddon")(image),
        atol=1e-5,
    )


def test_blocks_of_views_change_nothing(monkeypatch):
    geometry = ParallelBeam(circular_angles(7, arc=np.pi), pitch=1.5, cells=40)
    grid = ImageGrid((24, 24), (1.0, 1.0))
    image = torch.rand(2, 24, 24, generator=torch.Generator().manual_seed(0)) * 0.02
    whole = readings(image, geometry, grid, Aperture(2))
    monkeypatch.setattr("physics.ct.finite_cells._VIEWS", 2)
    assert torch.equal(readings(image, geometry, grid, Aperture(2)), whole)


def test_wide_cells_read_less_than_the_mean_line_integral():
    geometry = FanBeam(circular_angles(3), pitch=6.0, cells=30)
    grid = ImageGrid((200, 200), (0.5, 0.5))
    thin = CTProjector(replace(geometry, cells=30 * 8, pitch=6.0 / 8), grid)(_disc(200, 0.5))
    mean = thin.unflatten(-1, (30, 8)).mean(-1)
    read = readings(_disc(200, 0.5), geometry, grid, Aperture(8))
    assert (read <= mean + 1e-5).all()
    assert (mean - read).max() > 1e-2


def test_source_beside_the_central_ray():
    geometry = OffCentreSource((0.0, np.pi / 2), pitch=1.0, cells=4, source_offset=2.0)
    assert np.allclose(geometry.vectors()[:, :2], [[2.0, -595.0], [595.0, 2.0]])


def test_impossible_apertures_are_refused():
    with pytest.raises(ValueError, match="rays per cell"):
        Aperture(0)
    with pytest.raises(ValueError, match="focal spot"):
        Aperture(4, -1.0)
    with pytest.raises(ValueError, match="no focal spot"):
        readings(torch.zeros(1, 4, 4), ParallelBeam((0.0,), 1.0, 4), ImageGrid((4, 4), (1.0, 1.0)), Aperture(2, 1.0))
