"""Tensors by a closed formula in integers, the same on every machine, and numbers that summarise a tensor."""

from __future__ import annotations

import hashlib
import math
import zlib
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

VERSION = 1
TEXT = (
    "element i (C order) of the tensor NAME is 2 v / p - 1 with v = (48271 (i^2 mod p) + (s mod p) (i + 1)) mod p, "
    "s = CRC-32 of NAME, p = 2^31 - 1; weights of two or more axes are scaled by sqrt(gain * 3 / inputs), vectors are "
    "1 + 0.2 u, biases and running means 0.1 u, running variances 1 + 0.3 u; all in float64, then float32"
)
PRIME = 2**31 - 1
FIXED_PARAMETERS = ("pos_embed", "rotary_emb.freqs")
FILLED_BUFFERS = ("running_mean", "running_var", "embeddings", "z_avg", "N")


def units(name: str, *shape: int) -> Tensor:
    """Numbers between -1 and 1, float32, which follow from the name and the index alone."""
    return torch.from_numpy(_units(name, shape)).float()


def noise(name: str, *shape: int) -> Tensor:
    """The same with variance 1, float32."""
    return torch.from_numpy(_units(name, shape) * math.sqrt(3)).float()


def integers(name: str, below: int, *shape: int) -> Tensor:
    """Integers from 0 to ``below`` - 1, int64."""
    return torch.from_numpy(((_units(name, shape) + 1) / 2 * below).astype(np.int64).clip(0, below - 1))


def _units(name: str, shape: tuple[int, ...]) -> np.ndarray:
    i = np.arange(math.prod(shape), dtype=np.int64)
    mixed = (i * i % PRIME * 48271 + zlib.crc32(name.encode()) % PRIME * (i + 1)) % PRIME
    return (2.0 * mixed / PRIME - 1.0).reshape(shape)


def fill(network: nn.Module, gain: float = 2.0) -> str:
    """Fill weights and statistics of a network by the formula; what follows from its sizes alone stays as it is.

    Returns:
        SHA-256 of the filled tensors' bytes.
    """
    parameters = {name for name, _ in network.named_parameters() if not name.endswith(FIXED_PARAMETERS)}
    digest = hashlib.sha256()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            last = name.rpartition(".")[2]
            if name in parameters or last in FILLED_BUFFERS:
                tensor.copy_(torch.from_numpy(_values(name, last, tuple(tensor.shape), gain)))
                digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _values(name: str, last: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    u = _units(name, shape)
    if last in ("embeddings", "z_avg"):
        return u
    if last in ("N", "running_var"):
        return 1 + 0.3 * u
    if len(shape) > 1:
        return u * math.sqrt(gain * 3 / math.prod(shape[1:]))
    return 0.1 * u if last in ("bias", "running_mean") else 1 + 0.2 * u


def summary(tensor: Tensor) -> dict[str, Any]:
    """Shape, mean, root mean square, two projections and sixteen values of a tensor; of integers, their hash."""
    if not tensor.is_floating_point():
        return {"shape": list(tensor.shape), "sha256": sha256(tensor.to(torch.int64).contiguous().numpy())}
    flat = tensor.detach().double().flatten()
    size = flat.numel()
    shown = flat[torch.linspace(0, size - 1, min(size, 16), dtype=torch.float64).round().long()]
    projections = [float(flat @ torch.from_numpy(_units(f"projection {k}", (size,)))) / math.sqrt(size) for k in (0, 1)]
    numbers = {"mean": [float(flat.mean())], "rms": [float(flat.square().mean().sqrt())]}
    numbers |= {"projections": projections, "values": shown.tolist()}
    return {"shape": list(tensor.shape)} | {key: [float(f"{x:.8g}") for x in each] for key, each in numbers.items()}


def largest_difference(found: dict[str, Any], expected: dict[str, Any]) -> float:
    """The largest difference of two summaries, of numbers above 1 relative to them.

    Returns:
        Infinity for other shapes or other integers.
    """
    if found.keys() != expected.keys() or found["shape"] != expected["shape"]:
        return math.inf
    if "sha256" in found:
        return 0.0 if found == expected else math.inf
    return max(_difference(np.array(found[key]), np.array(expected[key])) for key in found if key != "shape")


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    return float((np.abs(found - expected) / np.maximum(np.abs(expected), 1)).max())


def sha256(array: np.ndarray) -> str:
    """SHA-256 of an array's bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
