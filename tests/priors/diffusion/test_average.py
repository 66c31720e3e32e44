"""Averages of latents: what they are of, and that they survive a weights file's header."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from priors.diffusion.average import EDGE, AverageLatent, average_latent


@settings(deadline=None)
@given(seed=st.integers(0, 2**16), wide=st.integers(1, 4), deep=st.integers(1, 3))
def test_an_average_has_the_mean_of_its_latents(seed: int, wide: int, deep: int) -> None:
    random = torch.Generator().manual_seed(seed)
    latents = [torch.randn(2, deep, EDGE * wide, EDGE, generator=random) for _ in range(3)]
    average = average_latent(latents, (32, 64, 64))
    wanted = torch.stack([each.mean((1, 2, 3)) for each in latents]).mean(0)
    torch.testing.assert_close(average.grid.mean((1, 2)), wanted)
    back = AverageLatent.from_dict(json.loads(json.dumps(average.to_dict())), 2)
    assert back.size == (32, 64, 64)
    torch.testing.assert_close(back.grid, average.grid, atol=6e-4, rtol=0)


def test_its_latent_is_the_same_in_every_slice_and_lies_where_the_grid_does() -> None:
    grid = torch.arange(EDGE, dtype=torch.float32)[:, None].expand(1, EDGE, EDGE)  # grows along x
    latent = AverageLatent(grid, (32, 64, 64)).latent((3, 2 * EDGE, 4 * EDGE))
    assert latent.shape == (1, 3, 2 * EDGE, 4 * EDGE)
    assert torch.equal(latent[:, 0], latent[:, 2])
    assert torch.equal(latent[0, 0, :, 0], latent[0, 0, :, -1])
    assert bool((latent[0, 0, :, 0].diff() >= 0).all())


@pytest.mark.parametrize(
    "content",
    [{}, {"grid": 1, "size": [1, 2, 3]}, {"grid": [[[0.0]]], "size": [1, 2, 3]}, {"grid": None, "size": None}],
)
def test_what_is_no_average(content: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="average latent"):
        AverageLatent.from_dict(content, 1)
