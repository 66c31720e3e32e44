"""Table I: memory of volume-wise training, with and without gradients of the encoder.

"Naive" keeps activations of the whole autoencoder for the backward pass, "efficient" (the paper's stage 2) those of the
joint decoder alone, since encoder and codebook are frozen and the codes are cached. What is kept is counted tensor by
tensor without computing anything; on a GPU one optimiser step is measured as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from priors.networks.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder

Strategy = Literal["naive", "efficient"]
STRATEGIES: tuple[Strategy, ...] = ("naive", "efficient")
SIZES = (64, 128, 192, 256)
GPU_BYTES = 80e9
"""Of the paper's GPU."""

Row = dict[str, str | float | None]


@dataclass(frozen=True)
class Needed:
    """Bytes of one training step: what every image adds, and what does not depend on the batch."""

    per_image: float
    fixed: float

    def total(self, batch: int = 1) -> float:
        """Bytes of a step with ``batch`` images."""
        return self.fixed + batch * self.per_image

    @property
    def largest_batch(self) -> int:
        """Images that fit beside one another; 0 where one is too many."""
        return max(0, int((GPU_BYTES - self.fixed) // self.per_image))


def run(device: str = "cpu", config: AutoencoderConfig | None = None, sizes: tuple[int, ...] = SIZES) -> list[Row]:
    """One row a size: GB and largest batch of both strategies, float32, without discriminator and perceptual network.

    Args:
        device: ``cuda`` also measures one step, ``naive_measured_gb`` and ``efficient_measured_gb``; None where it does
            not fit.
        config: the configuration of the autoencoder; the released 4x one by default.
        sizes: edges of the volumes in voxels.
    """
    config = config or AutoencoderConfig()
    rows = []
    for size in sizes:
        row: Row = {"name": f"{size} x {size} x {size}", "size": float(size)}
        for strategy in STRATEGIES:
            needed = count(config, size, strategy)
            row[f"{strategy}_gb"] = needed.total() / 1e9
            row[f"{strategy}_batch"] = float(needed.largest_batch)
            if device != "cpu":
                row[f"{strategy}_measured_gb"] = measure(config, size, strategy, device)
        rows.append(row)
    return rows


def count(config: AutoencoderConfig, size: int, strategy: Strategy) -> Needed:
    """Bytes that one step keeps: activations for the backward pass; weights, gradients and Adam's two moments."""
    with FakeTensorMode():  # shapes, but no memory and no arithmetic; unlike "meta", with a real device's kernels
        network = PatchVolumeAutoencoder(config)
        kept = kept_bytes(_step(network, size, strategy))
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in network.parameters()) - trained
    return Needed(kept + 4 * size**3 * config.image_channels, 4.0 * (4 * trained + frozen))


def measure(config: AutoencoderConfig, size: int, strategy: Strategy, device: str) -> float | None:
    """Most GB that torch held on a GPU during one optimiser step; None where it does not fit."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    try:
        with torch.device(device):
            network = PatchVolumeAutoencoder(config)
            loss = _step(network, size, strategy)
        optimizer = torch.optim.Adam(p for p in network.parameters() if p.requires_grad)
        loss().backward()
        optimizer.step()
    except torch.OutOfMemoryError:
        return None
    return torch.cuda.max_memory_allocated(device) / 1e9


def _step(network: PatchVolumeAutoencoder, size: int, strategy: Strategy) -> Callable[[], Tensor]:
    """A function that computes the loss of one image; freezes what the strategy freezes."""
    config = network.config
    target = torch.zeros(1, config.image_channels, size, size, size)
    if strategy == "naive":
        patch = min(config.patch, size)
        return lambda: _distance(network.decode_embeddings(network.patch_encode(target, patch, batch=1)), target)
    for part in (network.encoder, network.pre_vq_conv):
        part.requires_grad_(False)
    coarse = size // config.compression
    codes = torch.zeros(1, config.latent_channels, coarse, coarse, coarse)
    return lambda: _distance(network.decode_embeddings(codes), target)


def _distance(output: Tensor, target: Tensor) -> Tensor:
    return nn.functional.l1_loss(output, target)


def kept_bytes(compute: Callable[[], Tensor]) -> int:
    """Bytes of the tensors that autograd keeps for the backward pass, parameters left out, each counted once."""
    kept: dict[int, tuple[Tensor, int]] = {}  # the tensor is held too, so that no other takes its identity

    def note(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            kept[storage._cdata] = (tensor, storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        compute()
    return sum(size for _, size in kept.values())
