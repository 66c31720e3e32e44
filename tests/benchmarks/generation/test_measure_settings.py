"""The settings of the measures for volumes of a size."""

from __future__ import annotations

import pytest

from benchmarks.generation.measures import settings_for


@pytest.mark.parametrize(("edge", "scales"), [(256, 5), (112, 5), (64, 4), (32, 3), (4, 0)])
def test_small_volumes_have_fewer_scales(edge, scales):
    assert settings_for((edge, edge, edge)).scales == scales
    assert settings_for((2 * edge, edge, 256)).scales == scales
