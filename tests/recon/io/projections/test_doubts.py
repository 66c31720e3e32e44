"""Faults of cells and views in a sinogram, in one line each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recon.io.projections.doubts import check_line_integrals


def sinogram() -> np.ndarray:
    """A disc, (1, 12, 40)."""
    profile = 3 * np.sqrt(np.clip(1 - (np.arange(40) / 20 - 0.975) ** 2 / 0.6, 0, None))
    return np.tile(profile, (1, 12, 1)) * (1 + 0.01 * np.arange(12))[None, :, None]


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ((..., [12, 19]), 0.0, "cells 12, 19 read exactly 0"),
        ((..., 15), 12.0, "cell 15 reads far more"),
        ((slice(None), [3]), 0.0, "views 3 are 0 throughout"),
    ],
)
def test_faulty_cells_and_views_are_told(place: Any, value: float, words: str) -> None:
    data = sinogram()
    whole = np.ones(data.shape, bool)
    assert check_line_integrals(data, whole, True, "scan") == ()
    data[place] = value
    assert any(words in each for each in check_line_integrals(data, whole, True, "scan"))
    measured = whole.copy()
    measured[place] = False
    assert not any(
        "exactly 0" in each or "throughout" in each for each in check_line_integrals(data, measured, True, "x")
    )
