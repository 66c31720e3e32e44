"""The hash that tells one network's tensors from another's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor


def tensors_sha256(state: Mapping[str, Tensor]) -> str:
    """Hash of the names, types, shapes and bytes of tensors, sorted by name; it does not depend on a file."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode() + b"\n")
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
