"""Weights files: one network in one safetensors file, with its configuration, source and licence inside.

Reading one runs no code. The hash in the header is of the tensors alone, so it stays the same when a file is written
anew with another note. Whoever reads the tensors compares them with it.
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from priors.networks.fingerprint import tensors_sha256

FORMAT = "meddiffusion-recon 1"

SHOWN_WEIGHTS = "shown_weights"
"""Entry of a head's or a refiner's card: the hashes of the networks that made the images of its training, by name."""

_TEXT_KEYS = ("format", "kind", "config", "source", "licence", "sha256", "extra")


@dataclass(frozen=True)
class Card:
    """What a weights file says of itself.

    Attributes:
        kind: the kind of network, such as ``autoencoder``.
        config: the configuration of the network, plain values.
        source: the origin of the weights.
        licence: the licence under which the weights may be used.
        extra: what else belongs to this kind (a head's base, an import's original file, training figures).
        sha256: the hash of the tensors, see :func:`tensors_sha256`; filled in when the file is written.
    """

    kind: str
    config: dict[str, Any]
    source: str = ""
    licence: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""


def save_weights(path: Path | str, state: Mapping[str, Tensor], card: Card, dtype: torch.dtype | None = None) -> Card:
    """Write a weights file under a temporary name, then give it its own; a file of that name is replaced.

    Args:
        path: ends in ``.safetensors``; missing folders are made.
        state: tensors by name.
        card: its hash is filled in here.
        dtype: floating-point tensors are stored in it; None as they are.

    Returns:
        The card as written.

    Raises:
        ValueError: a tensor has numbers that ``dtype`` cannot hold.
        OSError: the file cannot be written.
    """
    path = Path(path)
    tensors = {name: _stored(name, tensor, dtype) for name, tensor in state.items()}
    card = replace(card, sha256=tensors_sha256(tensors))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        save_file(tensors, temporary, metadata=_metadata(card))
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except SafetensorError as error:
        raise OSError(f"{path}: cannot be written: {one_line(error)}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return card


def _stored(name: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    given = tensor.detach().cpu()
    stored = given.to(dtype) if dtype is not None and given.is_floating_point() else given
    if bool(given.isfinite().all()) and not bool(stored.isfinite().all()):
        raise ValueError(f"{name} has numbers too large for {dtype}; store the network in another precision")
    return stored.clone(memory_format=torch.contiguous_format)  # tensors that share memory could not be written


def _metadata(card: Card) -> dict[str, str]:
    return {
        "format": FORMAT,
        "kind": card.kind,
        "config": json.dumps(card.config),
        "source": card.source,
        "licence": card.licence,
        "sha256": card.sha256,
        "extra": json.dumps(card.extra),
    }


def read_card(path: Path | str) -> Card:
    """The card of a weights file; reads its header only.

    Raises:
        ValueError: missing, damaged, or not a weights file of this suite.
    """
    with _opened(Path(path)) as file:
        return _card(Path(path), file.metadata() or {})


def read_tensors(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a weights file as they are stored, on the CPU.

    Raises:
        ValueError: as :func:`read_card`; or the tensors do not have the hash that the card states.
    """
    with _opened(Path(path)) as file:
        card = _card(Path(path), file.metadata() or {})
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
    found = tensors_sha256(tensors)
    if found != card.sha256:
        raise ValueError(
            f"{path}: its tensors are not those it was written with (hash {found[:12]}, not {card.sha256[:12]})"
        )
    return tensors


def count_numbers(path: Path | str) -> int:
    """How many numbers the tensors of a weights file hold; reads its header only, ``ValueError`` as there."""
    with _opened(Path(path)) as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise ValueError(f"{path}: {'a folder, where a weights file is wanted' if path.is_dir() else 'no such file'}")
    try:
        with safe_open(path, "pt") as file:
            yield file
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file, or damaged: {one_line(error)}") from error


def _card(path: Path, metadata: Mapping[str, str]) -> Card:
    if metadata.get("format") != FORMAT or not set(_TEXT_KEYS) <= set(metadata):
        raise ValueError(f"{path}: not a weights file of this suite; import others with 'recon weights import'")
    try:
        config, extra = json.loads(metadata["config"]), json.loads(metadata["extra"])
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: its header is damaged: {error}") from error
    if not isinstance(config, dict) or not isinstance(extra, dict):
        raise ValueError(f"{path}: its header is damaged: config and extra must be tables")
    return Card(metadata["kind"], config, metadata["source"], metadata["licence"], extra, metadata["sha256"])


def one_line(error: Exception) -> str:
    """What an error says, in one line of at most 300 characters."""
    return " ".join(str(error).split())[:300]
