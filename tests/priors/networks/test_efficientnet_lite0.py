"""EfficientNet-Lite0: its size, its padding, and its scale of pictures."""

from __future__ import annotations

import torch
from torch.nn import functional

from priors.networks.efficientnet_lite0 import FEATURES, EfficientNetLite0, prepared


def test_the_network_has_the_published_size_and_keys() -> None:
    network = EfficientNetLite0()
    assert sum(each.numel() for each in network.parameters()) == 3_371_008
    state = network.state_dict()
    assert len(state) == 294, "the file has the two of the classifier besides"
    assert state["blocks.0.depthwise_conv.weight"].shape == (32, 1, 3, 3)
    assert "blocks.0.expand_conv.weight" not in state
    assert state["blocks.15.project_conv.weight"].shape == (320, 1152, 1, 1)


def test_pictures_of_any_size_become_features() -> None:
    torch.manual_seed(0)
    network = EfficientNetLite0().eval()
    with torch.no_grad():
        features = network(prepared(torch.rand(2, 3, 37, 64)))
    assert features.shape == (2, FEATURES)
    assert features.min() >= 0
    assert features.max() <= 6


def test_padding_is_at_the_end_first() -> None:
    """As in TensorFlow, where the weights are from: a step of two over an even edge pads its end alone."""
    conv = EfficientNetLite0().conv_stem
    x = torch.randn(1, 3, 8, 9)
    with torch.no_grad():
        wanted = functional.conv2d(functional.pad(x, (1, 1, 0, 1)), conv.weight, stride=2)
        torch.testing.assert_close(conv(x), wanted)


def test_grey_values_are_on_the_scale_of_the_training() -> None:
    assert prepared(torch.tensor([0.0, 127 / 255, 1.0])).tolist() == [-127 / 128, 0, 1]
