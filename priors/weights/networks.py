"""Networks from weights files: built from the card's configuration, filled strictly with the file's tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from priors.networks.autoencoder import PatchVolumeAutoencoder
from priors.networks.biflownet import BiFlowNet
from priors.networks.controlnet import ControlNet
from priors.networks.implicit_decoder import ImplicitDecoder
from priors.networks.missing import MissingPackageError
from priors.networks.perceptual import LPIPS
from priors.networks.registry import KINDS
from priors.weights.card import Card, one_line, read_card, read_tensors

Network = TypeVar("Network", bound=nn.Module)


def load_autoencoder(path: Path | str, dtype: torch.dtype | None = None) -> PatchVolumeAutoencoder:
    """An autoencoder from its weights file, on the CPU.

    Args:
        path: the file.
        dtype: the type of the parameters; None is float32, whatever the file has.

    Raises:
        ValueError: missing, damaged, of another kind, or tensors that do not fit the configuration.
    """
    return load_network(path, "autoencoder", dtype)


def load_biflownet(path: Path | str, dtype: torch.dtype | None = None) -> BiFlowNet:
    """A noise estimator from its weights file; as :func:`load_autoencoder`."""
    return load_network(path, "biflownet", dtype)


def load_controlnet(path: Path | str, dtype: torch.dtype | None = None) -> ControlNet:
    """A ControlNet head from its weights file, without its base; as :func:`load_autoencoder`."""
    return load_network(path, "controlnet", dtype)


def load_implicit_decoder(path: Path | str, dtype: torch.dtype | None = None) -> ImplicitDecoder:
    """An implicit decoder from its weights file, without its autoencoder; as :func:`load_autoencoder`."""
    return load_network(path, "implicit-decoder", dtype)


def head_kinds() -> tuple[str, ...]:
    """The kinds of networks that steer a latent prior: their cards name the prior's noise estimator."""
    return tuple(name for name, kind in KINDS.items() if "base_sha256" in kind.told)


def load_steering(path: Path | str, dtype: torch.dtype | None = None) -> Any:
    """A head of any latent prior from its weights file, without its base; as :func:`load_autoencoder`."""
    kind = read_card(path).kind
    if kind not in head_kinds():
        raise ValueError(f"{path}: weights of kind {kind}, where a head is wanted: {' or '.join(head_kinds())}")
    return load_network(path, kind, dtype)


def load_lpips(path: Path | str, dtype: torch.dtype | None = None) -> LPIPS:
    """A perceptual network from its weights file; as :func:`load_autoencoder`."""
    return load_network(path, "lpips", dtype)


def verify(path: Path | str) -> Card:
    """Compare a file's tensors with their hash and load its network strictly.

    Raises:
        ValueError: the tensors are not those that the header names, or they do not fit its configuration.
    """
    card = read_card(path)
    load_network(path, card.kind)
    return card


def load_network(path: Path | str, kind: str, dtype: torch.dtype | None = None) -> Any:
    """A network of a kind, a key of ``KINDS``, from its weights file; as :func:`load_autoencoder`."""
    card = read_card(path)
    if card.kind != kind:
        raise ValueError(f"{path}: weights of kind {card.kind}, where {kind} is wanted")
    if kind not in KINDS:
        raise ValueError(f"{path}: weights of an unknown kind {kind!r}; one of {', '.join(KINDS)}")
    tensors = {name: _in_precision(tensor, dtype or torch.float32) for name, tensor in read_tensors(path).items()}
    network = unfilled(lambda: KINDS[kind].build(card.config, card.extra), path)
    fill(network, tensors, path)
    return network


def unfilled(build: Callable[[], Network], path: Path | str) -> Network:
    """A network that has no memory for its weights yet, since :func:`fill` replaces them.

    Raises:
        ValueError: it cannot be built with its configuration; the line names ``path``.
    """
    try:
        with torch.device("meta"):
            return build()
    except MissingPackageError:
        raise
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: its configuration is wrong: {one_line(error)}") from error


def fill(network: nn.Module, tensors: Mapping[str, Tensor], path: Path | str) -> None:
    """Give a network exactly these tensors; they become its own, and are not copied.

    Raises:
        ValueError: one is missing, not wanted, or of another shape or type; the line names ``path``.
    """
    for name, wanted in network.state_dict().items():
        if name in tensors and tensors[name].is_floating_point() != wanted.is_floating_point():
            raise ValueError(f"{path}: {name} is {tensors[name].dtype}; {wanted.dtype} is wanted")
    try:
        network.load_state_dict(dict(tensors), strict=True, assign=True)
    except RuntimeError as error:
        raise ValueError(f"{path}: its tensors do not fit its configuration: {one_line(error)}") from error


def _in_precision(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor
