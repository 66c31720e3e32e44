"""Masks that nobody names are told by what they sample."""

from __future__ import annotations

import pytest
import torch

from physics.mr.masks import make_mask
from physics.mr.sampling import samples_like

SHAPE = (96, 128)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("accel", [4.0, 8.0])
@pytest.mark.parametrize(
    ("kind", "like"),
    [
        ("poisson", "poisson"),
        ("gauss1d", "gauss1d"),
        ("gauss1d-legacy", "gauss1d"),
        ("random", "random"),
        ("equispaced", "equispaced"),
        ("equispaced-legacy", "equispaced"),
    ],
)
def test_a_drawn_mask_samples_like_its_kind(kind: str, like: str, accel: float, seed: int) -> None:
    calib = 12 if kind == "poisson" else None
    assert samples_like(make_mask(kind, SHAPE, accel, calib, seed).array) == like


@pytest.mark.parametrize("accel", [4, 8])
def test_samples_without_a_variable_density_are_like_no_kind(accel: int) -> None:
    mask = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)) < 1 / accel
    mask[40:56, 56:72] = True
    assert samples_like(mask) is None


def test_rows_full_and_empty_masks_are_like_no_kind() -> None:
    rows = make_mask("gauss1d", (128, 96), 4.0).array[:1].T.expand(96, 128)
    for mask in (rows, torch.ones(SHAPE, dtype=torch.bool), torch.zeros(SHAPE, dtype=torch.bool)):
        assert samples_like(mask) is None


def test_too_few_columns_tell_nothing() -> None:
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[:, 7:10] = True
    assert samples_like(mask) is None
