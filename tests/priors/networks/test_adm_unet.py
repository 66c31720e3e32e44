"""The ADM network: the released layouts, recorded outputs, conditions, and what it refuses."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from priors.diffusion.image_prior import EpsilonModel
from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.adm_blocks import AttentionBlock, sinusoids
from priors.networks.adm_config import ADMConfig
from priors.networks.adm_unet import ADMUNet, condition_repeats
from priors.training.activation import checkpoint_activations

SMALL: dict[str, Any] = {"width": 32, "multipliers": (1, 1), "attention": (2,), "head_width": 16}


def drawn(config: ADMConfig) -> ADMUNet:
    """A network without the zeros that it starts with."""
    torch.manual_seed(0)
    network = ADMUNet(config).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return network


@pytest.mark.parametrize(
    ("name", "config", "count"),
    [
        ("dds_AAPM256", ADMConfig.dds_ct(), 374_022_658),
        ("dds_fastmri_knee_320_complex", ADMConfig.dds_mri(), 361_428_228),
        ("dolce_model512", ADMConfig.dolce(), 273_656_130),
    ],
)
def test_layouts_are_the_released_ones(shared: Path, name: str, config: ADMConfig, count: int) -> None:
    layout = json.loads((shared / "fixtures" / "baselines" / f"{name}_state_dict_layout.json").read_text())
    with torch.device("meta"):
        state = ADMUNet(config).state_dict()
    assert [[key, list(tensor.shape)] for key, tensor in state.items()] == layout
    assert sum(tensor.numel() for tensor in state.values()) == count


def test_the_output_is_the_recorded_one(shared: Path) -> None:
    known = load_file(shared / "fixtures" / "baselines" / "adm_unet_tiny.safetensors")
    config = ADMConfig(channels=2, in_channels=2, width=32, multipliers=(1, 2), attention=(2,), head_width=16)
    network = ADMUNet(config).eval()
    weights = {key.removeprefix("w."): value.float() for key, value in known.items() if key.startswith("w.")}
    network.load_state_dict(weights, strict=True)
    with torch.no_grad():
        output = network(known["in.x"], known["in.t"])
        noise, fraction = network.estimate(known["in.x"], known["in.t"])
    torch.testing.assert_close(output, known["out.y"], rtol=0, atol=5e-5)
    assert fraction is not None
    torch.testing.assert_close(torch.cat([noise, fraction], dim=1), output)


def test_the_steps_embedding() -> None:
    embedding = sinusoids(torch.tensor([0, 3]), 4)
    torch.testing.assert_close(embedding[0], torch.tensor([1.0, 1.0, 0.0, 0.0]))
    expected = torch.tensor([3.0, 0.03, 3.0, 0.03])
    torch.testing.assert_close(embedding[1], torch.cat([expected[:2].cos(), expected[2:].sin()]))


def test_dolces_middle_adds_the_step_to_what_attention_gathers() -> None:
    """With equal pixels attention gathers the value, so that the whole block is known."""
    torch.manual_seed(0)
    block = AttentionBlock(64, 4, embedding=8)
    torch.nn.init.normal_(block.proj_out.weight, std=0.1)
    x, embedding = torch.randn(1, 64, 1, 1).expand(1, 64, 4, 6), torch.randn(1, 8)
    assert block.emb_layers is not None
    value = block.qkv(block.norm(x).flatten(2)).unflatten(1, (4, 3, 16))[:, :, 2].flatten(1, 2)
    expected = x + block.proj_out(value + block.emb_layers(embedding)[..., None]).view_as(x)
    torch.testing.assert_close(block(x, embedding), expected, rtol=0, atol=1e-5)


def test_heads_are_equally_wide_or_equally_many() -> None:
    wide, many = ADMConfig(**SMALL), ADMConfig(**SMALL, heads=4)
    assert [config.attention_heads(channels) for config in (wide, many) for channels in (32, 64)] == [2, 4, 4, 4]
    assert ADMConfig.dds_ct().attention_heads(1024) == 16
    assert ADMConfig.dolce().attention_heads(256) == ADMConfig.dolce().attention_heads(512) == 4
    network, other = drawn(wide), drawn(many)
    x, t = torch.randn(1, 1, 8, 8), torch.tensor([9])
    with torch.no_grad():
        assert not torch.allclose(network(x, t), other(x, t), atol=1e-4)


def test_it_depends_on_the_step_and_not_on_the_rest_of_the_batch() -> None:
    network = drawn(ADMConfig(**SMALL))
    x, t = torch.randn(3, 1, 8, 12), torch.tensor([0, 500, 999])
    with torch.no_grad():
        together = network(x, t)
        for place in range(3):
            torch.testing.assert_close(network(x[place : place + 1], t[place : place + 1])[0], together[place])
        assert not torch.allclose(network(x, t.flip(0))[0], together[0], atol=1e-3)


def test_at_first_there_is_no_noise() -> None:
    network = ADMUNet(ADMConfig(**SMALL))
    assert not network(torch.randn(1, 1, 4, 4), torch.tensor([5])).any()


def test_a_condition_is_given_as_often_as_there_is_room() -> None:
    network = drawn(ADMConfig(in_channels=3, **SMALL))
    x, condition, t = torch.randn(2, 1, 4, 4), torch.randn(2, 1, 4, 4), torch.tensor([1, 2])
    with torch.no_grad():
        noise, fraction = network.estimate(x, t, condition)
        direct = network(torch.cat([x, condition, condition], dim=1), t)
    assert fraction is not None
    assert torch.equal(torch.cat([noise, fraction], dim=1), direct)
    both = torch.cat([condition, x], dim=1)
    with torch.no_grad():
        assert torch.equal(network.estimate(x, t, both)[0], network(torch.cat([x, both], dim=1), t)[:, :1])


@pytest.mark.parametrize(("room", "conditions"), [(0, 1), (2, 0), (2, 3), (3, 2)])
def test_conditions_that_do_not_fit(room: int, conditions: int) -> None:
    with pytest.raises(ValueError, match=f"condition of {conditions} channels, where the network takes {room}"):
        condition_repeats(ADMConfig(in_channels=1 + room, **SMALL), conditions)


def test_without_learned_variance() -> None:
    network = drawn(ADMConfig(learn_sigma=False, **SMALL))
    x = torch.randn(1, 1, 4, 4)
    noise, fraction = network.estimate(x, torch.tensor([3]))
    assert noise.shape == x.shape
    assert fraction is None
    with pytest.raises(ValueError, match="learned no variance"):
        EpsilonModel(network, GaussianDiffusion(10)).variance_fraction(x, 3)


@pytest.mark.parametrize("step", [7, torch.tensor(7), torch.full((5,), 7)])
def test_an_image_prior_goes_through_images_in_batches(step: int | Tensor) -> None:
    network = drawn(ADMConfig(in_channels=2, **SMALL))
    x, condition = torch.randn(5, 1, 4, 4), torch.randn(5, 1, 4, 4)
    model = EpsilonModel(network, GaussianDiffusion(10), batch=2)
    noise, fraction = network.estimate(x, torch.full((5,), 7), condition)
    torch.testing.assert_close(model.eps(x, step, condition), noise)
    torch.testing.assert_close(model.variance_fraction(x, step, condition), fraction)
    assert not model.eps(x, step, condition).requires_grad
    with pytest.raises(ValueError, match="at least 1"):
        EpsilonModel(network, model.diffusion, batch=0)


def test_an_image_prior_in_half_precision_tells_about_the_same_noise_in_full() -> None:
    network = drawn(ADMConfig(in_channels=2, **SMALL))
    x, condition = torch.randn(5, 1, 4, 4), torch.randn(5, 1, 4, 4)
    half = EpsilonModel(network, GaussianDiffusion(10), precision=torch.bfloat16).eps(x, 7, condition)
    full = EpsilonModel(network, GaussianDiffusion(10)).eps(x, 7, condition)
    assert half.dtype == torch.float32
    assert not torch.equal(half, full)
    torch.testing.assert_close(half, full, rtol=0, atol=0.05 * float(full.abs().max()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype) -> None:
    network = drawn(ADMConfig(**(SMALL | {"timed_middle": True})))
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([3, 900])
    with torch.no_grad():
        expected = network(x, t)
        with torch.autocast("cpu", dtype):
            mixed = network(x, t)
        half = network.to(dtype)(x.to(dtype), t)
    scale = float(expected.abs().max())
    for output in (mixed, half):
        torch.testing.assert_close(output.float(), expected, rtol=0, atol=0.05 * scale)


def test_sizes_that_it_cannot_take() -> None:
    network = ADMUNet(ADMConfig(**(SMALL | {"multipliers": (1, 1, 1), "attention": ()})))
    with pytest.raises(ValueError, match=r"10 .*no multiple of 4; 8 or 12"):
        network(torch.zeros(1, 1, 8, 10), torch.tensor([0]))


def test_checkpointed_activations_change_no_gradient() -> None:
    plain = drawn(ADMConfig(**(SMALL | {"timed_middle": True})))
    changed = deepcopy(plain)
    assert checkpoint_activations(changed) == 4 + 1 + 4
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([3, 700])
    for network in (plain, changed):
        network(x, t).square().mean().backward()
    for ours, theirs in zip(changed.parameters(), plain.parameters(), strict=True):
        assert ours.grad is not None
        torch.testing.assert_close(ours.grad, theirs.grad)


@settings(deadline=None, max_examples=25)
@given(
    multipliers=st.lists(st.sampled_from((0.5, 1, 1.5, 2)), min_size=1, max_size=5),
    blocks=st.integers(1, 2),
    extra=st.integers(0, 2),
    channels=st.integers(1, 2),
    room=st.integers(0, 2),
    data=st.data(),
)
def test_every_configuration_can_be_built_and_comes_back(
    multipliers: list[float], blocks: int, extra: int, channels: int, room: int, data: st.DataObject
) -> None:
    factors = [2**level for level in range(len(multipliers))]
    config = ADMConfig(
        channels=channels,
        in_channels=channels + room,
        width=64,
        multipliers=tuple(multipliers),
        blocks=blocks,
        extra_blocks=extra,
        attention=tuple(data.draw(st.lists(st.sampled_from(factors), unique=True))),
        head_width=32,
        heads=data.draw(st.sampled_from((0, 4))),
        learn_sigma=data.draw(st.booleans()),
        timed_middle=data.draw(st.booleans()),
    )
    assert ADMConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with torch.device("meta"):
        x = torch.zeros(2, config.in_channels, config.size_multiple, 2 * config.size_multiple)
        output = ADMUNet(config)(x, torch.zeros(2))
    assert output.shape == (2, config.out_channels, *x.shape[2:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks": 0}, "blocks is 0"),
        ({"channels": 2}, "in_channels 1 must be channels 2 or more"),
        ({"extra_blocks": -1}, "extra_blocks -1"),
        ({"heads": -1}, "heads -1"),
        ({"heads": 3}, "heads 3 does not divide 32"),
        ({"dropout": 1.0}, "dropout 1.0"),
        ({"multipliers": ()}, "multipliers"),
        ({"multipliers": (1, 0.5)}, "32 x 0.5 is 16 channels; each must be a multiple of 32"),
        ({"attention": (4,)}, "attention at factor 4; the levels have 1, 2"),
        ({"head_width": 24}, "head_width 24 does not divide 32"),
    ],
)
def test_sizes_that_do_not_fit_each_other(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ADMConfig(**(SMALL | change))


def test_settings_are_read_strictly() -> None:
    values = ADMConfig(**SMALL).to_dict()
    with pytest.raises(ValueError, match="unknown or missing: blobs"):
        ADMConfig.from_dict(values | {"blobs": 4})
    with pytest.raises(ValueError, match="width is '32'"):
        ADMConfig.from_dict(values | {"width": "32"})
