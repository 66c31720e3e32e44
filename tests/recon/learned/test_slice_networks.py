"""Networks of slices on volumes."""

from __future__ import annotations

import pytest
import torch

from priors.networks.unet2d import UNet2D, UNetConfig
from recon.errors import InputError
from recon.learned.slice_networks import run_slices


def test_an_image_too_small_for_the_network_is_one_line() -> None:
    network = UNet2D(UNetConfig(in_channels=1, chans=2, pool_layers=4)).eval()
    with pytest.raises(InputError, match="`method`: image of 16 x 16 pixels is too small for a U-Net"):
        run_slices(network, torch.zeros(1, 2, 16, 16))
    assert run_slices(network, torch.zeros(1, 2, 32, 32)).shape == (2, 32, 32)
