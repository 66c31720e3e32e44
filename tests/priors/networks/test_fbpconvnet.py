"""FBPConvNet: the published size, and the outputs of the PyTorch port."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from parity.baselines import recorded_weights
from torch import Tensor
from torch.nn import functional

from priors.networks.fbpconvnet import FBPConvNet, FBPConvNetConfig, Upsample
from priors.networks.padding import pad_to_multiple


@pytest.fixture(scope="module")
def recorded(shared: Path) -> dict[str, Tensor]:
    with np.load(shared / "fixtures/baselines/fbpconvnet.npz", allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope="module")
def port(shared: Path) -> FBPConvNet:
    """The published sizes with the weights of the recorded run, which follow from a formula."""
    description = json.loads((shared / "fixtures/baselines/fbpconvnet.json").read_text())
    network = FBPConvNet(FBPConvNetConfig())
    state = network.state_dict()
    assert [[name, list(tensor.shape)] for name, tensor in state.items()] == description["state_dict_layout"]
    filled = {name: recorded_weights(index, name, tensor) for index, (name, tensor) in enumerate(state.items())}
    network.load_state_dict(filled)
    return network


def test_the_published_network_has_its_size():
    with torch.device("meta"):
        network = FBPConvNet(FBPConvNetConfig())
    assert sum(parameter.numel() for parameter in network.parameters()) == 34_562_945
    assert len(network.state_dict()) == 163


@torch.no_grad()
def test_outputs_are_those_of_the_port(port, recorded):
    assert torch.allclose(port.eval()(recorded["x"]), recorded["y_eval"], rtol=0, atol=5e-5)


@torch.no_grad()
def test_the_statistics_of_the_batch_can_be_used_in_evaluation(port, recorded):
    port.eval().use_batch_statistics(True)
    try:
        kept = {name: tensor.clone() for name, tensor in port.state_dict().items()}
        answer = port(recorded["x"])
        # Rounding is amplified ten million times in this recording, so only a processor like the recorder's meets it;
        # what the last bit of the input changes says how near another one can come.
        doubt = max((port(recorded["x"] * (1 + bits * 1e-7)) - answer).abs().max() for bits in (-2, -1, 1, 2))
        assert (answer - recorded["y_train_batchstats"]).abs().max() < max(5e-5, 4 * float(doubt))
        trained = copy.deepcopy(port).train()
        trained.use_batch_statistics(False)
        assert torch.equal(answer, trained(recorded["x"])), "those of training"
        assert all(torch.equal(kept[name], tensor) for name, tensor in port.state_dict().items()), "and none are kept"
    finally:
        port.use_batch_statistics(False)


def test_wrong_sizes_name_the_nearest_and_padding_helps():
    network = FBPConvNet(FBPConvNetConfig(width=4, levels=3)).eval()
    image = torch.rand(2, 1, 30, 41)
    with pytest.raises(ValueError, match="28 or 32"):
        network(image)
    padded, inside = pad_to_multiple(image, network.config.size_multiple)
    assert network(padded)[..., *inside].shape == image.shape


def test_the_residual_is_small_before_training():
    image = torch.rand(1, 1, 32, 32)
    network = FBPConvNet(FBPConvNetConfig(width=8, levels=3)).eval().requires_grad_(False)
    assert float((network(image) - image).abs().max()) < 0.05


def slice_of(batch: Tensor, network: FBPConvNet) -> Tensor:
    """What becomes of the first slice in a batch, less what becomes of it alone."""
    return network(batch)[:1] - network(batch[:1])


def test_a_slice_is_independent_of_its_batch_unless_told_otherwise():
    torch.manual_seed(0)
    batch = torch.rand(2, 1, 16, 16)
    torch.manual_seed(1)
    kept = FBPConvNet(FBPConvNetConfig(width=8, levels=3)).eval().requires_grad_(False)
    legacy = FBPConvNet(FBPConvNetConfig(width=8, levels=3, legacy=True)).eval().requires_grad_(False)
    legacy.load_state_dict(kept.state_dict())
    assert torch.allclose(slice_of(batch, kept), torch.zeros(()), atol=1e-6)
    assert float(slice_of(batch, legacy).abs().max()) > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("drop_last", [True, False])
def test_upsampling_drops_the_last_or_the_first_row_and_column(drop_last):
    """Of the whole transposed convolution, which has 2n + 1 of them."""
    layer = Upsample(4, drop_last)
    image = torch.randn(2, 4, 5, 7)
    whole = functional.conv_transpose2d(image, layer.weight, layer.bias, stride=2)
    assert whole.shape == (2, 2, 11, 15)
    kept = whole[..., :-1, :-1] if drop_last else whole[..., 1:, 1:]
    assert torch.allclose(layer(image), kept, atol=1e-6)


def test_training_keeps_statistics_and_reaches_every_parameter():
    network = FBPConvNet(FBPConvNetConfig(width=4, levels=3, legacy=True)).train()
    before = network.block_1_1[1].running_mean.clone()
    network(torch.rand(2, 1, 16, 16)).square().mean().backward()
    assert not torch.equal(network.block_1_1[1].running_mean, before), "for the evaluation that uses them"
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("change", [{"width": 0}, {"levels": 0}, {"levels": 1}, {"legacy": 1}, {"other": 2}])
def test_wrong_settings_are_refused(change):
    with pytest.raises(ValueError, match="FBPConvNet"):
        FBPConvNetConfig.from_dict(FBPConvNetConfig().to_dict() | change)
