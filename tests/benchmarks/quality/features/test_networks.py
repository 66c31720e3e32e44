"""Networks of features on small volumes, and the ways in which a user names them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.quality.features import ct_resnet, load
from benchmarks.quality.features.ct_resnet import CTResNetFeatures, cropped
from benchmarks.quality.features.load import FEATURES, feature_network
from benchmarks.quality.features.medicalnet import MedicalNetFeatures
from benchmarks.quality.features.network import FeatureNetwork, extract
from benchmarks.quality.features.pooled import PooledFeatures
from benchmarks.quality.features.slices import SliceFeatures, pictures
from priors.networks.efficientnet_lite0 import EfficientNetLite0
from priors.networks.resnet3d import ResNet3D, ResNet3DConfig
from priors.weights.card import Card, save_weights
from priors.weights.feature_files import features_file
from priors.weights.medicalnet_files import MedicalNet

SPACING = (2.0, 1.0, 1.0)
TINY = ResNet3DConfig(in_channels=3, blocks=(1, 1), strides=(1, 2), dilations=(1, 1), width=2)


def volumes(count: int, *size: int) -> torch.Tensor:
    return torch.rand(count, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def ct_network() -> CTResNetFeatures:
    torch.manual_seed(0)
    return CTResNetFeatures(ResNet3D(TINY), "hash", grid=(12, 16, 16))


def medicalnet() -> MedicalNetFeatures:
    torch.manual_seed(0)
    network = ResNet3D(ResNet3DConfig(blocks=(1, 1), strides=(1, 2), dilations=(1, 4), width=2))
    return MedicalNetFeatures(MedicalNet(network.eval(), "hash", "resnet_50.pth"))


def slices_network() -> SliceFeatures:
    torch.manual_seed(0)
    return SliceFeatures(EfficientNetLite0(), "hash")


@pytest.mark.parametrize("make", [PooledFeatures, ct_network, medicalnet, slices_network])
def test_every_network_keeps_the_protocol(make) -> None:
    network: FeatureNetwork = make()
    given = volumes(2, 3, 2, 3)
    found = network.features(given, SPACING)
    assert (found.shape, found.dtype) == ((2, network.dims), np.float64)
    assert np.isfinite(found).all()
    assert network.name
    assert not np.allclose(found[0], found[1], rtol=1e-3, atol=0)
    one_by_one = extract(list(given), SPACING, network)
    np.testing.assert_allclose(one_by_one, found, rtol=1e-3, atol=1e-12)


def test_ct_volumes_are_cropped_to_the_body() -> None:
    air = torch.full((6, 7, 8), -1.0)
    body = air.clone()
    body[1:4, 2:6, 5] = 0.1
    body[0, 0, 0] = -0.995  # noise of a generator in the background
    assert cropped(body).shape == (3, 4, 1)
    assert cropped(air).shape == (6, 7, 8)


def test_ct_volumes_are_windowed_as_in_the_training() -> None:
    """-1000 HU is 0, 200 HU and more is 1, on three equal channels."""
    seen: list[torch.Tensor] = []
    network = ct_network()
    network._network.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    for hu in (-1000, -400, 200, 900):
        network.features(torch.full((1, 4, 4, 4), hu / 1000), SPACING)
    assert [round(float(each.mean()), 6) for each in seen] == [0, 0.5, 1, 1]
    assert {tuple(each.shape) for each in seen} == {(1, 3, 12, 16, 16)}


def test_the_grid_is_part_of_the_name() -> None:
    assert "80 x 112 x 112" in CTResNetFeatures(ResNet3D(TINY), "").name
    assert ct_resnet.HALF_GRID == (80, 112, 112)


def test_medicalnet_sees_the_volume_as_it_is() -> None:
    network, seen = medicalnet(), []
    network._network.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    given = volumes(1, 8, 9, 10)
    network.features(given, SPACING)
    torch.testing.assert_close(seen[0], given[:, None])
    assert network.name == "MedicalNet ResNet-50, resnet_50.pth"


def test_slices_have_square_pixels_and_are_evenly_spaced() -> None:
    volume = torch.full((8, 16, 32), -1.0)
    volume[:, 4:12, :] = 1
    coronal = pictures(volume, 2, SPACING)  # (z, x): 16 mm and 16 mm
    assert coronal.shape == (32, 3, 224, 224)
    sagittal = pictures(volume, 1, SPACING)  # (z, y): 16 mm and 32 mm, black above and below
    assert sagittal.shape == (16, 3, 224, 224)
    assert not sagittal[8, 0, :56].any()
    assert sagittal[8, 0, 60:160].min() == 1
    assert [bool(each.any()) for each in sagittal] == [4 <= number < 12 for number in range(16)]
    many = torch.linspace(-1, 1, 96)[:, None, None].expand(96, 4, 4)
    grey = pictures(many, 0, SPACING)[:, 0].mean((1, 2))
    assert len(grey) == 32
    torch.testing.assert_close(grey.diff(), torch.full((31,), 3 / 95), rtol=1e-3, atol=1e-5)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.mark.usefixtures("store")
def test_a_fetched_network_is_found_by_its_name() -> None:
    card = save_weights(features_file("ct-resnet152"), ResNet3D(TINY).state_dict(), Card("resnet3d", TINY.to_dict()))
    network = feature_network("ct-resnet152")
    assert isinstance(network, CTResNetFeatures)
    assert (network.sha256, network.dims) == (card.sha256, TINY.features)
    save_weights(features_file("efficientnet-lite0"), EfficientNetLite0().state_dict(), Card("efficientnet-lite0", {}))
    assert isinstance(feature_network("efficientnet-lite0"), SliceFeatures)
    assert isinstance(feature_network("pooled"), PooledFeatures)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("name", [name for name in FEATURES if name != "pooled"])
def test_what_was_not_fetched_yet_says_how(name: str) -> None:
    with pytest.raises(ValueError, match=f"'recon weights fetch --features {name}' gets it"):
        feature_network(name)


def test_a_name_that_nothing_has_and_a_file_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`features` resnet: neither one of .* nor MedicalNet's file"):
        feature_network("resnet")
    file = tmp_path / "resnet_50.pth"
    torch.save({"state_dict": {"a": torch.zeros(1)}}, file)
    with pytest.raises(ValueError, match="not MedicalNet's ResNet-50"):
        feature_network(file)


def test_medicalnets_file_is_taken_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from priors.weights import medicalnet_files

    small = ResNet3DConfig(blocks=(1, 1), strides=(1, 2), dilations=(1, 4), width=2)
    monkeypatch.setattr(medicalnet_files, "ResNet3DConfig", lambda: small)
    file = tmp_path / "resnet_50.pth"
    torch.save({f"module.{name}": each for name, each in ResNet3D(small).state_dict().items()}, file)
    network = load.feature_network(str(file))
    assert isinstance(network, MedicalNetFeatures)
    assert network.features(volumes(1, 8, 8, 8), SPACING).shape == (1, small.features)


def test_a_volume_that_is_not_finite_is_named() -> None:
    given = volumes(3, 8, 8, 8)
    given[2, 0, 0, 0] = torch.inf
    with pytest.raises(ValueError, match="volume 3 of 3 has NaN or infinity"):
        extract(given, SPACING, PooledFeatures())
