"""fastMRI's U-Net: names, outputs and training as recorded of the package, and its way of normalising."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from priors.networks.unet2d import SmoothUpsampling, UNet2D, UNetConfig

TINY = UNetConfig(chans=8, pool_layers=3)
SMALL = {"chans": 4, "pool_layers": 2}


@pytest.fixture(scope="module")
def recorded(shared: Path) -> dict[str, Tensor]:
    return load_file(shared / "fixtures/baselines/fastmri_unet_tiny.safetensors")


@pytest.fixture(scope="module")
def description(shared: Path) -> dict:
    return json.loads((shared / "fixtures/baselines/fastmri_unet_tiny.json").read_text())


def official(recorded: dict[str, Tensor]) -> UNet2D:
    network = UNet2D(TINY)
    network.load_state_dict({name[2:]: tensor for name, tensor in recorded.items() if name.startswith("w.")})
    return network


def small(seed: int = 0, **changes) -> UNet2D:
    torch.manual_seed(seed)
    return UNet2D(UNetConfig(**(SMALL | changes))).eval().requires_grad_(False)


@pytest.mark.parametrize("chans", [32, 256])
def test_the_published_networks_have_their_sizes(chans, description):
    with torch.device("meta"):
        network = UNet2D(UNetConfig(chans=chans))
    assert sum(parameter.numel() for parameter in network.parameters()) == description[f"params_chans{chans}_pools4"]
    if chans == 32:
        layout = [[name, list(tensor.shape)] for name, tensor in network.state_dict().items()]
        assert layout == description["state_dict_keys_chans32_pools4"]


@torch.no_grad()
@pytest.mark.parametrize("which", ["even", "odd"])
def test_outputs_are_those_of_the_package(which, recorded):
    output = official(recorded).eval()(recorded[f"in.{which}"])
    assert torch.allclose(output, recorded[f"out.{which}"], rtol=0, atol=5e-5)


def test_the_published_training_gives_the_recorded_losses(recorded, description):
    network = official(recorded).train()
    optimizer = torch.optim.RMSprop(network.parameters(), lr=1e-3)
    for expected in description["train_losses"]:
        loss = functional.l1_loss(network(recorded["in.even"]), recorded["train.target"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert float(loss.detach()) == pytest.approx(expected, abs=1e-4)


def test_normalising_is_that_of_the_published_recipe():
    """Mean and deviation of the image taken off, the rest clamped to 6 deviations; both put back on the output."""
    plain, normalising = small(), small(instance_norm=True)
    image = 300 + 40 * torch.randn(1, 1, 24, 20)
    image[0, 0, 3, 4] = 5000
    mean, std = image.mean(), image.std()
    expected = plain(((image - mean) / (std + 1e-11)).clamp(-6, 6)) * std + mean
    assert float((image[0, 0, 3, 4] - mean) / std) > 6, "so that the clamp takes part"
    assert torch.allclose(normalising(image), expected, rtol=1e-5)


@settings(deadline=None, max_examples=15)
@given(gain=st.floats(1e-3, 1e4), offset=st.floats(-1e3, 1e3))
def test_units_do_not_matter_with_normalising(gain: float, offset: float) -> None:
    network = small(instance_norm=True)
    image = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(1)).double()
    network.double()
    output, other = network(image), network(gain * image + offset)
    assert torch.allclose(other, gain * output + offset, rtol=1e-6, atol=1e-6 * (gain + abs(offset)))


@pytest.mark.parametrize("instance_norm", [False, True])
@pytest.mark.parametrize("residual", [False, True])
def test_an_image_is_independent_of_the_others_of_its_batch(instance_norm, residual):
    network = small(instance_norm=instance_norm, residual=residual).double()
    images = torch.randn(3, 1, 17, 24).double() * torch.tensor([1.0, 50.0, 0.1])[:, None, None, None]
    singly = torch.cat([network(image[None]) for image in images])
    assert torch.allclose(network(images), singly, rtol=1e-9, atol=1e-9)


def test_a_constant_image_gives_finite_values():
    """It has no deviation to divide by, and the value of the image is what its mean puts back."""
    image = torch.full((1, 1, 16, 16), 7.0)
    assert torch.equal(small(instance_norm=True)(image), image)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_residual_adds_the_first_channel(channels):
    image = torch.randn(2, channels, 16, 20)
    plain, residual = small(in_channels=channels), small(in_channels=channels, residual=True)
    assert torch.equal(residual(image), plain(image) + image[:, :1])


def test_smooth_upsampling_is_upsampling_averaged_with_its_neighbours():
    torch.manual_seed(0)
    smooth = SmoothUpsampling(3, 2, 2, stride=2, bias=False).requires_grad_(False)
    image = torch.randn(1, 3, 5, 6)
    doubled = functional.conv_transpose2d(image, smooth.weight, stride=2)
    kernel = torch.outer(*[torch.tensor([0.25, 0.5, 0.25])] * 2).expand(2, 1, 3, 3)
    assert torch.allclose(smooth(image), functional.conv2d(doubled, kernel, padding=1, groups=2), atol=1e-6)


def test_an_anti_aliased_network_has_the_same_tensors_and_leaves_no_checkerboard():
    """A constant image has nothing that alternates, and so has its output, away from the borders."""
    plain, smooth = small(), small(anti_aliased=True)
    smooth.load_state_dict(plain.state_dict())
    image = torch.ones(1, 1, 128, 128)
    image[..., 2:6, 2:6] = 2  # norms would make nothing of a constant
    alternating = [network(image)[0, 0, 60:72, 60:72].diff(dim=0).abs().max() for network in (plain, smooth)]
    assert float(alternating[1]) < 1e-3 * float(alternating[0])


def test_files_from_before_a_setting_have_its_default():
    values = UNetConfig().to_dict()
    del values["anti_aliased"]
    assert UNetConfig.from_dict(values) == UNetConfig()


def test_shares_are_dropped_in_training_only():
    network, image = small(drop=0.5), torch.randn(1, 1, 16, 16)
    assert torch.equal(network(image), network(image))
    network.train()
    assert not torch.equal(network(image), network(image))


@settings(deadline=None, max_examples=30)
@given(height=st.integers(1, 30), width=st.integers(1, 30))
def test_any_size_keeps_its_size_or_is_refused_by_name(height: int, width: int) -> None:
    network, image = small(), torch.randn(1, 1, height, width)
    if (height // 4) * (width // 4) >= 2:
        assert network(image).shape == image.shape
    else:
        with pytest.raises(ValueError, match=f"{height} x {width} pixels is too small for a U-Net; 8 a side will do"):
            network(image)
