"""Weights files: one network in one safetensors file, with its configuration, source and licence inside.

Reading one runs no code. The hash in the header is of the tensors alone, so it stays the same when a file is written
anew with another note.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from priors.adm_config import ADMConfig
from priors.adm_unet import ADMUNet
from priors.autoencoder import PatchVolumeAutoencoder
from priors.autoencoder_config import AutoencoderConfig
from priors.biflownet import BiFlowNet
from priors.biflownet_config import BiFlowNetConfig
from priors.controlnet import ControlNet, ControlNetConfig
from priors.fbpconvnet import FBPConvNet, FBPConvNetConfig
from priors.perceptual import LPIPS
from priors.unrolled import LearnedPrimalDual, MoDL, MoDLConfig, PrimalDualConfig

FORMAT = "meddiffusion-recon 1"

Network = TypeVar("Network", bound=nn.Module)

_TEXT_KEYS = ("format", "kind", "config", "source", "licence", "sha256", "extra")


@dataclass(frozen=True)
class Card:
    """What a weights file says of itself.

    Attributes:
        kind: of network, such as ``autoencoder``.
        config: of the network, plain values.
        source: where the weights come from.
        licence: under which they may be used.
        extra: what else belongs to this kind (a head's base, an import's original file, training figures).
        sha256: of the tensors, see :func:`tensors_sha256`; filled in when the file is written.
    """

    kind: str
    config: dict[str, Any]
    source: str = ""
    licence: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""


def tensors_sha256(state: Mapping[str, Tensor]) -> str:
    """Hash of the names, types, shapes and bytes of tensors, sorted by name; it does not depend on a file."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode() + b"\n")
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


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
        raise OSError(f"{path}: cannot be written: {_one_line(error)}") from error
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
    """The tensors of a weights file as they are stored, on the CPU; ``ValueError`` as :func:`read_card`."""
    with _opened(Path(path)) as file:
        _card(Path(path), file.metadata() or {})
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)


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
        raise ValueError(f"{path}: not a safetensors file, or damaged: {_one_line(error)}") from error


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


def load_autoencoder(path: Path | str, dtype: torch.dtype | None = None) -> PatchVolumeAutoencoder:
    """An autoencoder from its weights file, on the CPU.

    Args:
        path: the file.
        dtype: of the parameters; None is float32, whatever the file has.

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


def load_lpips(path: Path | str, dtype: torch.dtype | None = None) -> LPIPS:
    """A perceptual network from its weights file; as :func:`load_autoencoder`."""
    return load_network(path, "lpips", dtype)


def _controlnet(card: Card) -> ControlNet:
    return ControlNet(ControlNetConfig.from_dict(card.config), str(card.extra.get("base_sha256", "")))


def _adm(card: Card) -> ADMUNet:
    return ADMUNet(ADMConfig.from_dict(card.config))


def _unet(card: Card) -> nn.Module:
    from priors.unet2d import UNet2D, UNetConfig  # fastmri takes a second to import, and only this kind needs it

    return UNet2D(UNetConfig.from_dict(card.config))


_BUILDERS: dict[str, Callable[[Card], nn.Module]] = {
    "autoencoder": lambda card: PatchVolumeAutoencoder(AutoencoderConfig.from_dict(card.config)),
    "biflownet": lambda card: BiFlowNet(BiFlowNetConfig.from_dict(card.config)),
    "controlnet": _controlnet,
    "lpips": lambda card: LPIPS(),
    "fbpconv": lambda card: FBPConvNet(FBPConvNetConfig.from_dict(card.config)),
    "unet": _unet,
    "refiner": _unet,
    "adm": _adm,
    "dolce": _adm,
    "primal-dual": lambda card: LearnedPrimalDual(PrimalDualConfig.from_dict(card.config)),
    "modl": lambda card: MoDL(MoDLConfig.from_dict(card.config)),
}


def verify(path: Path | str) -> Card:
    """Recompute a file's hash and load its network strictly.

    Raises:
        ValueError: the tensors are not those that the header names, or they do not fit its configuration.
    """
    card = read_card(path)
    found = tensors_sha256(read_tensors(path))
    if found != card.sha256:
        raise ValueError(
            f"{path}: its tensors are not those it was written with (hash {found[:12]}, not {card.sha256[:12]})"
        )
    load_network(path, card.kind)
    return card


def load_network(path: Path | str, kind: str, dtype: torch.dtype | None = None) -> Any:
    """A network of a kind, a key of ``_BUILDERS``, from its weights file; as :func:`load_autoencoder`."""
    card = read_card(path)
    if card.kind != kind:
        raise ValueError(f"{path}: weights of kind {card.kind}, where {kind} is wanted")
    if kind not in _BUILDERS:
        raise ValueError(f"{path}: weights of an unknown kind {kind!r}; one of {', '.join(_BUILDERS)}")
    tensors = {name: _in_precision(tensor, dtype or torch.float32) for name, tensor in read_tensors(path).items()}
    network = unfilled(lambda: _BUILDERS[kind](card), path)
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
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: its configuration is wrong: {_one_line(error)}") from error


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
        raise ValueError(f"{path}: its tensors do not fit its configuration: {_one_line(error)}") from error


def _in_precision(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
