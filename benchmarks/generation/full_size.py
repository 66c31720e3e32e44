"""The networks of each method at their published size: parameters, and operations of a volume of 256³ voxels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from benchmarks.generation.flops import counted_without_computing, zeros
from priors.networks.registry import KINDS

EDGE = 256
"""Voxels along each edge of the volume."""


@dataclass(frozen=True)
class Use:
    """One network of a method and how it is used for one volume.

    Attributes:
        kind: the kind of network, which the registry knows.
        calls: how often it runs for one volume.
        call: calls it on inputs whose values play no part.
        settings: settings of the network that differ from the defaults of its kind.
    """

    kind: str
    calls: int
    call: Callable[[Any], object]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CountedUse:
    """A use of a network with what was counted: parameters, and operations of one call."""

    kind: str
    calls: int
    parameters: int
    flops_of_a_call: int


@dataclass(frozen=True)
class FullSize:
    """A method at its published size."""

    method: str
    uses: tuple[CountedUse, ...]

    @property
    def parameters(self) -> int:
        """The parameters of all networks, also of those parts of them that a volume does not need."""
        return sum(use.parameters for use in self.uses)

    @property
    def flops(self) -> int:
        """The operations of one volume."""
        return sum(use.calls * use.flops_of_a_call for use in self.uses)


@lru_cache(maxsize=16)
def full_size(method: str) -> FullSize:
    """A method of :data:`FULL_SIZE`, counted in seconds without computing anything."""
    return FullSize(method, tuple(_counted(use) for use in FULL_SIZE[method]))


def _counted(use: Use) -> CountedUse:
    kind = KINDS[use.kind]
    settings = kind.config_class()().to_dict() | dict(use.settings)

    def build() -> nn.Module:
        return kind.build(settings, {})

    flops, parameters = counted_without_computing(build, use.call)
    return CountedUse(use.kind, use.calls, parameters, flops)


def _step() -> torch.Tensor:
    return torch.ones(1, dtype=torch.long)


def _biflownet(network: Any, edge: int) -> object:
    return network(zeros(1, network.config.channels, edge, edge, edge), _step(), _step(), zeros(3))


def _patch_volume_decoder(network: Any, edge: int) -> object:
    return network.decode_embeddings(zeros(1, network.config.latent_channels, edge, edge, edge))


def _wdm(network: Any) -> object:
    """Eight bands of wavelet coefficients at half of the resolution."""
    return network(zeros(1, 8, *_cube(EDGE // 2)), _step())


def _hagan(network: Any) -> object:
    return network(zeros(1, network.config.latent))


def _medicaldiffusion(network: Any) -> object:
    return network(zeros(1, network.config.channels, *_cube(EDGE // 4)), _step())


def _vqgan_decoder(network: Any) -> object:
    return network.decode_codes(zeros(1, network.config.latent_channels, *_cube(EDGE // 4)))


def _maisi(network: Any) -> object:
    from priors.networks.maisi.conditions import told
    from priors.networks.maisi.estimate import estimate

    config = network.config
    return estimate(
        network, zeros(1, config.channels, *_cube(EDGE // 4)), _step(), told(config, ["CTChestAbdomen"], zeros(1, 3))
    )


def _maisi_decoder(network: Any) -> object:
    return network.decode(zeros(1, network.config.latent_channels, *_cube(EDGE // 4)))


def _medsyn(network: Any) -> object:
    return network(zeros(1, network.config.channels, *_cube(EDGE // 4)), _step())


def _medsyn_finer(network: Any) -> object:
    volume = zeros(1, network.config.channels, *_cube(EDGE))
    return network(volume, volume, _step())


def _cube(edge: int) -> tuple[int, int, int]:
    return edge, edge, edge


FULL_SIZE: dict[str, tuple[Use, ...]] = {
    "HA-GAN": (Use("hagan", 1, _hagan),),
    "MedicalDiffusion": (
        Use("medicaldiffusion", 300, _medicaldiffusion),
        Use("medicaldiffusion-vqgan", 1, _vqgan_decoder),
    ),
    "WDM": (Use("wdm", 1000, _wdm),),
    "MAISI": (Use("maisi", 1000, _maisi), Use("maisi-autoencoder", 1, _maisi_decoder)),
    "MedSyn": (Use("medsyn", 50, _medsyn), Use("medsyn-sr", 20, _medsyn_finer)),
    "3D MedDiffusion (8x)": (
        Use("biflownet", 1000, lambda network: _biflownet(network, EDGE // 8)),
        Use("autoencoder", 1, lambda network: _patch_volume_decoder(network, EDGE // 8), {"downsample": [8, 8, 8]}),
    ),
    "3D MedDiffusion (4x)": (
        Use("biflownet", 1000, lambda network: _biflownet(network, EDGE // 4), {"token_patch": 2}),
        Use("autoencoder", 1, lambda network: _patch_volume_decoder(network, EDGE // 4)),
    ),
}
"""What each method runs for one volume, as published; MedSyn without guidance by a text."""
