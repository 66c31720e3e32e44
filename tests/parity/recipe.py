"""Weights of the official recordings of generators, which follow from each tensor's name and a seed."""

from __future__ import annotations

import math
import zlib

import numpy as np
import torch
from torch import Tensor, nn


def fill_by_recipe(network: nn.Module, seed: int, gain: float = 1.0) -> None:
    """Give a network the weights of a recording; integer buffers and rotary frequencies keep their values.

    A parameter of several names takes the value of the first of them.
    """
    state = network.state_dict()
    first: dict[int, str] = {}
    for name, tensor in network.named_parameters(remove_duplicate=False):
        first.setdefault(id(tensor), name)
    own = {name: first[id(tensor)] for name, tensor in network.named_parameters(remove_duplicate=False)}
    with torch.no_grad():
        for name, tensor in state.items():
            if tensor.is_floating_point() and not name.endswith("rotary_emb.freqs"):
                tensor.copy_(_values(own.get(name, name), tuple(tensor.shape), seed, gain))


def _values(name: str, shape: tuple[int, ...], seed: int, gain: float) -> Tensor:
    n = np.random.RandomState((zlib.crc32(name.encode()) ^ seed) & 0xFFFFFFFF).standard_normal(shape)
    if len(shape) >= 2 and "gamma" not in name:
        n = gain * n / math.sqrt(math.prod(shape[1:]))
    elif "running_var" in name:
        n = 1 + 0.1 * np.abs(n)
    elif name.endswith("weight") or "gamma" in name:
        n = 1 + 0.1 * n
    else:
        n = 0.1 * n
    return torch.from_numpy(np.asarray(n)).float()
