"""The network of features that a user names."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.quality.features.network import FeatureNetwork
from benchmarks.quality.features.pooled import PooledFeatures

FEATURES = ("ct-resnet152", "efficientnet-lite0", "pooled")
"""Names beside MedicalNet's file: CT, MR or CT, and statistics without a network."""


def feature_network(name_or_file: str | Path, *, device: torch.device | str = "cpu") -> FeatureNetwork:
    """A network of features.

    Args:
        name_or_file: one of :data:`FEATURES`, or the path of MedicalNet's ``resnet_50.pth``.
        device: the device that computes.

    Raises:
        ValueError: neither; a network that was not fetched yet; or a file of something else.
    """
    if name_or_file == "pooled":
        return PooledFeatures()
    if name_or_file in FEATURES:
        return _fetched(str(name_or_file), device)
    path = Path(name_or_file)
    if not path.is_file():
        raise ValueError(
            f"`features` {name_or_file}: neither one of {', '.join(FEATURES)} nor MedicalNet's file resnet_50.pth"
        )
    from benchmarks.quality.features.medicalnet import MedicalNetFeatures
    from priors.weights.medicalnet_files import load_medicalnet

    return MedicalNetFeatures(load_medicalnet(path), device)


def _fetched(name: str, device: torch.device | str) -> FeatureNetwork:
    from benchmarks.quality.features.ct_resnet import CTResNetFeatures
    from benchmarks.quality.features.slices import SliceFeatures
    from priors.weights.card import read_card
    from priors.weights.feature_files import features_file
    from priors.weights.networks import load_network

    path = features_file(name)
    if not path.is_file():
        raise ValueError(f"`features` {name}: not on this machine yet; 'recon weights fetch --features {name}' gets it")
    card = read_card(path)
    network = load_network(path, card.kind)
    return (CTResNetFeatures if card.kind == "resnet3d" else SliceFeatures)(network, card.sha256, device)
