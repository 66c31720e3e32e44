"""Decoding by chunks: the same volume as at once, in less memory."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from priors.networks.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder
from priors.networks.autoencoder_blocks import HEAD_WIDTH, HEADS, AttentionBlock
from priors.networks.chunks import Moments
from priors.networks.streaming import chunk_thickness, free_bytes, stream_decode

EXACT = 1e-4


def network(factor: int, **changes: int) -> PatchVolumeAutoencoder:
    """A small network with random values in every parameter."""
    torch.manual_seed(0)
    small = {"width": 4, "latent_channels": 3, "codes": 16, "norm_groups": 2, "patch": 2 * factor} | changes
    built = PatchVolumeAutoencoder(AutoencoderConfig(downsample=(factor,) * 3, **small)).eval()
    for parameter in built.parameters():
        nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.5)
    return built


NETWORKS = {factor: network(factor) for factor in (2, 4, 8)}
BY_PATCHES = network(4, patch_middle=True)


@given(
    factor=st.sampled_from([2, 4, 8]),
    batch=st.integers(1, 2),
    size=st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 3)),
    planes=st.integers(1, 50),
)
@settings(deadline=None, max_examples=60)
@torch.no_grad()
def test_any_thickness_gives_what_decoding_at_once_gives(
    factor: int, batch: int, size: tuple[int, int, int], planes: int
) -> None:
    decoder = NETWORKS[factor].decoder
    latent = torch.randn(batch, 3, *size)
    torch.testing.assert_close(stream_decode(decoder, latent, planes), decoder(latent), atol=EXACT, rtol=0)


@given(
    cubes=st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 3)),
    batch=st.integers(1, 2),
    planes=st.integers(1, 50),
)
@settings(deadline=None, max_examples=20)
@torch.no_grad()
def test_a_middle_by_patches_gives_the_same_by_chunks(cubes: tuple[int, int, int], batch: int, planes: int) -> None:
    decoder = BY_PATCHES.decoder
    latent, shares = torch.randn(batch, 3, *(2 * edge for edge in cubes)), []
    whole = decoder(latent)
    torch.testing.assert_close(stream_decode(decoder, latent, planes, shares.append), whole, atol=EXACT, rtol=0)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert (shares[0] < 1) == (len(shares) > 1)


@torch.no_grad()
def test_a_middle_by_patches_is_that_of_each_patch_alone() -> None:
    decoder, latent = BY_PATCHES.decoder, torch.randn(1, 3, 4, 4, 2)
    alone = NETWORKS[4].decoder.middle(latent[:, :, 2:, :2])
    torch.testing.assert_close(decoder.middle(latent)[:, :, 2:, :2], alone, atol=EXACT, rtol=0)
    whole = NETWORKS[4].decoder(latent)
    assert not torch.allclose(decoder(latent), whole, atol=EXACT)
    one = latent[:, :, :2, :2]
    torch.testing.assert_close(decoder(one), NETWORKS[4].decoder(one), atol=EXACT, rtol=0)
    with pytest.raises(ValueError, match="Z is 3 voxels, which is no multiple of 2"):
        decoder(latent[:, :, :3])


@torch.no_grad()
def test_attention_to_every_nth_voxel_is_attention_to_those_alone() -> None:
    block = AttentionBlock(8, 2)
    x = torch.randn(1, 8, 3, 4, 4)
    tokens = block.norm(x).flatten(2).transpose(1, 2)
    query, key, value = (
        part.unflatten(2, (HEADS, HEAD_WIDTH)).transpose(1, 2) for part in block.to_qkv(tokens).chunk(3, dim=2)
    )
    weights = (query @ key[:, :, ::4].transpose(2, 3) / HEAD_WIDTH**0.5).softmax(dim=3)
    answer = (weights @ value[:, :, ::4]).transpose(1, 2).flatten(2).transpose(1, 2).reshape(1, -1, 3, 4, 4)
    torch.testing.assert_close(block(x, most_keys=12), x + block.to_out(answer))


@torch.no_grad()
@pytest.mark.parametrize(("most_keys", "exact"), [(5, False), (72, True), (1000, True)])
def test_a_decoding_attends_to_as_many_voxels_as_it_is_told(most_keys: int, exact: bool) -> None:
    decoder = NETWORKS[4].decoder
    latent = torch.randn(1, 3, 8, 3, 3)
    shares: list[float] = []
    few = stream_decode(decoder, latent, 4, shares.append, most_keys)
    error = (few - decoder(latent)).abs()
    assert (float(error.max()) < EXACT) == exact
    assert float(error.mean()) < 0.1 * float(few.std())
    assert shares == sorted(shares)
    assert shares[-1] == 1


@torch.no_grad()
def test_there_is_no_seam() -> None:
    """In float64 chunks and the whole agree to rounding, at the chunks' borders as elsewhere."""
    built = network(4).double()
    latent = torch.randn(1, 3, 8, 3, 3, dtype=torch.double)
    error = (stream_decode(built.decoder, latent, 4) - built.decoder(latent)).abs()
    assert float(error.max()) < 1e-12


