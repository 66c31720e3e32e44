"""3D ResNets: sizes of the published ones, their features, and configurations that are refused."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from priors.networks.resnet3d import CT_RESNET152, Bottleneck, ResNet3D, ResNet3DConfig

TINY = ResNet3DConfig(blocks=(2, 1), strides=(1, 2), dilations=(1, 2), width=4)


def on_meta(config: ResNet3DConfig) -> ResNet3D:
    with torch.device("meta"):
        return ResNet3D(config)


def test_the_published_networks_have_their_sizes() -> None:
    medicalnet, ct = on_meta(ResNet3DConfig()), on_meta(CT_RESNET152)
    assert sum(each.numel() for each in medicalnet.parameters()) == 46_155_072
    assert len(ct.state_dict()) == 930
    assert sum(each.numel() for each in ct.parameters()) == pytest.approx(117.4e6, rel=1e-2)
    assert medicalnet.config.features == ct.config.features == 2048


def test_keys_are_those_of_the_files() -> None:
    keys = set(on_meta(CT_RESNET152).state_dict())
    assert {"conv1.weight", "bn1.running_mean", "layer3.35.conv3.weight", "layer4.0.downsample.1.bias"} <= keys
    assert on_meta(CT_RESNET152).state_dict()["conv1.weight"].shape == (64, 3, 3, 7, 7)
    assert on_meta(ResNet3DConfig()).state_dict()["layer4.0.downsample.0.weight"].shape == (2048, 1024, 1, 1, 1)


def test_dilated_stages_keep_the_resolution() -> None:
    """MedicalNet's last two stages see farther instead of coarser: an eighth of the volume's edge."""
    network = ResNet3D(ResNet3DConfig(blocks=(1, 1, 1, 1), width=4)).eval()
    seen: list[torch.Size] = []
    network.layer4.register_forward_hook(lambda module, given, output: seen.append(output.shape))
    with torch.no_grad():
        assert network(torch.zeros(2, 1, 32, 32, 24)).shape == (2, 128)
    assert seen == [(2, 128, 4, 4, 3)]


def test_a_bottleneck_is_its_equation() -> None:
    torch.manual_seed(0)
    block = Bottleneck(8, 2, stride=1, dilation=2).eval()
    x = torch.randn(1, 8, 5, 5, 5)

    def norm(values: torch.Tensor, layer: nn.BatchNorm3d) -> torch.Tensor:
        return values / (1 + layer.eps) ** 0.5

    weights = [block.conv1.weight, block.conv2.weight, block.conv3.weight]
    hidden = norm(nn.functional.conv3d(x, weights[0]), block.bn1).relu()
    hidden = norm(nn.functional.conv3d(hidden, weights[1], padding=2, dilation=2), block.bn2).relu()
    with torch.no_grad():
        torch.testing.assert_close(block(x), (norm(nn.functional.conv3d(hidden, weights[2]), block.bn3) + x).relu())


def test_features_are_means_over_positions() -> None:
    torch.manual_seed(0)
    network = ResNet3D(TINY).eval()
    volumes = torch.randn(3, 1, 16, 16, 16)
    with torch.no_grad():
        together = network(volumes)
        assert together.shape == (3, TINY.features)
        torch.testing.assert_close(together[1:2], network(volumes[1:2]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"blocks": [1, 0]}, "blocks is [1, 0]; each must be 1 to 100"),
        ({"blocks": [1]}, "must have one number for each stage"),
        ({"stem_kernel": [3, 3]}, "must have three numbers each"),
        ({"stem_kernel": [3, 3, 4]}, "each must be odd"),
        ({"width": 0}, "width is 0; it must be 1 or more"),
        ({"height": 1}, "unknown or missing: height"),
    ],
)
def test_configurations_that_are_wrong(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        ResNet3DConfig.from_dict(TINY.to_dict() | change)
    assert ResNet3DConfig.from_dict(TINY.to_dict()) == TINY
