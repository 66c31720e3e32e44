"""The plain features."""

from __future__ import annotations

import torch

from benchmarks.quality.features.pooled import PooledFeatures


def test_features_are_of_blocks() -> None:
    volumes = torch.zeros(2, 8, 8, 8)
    volumes[1, :2, :2, :2] = 1
    network = PooledFeatures()
    features = network.features(volumes, (1.0, 1.0, 1.0))
    assert features.shape == (2, network.dims)
    assert not features[0].any()
    assert features[1, 0] == 1
    assert features[1].sum() == 1
    assert "no network" in network.name
