"""One network of which the official outputs are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

Outputs = dict[str, Tensor]


@dataclass(frozen=True)
class Computed:
    """What a network filled by the formula computes.

    Attributes:
        network: the class of the network.
        config: the configuration of the network.
        weights_sha256: the hash of its weights.
        outputs: the outputs by name.
    """

    network: str
    config: dict[str, Any]
    weights_sha256: str
    outputs: Outputs


@dataclass(frozen=True)
class Case:
    """A network with its official recording.

    Attributes:
        recording: the official recording, relative to the folder of fixtures, without its suffix.
        tolerance: the largest difference that rounding may make, absolute.
        compute: fills the network and runs it.
        deviation: the largest difference between the same network with the official weights and the recording.
    """

    recording: str
    tolerance: float
    compute: Callable[[], Computed]
    deviation: Callable[[Path], float]


def class_name(network: object) -> str:
    """Module and class of a network."""
    return f"{type(network).__module__}.{type(network).__qualname__}"


def described(path: Path) -> dict[str, Any]:
    """The description beside an official recording."""
    content: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
    return content


def largest(*pairs: tuple[Tensor, Tensor]) -> float:
    """The largest absolute difference of several pairs of tensors; a pair of other shapes is an error."""
    return max(float((a - b.view_as(a)).detach().abs().max()) for a, b in pairs)


def largest_of_integers(found: Tensor, expected: Tensor) -> float:
    """0 for equal integers, infinity for others."""
    return 0.0 if torch.equal(found.cpu(), expected.view_as(found)) else float("inf")
