"""Simulated coil sensitivities."""

from __future__ import annotations

import math

import pytest
import torch

from physics.mr.birdcage import birdcage_maps, drawn_ring, even_ring
from physics.mr.coils import rss


def test_each_coil_sees_its_side_best_and_all_together_the_same_everywhere():
    maps = birdcage_maps(4, (32, 40))
    assert torch.allclose(rss(maps), torch.ones(32, 40), atol=1e-5)
    magnitude = maps.abs()
    for coil, place in enumerate(((16, 39), (31, 20), (16, 0), (0, 20))):
        assert int(magnitude[:, *place].argmax()) == coil


def test_sensitivities_are_smooth_and_turn_with_the_coil():
    maps = birdcage_maps(8, (64, 64))
    assert float((maps[:, 1:] - maps[:, :-1]).abs().max()) < 0.15
    assert torch.allclose(torch.rot90(maps[0], -1, (-2, -1)).abs(), maps[2].abs(), atol=1e-4)
    centre = maps[:, 31:33, 31:33].mean((1, 2)).angle()
    assert torch.allclose(torch.remainder(centre.diff(), 2 * math.pi), torch.tensor(7 * math.pi / 4), atol=1e-3)


def test_one_coil_is_uniform_and_none_is_refused():
    assert torch.equal(birdcage_maps(1, (4, 5)), torch.ones(1, 4, 5, dtype=torch.complex64))
    with pytest.raises(ValueError, match="`coils` 0"):
        birdcage_maps(0, (4, 4))


def test_a_drawn_ring_is_uneven_normalised_and_the_seeds():
    first, again, other = (drawn_ring(6, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first == again != other
    maps = birdcage_maps(first, (48, 40))
    assert torch.allclose(rss(maps), torch.ones(48, 40), atol=1e-5)
    assert torch.isfinite(torch.view_as_real(maps)).all()
    steps = torch.remainder(torch.tensor(first.angles).diff(), 2 * math.pi)
    assert float(steps.min()) > 0.4 * math.pi / 3, "no coil passes its neighbour"
    assert float(steps.max() - steps.min()) > 0.05
    assert all(1.1 < distance < 2.5 for distance in first.distances)
    assert len({round(abs(gain), 3) for gain in first.gains}) > 3


def test_an_even_ring_is_what_a_number_of_coils_means():
    assert torch.equal(birdcage_maps(even_ring(5), (12, 16)), birdcage_maps(5, (12, 16)))
    with pytest.raises(ValueError, match="`coils` 0"):
        drawn_ring(0, torch.Generator())
