"""WDM's networks: the wavelet transform, the published sizes, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from priors.networks.settings import MOST_BLOCKS
from priors.networks.wdm.blocks import Float32GroupNorm
from priors.networks.wdm.config import WDMConfig
from priors.networks.wdm.haar import (
    from_coefficients,
    from_haar_bands,
    haar_bands,
    to_coefficients,
    white_coefficients,
)
from priors.networks.wdm.make import make_wdm
from priors.networks.wdm.unet import WDMUNet
from priors.networks.wdm.wavunet import WDMWavUNet

SMALL: dict[str, Any] = {"width": 8, "multipliers": (1, 2), "norm_groups": 4}


def volume(*size: int) -> Tensor:
    return torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [(4, 6, 8), (16, 4, 2), (2, 2, 2)])
def test_the_transform_is_orthonormal_also_where_the_first_axis_is_the_longest(size: tuple[int, int, int]) -> None:
    x = volume(*size)
    bands = haar_bands(x)
    assert [band.shape for band in bands] == [(2, 1, *(edge // 2 for edge in size))] * 8
    torch.testing.assert_close(from_haar_bands(bands), x)
    torch.testing.assert_close(white_coefficients(x).square().sum(), x.square().sum())
    torch.testing.assert_close(from_coefficients(to_coefficients(x)), x)


def test_the_lowest_band_of_a_constant_and_the_order_of_the_others() -> None:
    low, *high = haar_bands(torch.ones(1, 1, 4, 4, 4))
    torch.testing.assert_close(low, torch.full_like(low, 2 * math.sqrt(2)))
    assert not any(band.any() for band in high)
    torch.testing.assert_close(to_coefficients(torch.ones(1, 1, 4, 4, 4))[:, 0], low[:, 0] / 3)
    alternating = torch.tensor([1.0, -1.0]).repeat(2)
    for axis, place in ((2, 4), (3, 2), (4, 1)):
        x = torch.ones(1, 1, 4, 4, 4) * alternating.view([-1 if each == axis else 1 for each in range(5)])
        assert [bool(band.any()) for band in haar_bands(x)] == [number == place for number in range(8)]


def test_odd_edges_have_no_transform() -> None:
    with pytest.raises(ValueError, match="X is 5 voxels, which is no multiple of 2; 4 or 6 would do"):
        haar_bands(torch.zeros(1, 1, 4, 5, 4))


@pytest.mark.parametrize(
    ("form", "edge", "count"),
    [("unet", 128, 57_914_824), ("unet", 256, 83_158_728), ("wavunet", 128, 89_706_056), ("wavunet", 256, 125_499_720)],
)
def test_the_published_networks_have_their_number_of_parameters(form: Any, edge: int, count: int) -> None:
    with torch.device("meta"):
        network = make_wdm(WDMConfig.published(edge, form))
    assert sum(parameter.numel() for parameter in network.parameters()) == count
    assert isinstance(network, WDMUNet if form == "unet" else WDMWavUNet)


@pytest.mark.parametrize(("form", "size"), [("unet", (4, 8, 12)), ("wavunet", (8, 16, 8))])
def test_estimates_have_the_shape_of_the_coefficients_and_are_zero_at_first(form: Any, size: Any) -> None:
    network = make_wdm(WDMConfig(form, **SMALL))
    x = to_coefficients(volume(*size))
    assert not network(x, torch.tensor([0, 999])).any()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    one, other = (network(x, torch.tensor([t, t])) for t in (3, 900))
    assert one.shape == x.shape
    assert not torch.allclose(one, other)


@pytest.mark.parametrize(("form", "multiple"), [("unet", 4), ("wavunet", 8)])
def test_sizes_that_do_not_fit_are_refused_in_voxels_of_the_volume(form: Any, multiple: int) -> None:
    config = WDMConfig(form, **SMALL)
    assert config.size_multiple == multiple
    with pytest.raises(ValueError, match=f"Z is 2 voxels, which is no multiple of {multiple}; {multiple} would do"):
        make_wdm(config)(torch.zeros(1, 8, 1, 8, 8), torch.tensor([0]))


def test_the_wavunet_shares_one_block_of_each_level_between_two_stages() -> None:
    network = make_wdm(WDMConfig("wavunet", **SMALL))
    for first, second in ((1, 2), (4, 5)):
        assert network.output_blocks[first][0] is network.output_blocks[second][0]  # type: ignore[index]


def test_norms_are_computed_in_float32() -> None:
    x = 1000 + torch.randn(1, 8, 4, 4, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    norm = Float32GroupNorm(2, 8)
    found = norm(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, nn.GroupNorm(2, 8)(x.float()).bfloat16())


def test_settings_survive_as_plain_values() -> None:
    config = WDMConfig("wavunet", **SMALL)
    assert WDMConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 12}, "width 12 must be even and a multiple of norm_groups 32"),
        ({"multipliers": (2, 4)}, "must begin with 1"),
        ({"multipliers": ()}, "levels is 0"),
        ({"multipliers": (1,) * (MOST_BLOCKS + 1)}, "at most"),
        ({"blocks": 0}, "blocks is 0"),
        ({"form": "wavunet", "blocks": 1}, "a wavunet needs 2 or more"),
        ({"dropout": 1.0}, "dropout 1.0"),
    ],
)
def test_settings_of_which_nothing_can_be_built(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WDMConfig(**values)
