"""LPIPS and the tri-plane loss: the official values, frozen whatever the mode, slices from a given generator."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from priors.networks.perceptual import LPIPS, TriPlanePerceptual, tri_plane_distance, unit_normalise

CLOSE = {"atol": 1e-6, "rtol": 1e-5}  # closer than the suite's 5e-5: the distances are of order 0.003
PREFIX = "perceptual_loss.perceptual_model."


def waves(shape: tuple[int, ...], phase: float) -> torch.Tensor:
    return torch.sin(0.7 * torch.arange(math.prod(shape), dtype=torch.float64) + phase).view(shape)


def formula(shape: tuple[int, ...], phase: float, head: bool) -> torch.Tensor:
    """Weights by a closed formula: of the size that keeps activations of order 1, heads positive."""
    wave = waves(shape, phase)
    if head:
        return (wave.abs() / shape[1]).float()
    scale = 0.05 if len(shape) == 1 else 2 / math.sqrt(math.prod(shape[1:]))
    return (scale * wave).float()


with torch.device("meta"):
    LPIPS_ON_META = LPIPS()  # for tests that only draw slices


@pytest.fixture(scope="module")
def lpips() -> LPIPS:
    network = LPIPS()
    parameters = dict(network.named_parameters())
    state = {
        name: formula(tuple(value.shape), phase, name.startswith("lin"))
        for phase, (name, value) in enumerate(parameters.items(), start=1)
    }
    buffers = {name: value for name, value in network.state_dict().items() if name not in parameters}
    network.load_state_dict(state | buffers)
    return network


@pytest.fixture(scope="module")
def official(shared):
    return load_file(shared / "fixtures/meddiffusion/lpips_triplane.safetensors")


def volumes(seed: int, *size: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(size, generator=generator) * 2 - 1
    return x, x + 0.1 * torch.randn(size, generator=generator)


def test_the_formula_is_that_of_the_recorded_values(shared, lpips):
    rules = json.loads((shared / "fixtures/meddiffusion/lpips_triplane.json").read_text())["k_and_rule"]
    names = [(name, tuple(value.shape)) for name, value in lpips.named_parameters()]
    assert [(name, tuple(shape)) for name, shape, _, _ in rules] == names
    assert [phase for _, _, phase, _ in rules] == list(range(1, len(names) + 1))


@torch.no_grad()
def test_distances_of_slices_match_the_official_ones(lpips, official):
    distances = lpips(official["lpips_slices_a"], official["lpips_slices_b"])
    torch.testing.assert_close(distances, official["lpips_value"], **CLOSE)


@torch.no_grad()
def test_tri_plane_distance_matches_the_official_one(lpips, official):
    indices = [official[f"triplane_idx_{plane}"] for plane in ("xy(axis2)", "xz(axis3)", "yz(axis4)")]
    distance = tri_plane_distance(lpips, official["x"], official["x_recon"], indices)
    torch.testing.assert_close(distance, official["triplane_loss"].squeeze(), **CLOSE)


@pytest.mark.parametrize("release", ["4x", "8x"])
def test_keys_are_those_inside_the_released_autoencoders(shared, release, lpips):
    table = json.loads((shared / f"specs/keys_autoencoder_{release}.json").read_text())
    released = {name.removeprefix(PREFIX): shape for name, (shape, _) in table.items() if name.startswith(PREFIX)}
    assert {name: list(value.shape) for name, value in lpips.state_dict().items()} == released
    assert sum(parameter.numel() for parameter in lpips.parameters()) == 14_716_160


def test_lpips_is_frozen_and_the_same_in_every_mode(lpips):
    parent = nn.ModuleDict({"lpips": lpips})
    first, second = volumes(0, 2, 1, 16, 16)
    parent.eval()
    expected = lpips(first, second)
    parent.train()
    assert torch.equal(lpips(first, second), expected)
    assert not any(parameter.requires_grad for parameter in lpips.parameters())


def test_lpips_is_symmetric_and_zero_for_equal_images(lpips):
    first, second = volumes(1, 2, 1, 16, 20)
    torch.testing.assert_close(lpips(first, second), lpips(second, first))
    assert torch.equal(lpips(first, first), torch.zeros(2, 1, 1, 1))
    assert (lpips(first, second) > 0).all()


def test_one_channel_is_three_equal_ones(lpips):
    first, second = volumes(2, 1, 1, 16, 16)
    grey = lpips(first.expand(-1, 3, -1, -1), second.expand(-1, 3, -1, -1))
    torch.testing.assert_close(grey, lpips(first, second))


def test_gradient_reaches_the_reconstruction_and_follows_the_loss(lpips):
    x, reconstruction = volumes(3, 1, 1, 16, 16, 16)
    reconstruction.requires_grad_()
    distance = TriPlanePerceptual(lpips, fraction=1.0)
    distance(x, reconstruction).backward()
    gradient = reconstruction.grad
    step = 1e-2 * gradient / gradient.norm()
    with torch.no_grad():
        change = distance(x, reconstruction + step) - distance(x, reconstruction - step)
    torch.testing.assert_close(change / 2e-2, gradient.norm(), rtol=0.05, atol=0)


def test_positions_without_features_have_a_finite_gradient():
    features = torch.zeros(1, 3, 2, 2, requires_grad=True)
    unit = unit_normalise(features)
    unit.square().sum().backward()
    assert torch.equal(unit, torch.zeros_like(unit))
    assert torch.isfinite(features.grad).all()


@settings(deadline=None, max_examples=60)
@given(batch=st.integers(1, 4), length=st.integers(1, 70), seed=st.integers(0, 2**31))
def test_a_fifth_of_the_slices_of_the_batch_is_drawn_without_repetition(batch, length, seed):
    indices = TriPlanePerceptual(LPIPS_ON_META).draw(batch, length, torch.Generator().manual_seed(seed))
    assert len(indices) == max(1, batch * length // 5)
    assert len(set(indices.tolist())) == len(indices)
    assert 0 <= int(indices.min()) <= int(indices.max()) < batch * length


@settings(deadline=None, max_examples=30)
@given(batch=st.integers(1, 4), length=st.integers(1, 70), seed=st.integers(0, 2**31))
def test_the_paper_takes_one_slice_of_every_volume(batch, length, seed):
    planes = TriPlanePerceptual(LPIPS_ON_META, fraction=None)
    indices = planes.draw(batch, length, torch.Generator().manual_seed(seed))
    assert (indices // length).tolist() == list(range(batch))


def test_slices_come_from_the_generator(lpips):
    x, reconstruction = volumes(4, 1, 1, 16, 18, 20)
    planes = TriPlanePerceptual(lpips)

    def distance(seed: int) -> float:
        with torch.no_grad():
            return planes(x, reconstruction, torch.Generator().manual_seed(seed)).item()

    assert distance(7) == distance(7)
    assert len({distance(seed) for seed in range(3)}) == 3


@torch.no_grad()
def test_slices_are_counted_through_the_batch(lpips):
    x, reconstruction = volumes(5, 2, 1, 16, 17, 18)
    chosen = [torch.tensor([16 + 3]), torch.tensor([5]), torch.tensor([18 + 7])]
    slices = [(1, slice(None), 3), (0, slice(None), slice(None), 5), (1, ..., 7)]
    expected = sum(lpips(x[where][None], reconstruction[where][None]).squeeze() for where in slices)
    torch.testing.assert_close(tri_plane_distance(lpips, x, reconstruction, chosen), expected)


def saved_megabytes(function) -> float:
    """What the backward pass will need, without what is a parameter anyway."""
    tensors: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, nn.Parameter):
            tensors[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        function()
    return sum(tensors.values()) / 1e6


def test_pieces_of_many_slices_change_memory_only(lpips, monkeypatch):
    x, reconstruction = volumes(8, 1, 1, 20, 32, 32)
    reconstruction.requires_grad_()
    chosen = [torch.arange(10), torch.arange(7), torch.arange(5)]

    def distance() -> torch.Tensor:
        return tri_plane_distance(lpips, x, reconstruction, chosen)

    whole, memory = distance(), saved_megabytes(distance)
    (gradient,) = torch.autograd.grad(whole, reconstruction)
    monkeypatch.setattr("priors.networks.perceptual.PIXELS_AT_ONCE", 3 * 32 * 32)
    pieces = distance()
    torch.testing.assert_close(pieces, whole)
    torch.testing.assert_close(torch.autograd.grad(pieces, reconstruction)[0], gradient)
    assert saved_megabytes(distance) < memory / 50


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1])
def test_an_impossible_fraction_is_refused(lpips, fraction):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        TriPlanePerceptual(lpips, fraction)


def test_slices_too_small_for_the_network_are_refused(lpips):
    with pytest.raises(ValueError, match="8 x 16 pixels; the perceptual network needs 16 or more"):
        lpips(torch.zeros(1, 1, 8, 16), torch.zeros(1, 1, 8, 16))