@torch.no_grad()
def test_every_plane_depends_on_the_whole_volume() -> None:
    """The last planes of the latent reach the first ones of the volume: through norms and attention."""
    decoder = NETWORKS[4].decoder
    latent = torch.randn(1, 3, 6, 2, 2)
    other = latent.clone()
    other[:, :, -1] += 1
    change = stream_decode(decoder, latent, 2)[:, :, 0] - stream_decode(decoder, other, 2)[:, :, 0]
    assert float(change.abs().max()) > 1e-3


def test_decode_streams_unless_a_gradient_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    built, streamed = NETWORKS[4], []

    def spy(*given: object) -> Tensor:
        streamed.append(True)
        return stream_decode(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("priors.networks.autoencoder.stream_decode", spy)
    indices = torch.randint(16, (1, 3, 2, 2))
    at_once = built.decode(indices)
    assert not streamed
    assert at_once.requires_grad
    with torch.no_grad():
        by_chunks = built.decode(indices, planes=3)
    assert streamed
    assert not by_chunks.requires_grad
    torch.testing.assert_close(by_chunks, at_once.detach(), atol=EXACT, rtol=0)
    frozen = network(4).requires_grad_(False)
    assert not frozen.decode(indices).requires_grad
    assert len(streamed) == 2


@torch.no_grad()
def test_half_precision_is_near_full_precision() -> None:
    built = network(4)
    latent = torch.randn(1, 3, 6, 4, 4)
    exact = built.decoder(latent)
    built.to(torch.bfloat16)
    by_chunks = stream_decode(built.decoder, latent.bfloat16(), 3)
    at_once = built.decoder(latent.bfloat16())
    assert by_chunks.dtype == torch.bfloat16
    error, usual = ((volume.float() - exact).square().mean().sqrt() for volume in (by_chunks, at_once))
    assert error < 1.2 * usual  # no worse than decoding at once


@given(
    thicknesses=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    groups=st.sampled_from([1, 2, 4]),
    offset=st.sampled_from([0.0, 100.0]),
)
@settings(deadline=None, max_examples=30)
def test_moments_of_chunks_are_those_of_the_whole(thicknesses: list[int], groups: int, offset: float) -> None:
    norm = nn.GroupNorm(groups, 4, eps=1e-6)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(2, 4, sum(thicknesses), 5, 6) * torch.rand(sum(thicknesses), 1, 1) + offset
    moments = Moments(len(thicknesses), groups)
    for chunk in x.split(thicknesses, dim=2):
        moments.add(chunk)
    scale, shift = moments.affine(norm)
    exact = norm.double()(x.double())
    # The factor and the summand are rounded to float32 once; a large offset cancels between them.
    torch.testing.assert_close((x * scale + shift).double(), exact, atol=1e-5 if offset == 0 else 2e-3, rtol=0)


def test_progress_rises_to_one() -> None:
    built = NETWORKS[4]
    for planes in (1, 3, 100):
        shares: list[float] = []
        with torch.no_grad():
            built.decode(torch.randint(16, (1, 5, 4, 4)), planes=planes, on_progress=shares.append)
        assert shares == sorted(shares)
        assert len(shares) > 10
        assert 0 < shares[0] < 0.5
        assert shares[-1] == 1


def test_the_attention_shows_progress_and_its_parts_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    block, x, shares = AttentionBlock(8, 2), torch.randn(2, 8, 3, 4, 5), []
    reference = block(x)
    monkeypatch.setattr("priors.networks.autoencoder_blocks.QUERY_ROWS", 25)
    torch.testing.assert_close(block(x, shares.append), reference, atol=1e-6, rtol=0)
    assert shares == [25 / 60, 50 / 60, 1]


@pytest.mark.parametrize("planes", [0, -2])
def test_chunks_without_a_plane_are_refused(planes: int) -> None:
    with pytest.raises(ValueError, match=f"chunks of {planes} planes; at least 1 is needed"), torch.no_grad():
        NETWORKS[4].decode(torch.zeros(1, 2, 2, 2, dtype=torch.long), planes=planes)


def test_the_thickness_follows_the_memory_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cpu")
    assert free_bytes(device) > 1 << 20
    for free, planes in [(0, 1), (16 * 8 * 1000 * 5, 5), (1 << 60, (1 << 29) // 8000)]:
        monkeypatch.setattr("priors.networks.streaming.free_bytes", lambda device, free=free: free)
        assert chunk_thickness(1000, device) == planes
    assert chunk_thickness(1000, torch.device("cuda")) > planes  # a GPU wants more at a time


PEAK = """
import resource, sys, torch
from priors.networks.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder
torch.set_num_threads(1)
network = PatchVolumeAutoencoder(AutoencoderConfig(width=16, norm_groups=8, downsample=(8, 8, 8), codes=16)).eval()
codes = torch.randn(1, 8, 16, 8, 8)
unit = 1 if sys.platform == "darwin" else 1024
with torch.no_grad():
    network.decode(codes[..., :1, :1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    network.decode(codes, planes=1)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit)
"""


def test_the_peak_is_about_one_input_of_the_finest_level() -> None:
    """128 x 64 x 64 voxels in a process of its own; decoding at once adds three and a half times that input."""
    finest = 2 * 16 * 128 * 64 * 64 * 4  # the up-sampling keeps the width of the level before
    printed = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True).stdout
    assert int(printed) < 1.7 * finest
