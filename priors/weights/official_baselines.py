"""Read the released weights of the methods to compare with: DDS, DOLCE, fastMRI's U-Net, FBPConvNet.

DDS, DOLCE and fastMRI published plain state dicts; the PyTorch port of FBPConvNet one inside the training's
checkpoint; FBPConvNet's authors a MATLAB file. Nothing in them is run.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from priors.networks.adm_config import ADMConfig
from priors.networks.adm_unet import ADMUNet
from priors.networks.fbpconvnet import FBPConvNet, FBPConvNetConfig
from priors.weights.matconvnet import load_matconvnet
from priors.weights.networks import fill, unfilled
from priors.weights.restricted import plain_tensors, read_pickled

MATLAB = ".mat"

_NO_LICENCE = "not stated by the authors"


@dataclass(frozen=True)
class Baseline:
    """A released network.

    Attributes:
        kind: the kind of weights file.
        network: the network, on the CPU.
        source: the origin of the weights.
        licence: the licence of the weights.
        extra: what sampling or inference must know beside the network's configuration.
        others: the further networks in the same file, by kind.
    """

    kind: str
    network: nn.Module
    source: str
    licence: str = _NO_LICENCE
    extra: dict[str, Any] = field(default_factory=dict)
    others: dict[str, nn.Module] = field(default_factory=dict)


@dataclass(frozen=True)
class ReleasedADM:
    """What is known of a released ADM network beside its tensors.

    Attributes:
        kind: the kind of weights file.
        config: its sizes.
        source: whose it is.
        licence: the licence of the weights.
        extra: diffusion and image range.
    """

    kind: str
    config: ADMConfig
    source: str
    licence: str
    extra: dict[str, Any]


def _diffusion(timesteps: int, conditions: int, image_range: tuple[float, float]) -> dict[str, Any]:
    return {
        "timesteps": timesteps,
        "schedule": "linear",
        "conditions": conditions,
        "image_range": list(image_range),
    }


RELEASED_ADM: dict[int, ReleasedADM] = {
    1: ReleasedADM("adm", ADMConfig.dds_ct(), "DDS, AAPM CT", _NO_LICENCE, _diffusion(1000, 0, (0, 1))),
    2: ReleasedADM("adm", ADMConfig.dds_mri(), "DDS, complex fastMRI knee", _NO_LICENCE, _diffusion(1000, 0, (-1, 1))),
    3: ReleasedADM("dolce", ADMConfig.dolce(), "DOLCE", f"{_NO_LICENCE}; the code is MIT", _diffusion(2000, 1, (0, 1))),
}
"""By the channels of their input."""


def is_baseline(content: Any) -> bool:
    """Whether what was read from a file is one of these networks."""
    return _reader(content) is not None


def load_baseline(path: Path | str) -> Baseline:
    """The network in a released file.

    Args:
        path: such as ``AAPM256_1M.pt``, ``model512_all.pt``, ``knee_sc_leaderboard_state_dict.pt``, ``epoch-100.pkl``
            or ``net-epoch-151.mat``.

    Raises:
        ValueError: the file is missing, damaged or of another layout; or it names what could be code.
    """
    path = Path(path)
    if path.suffix == MATLAB:
        return Baseline("fbpconv", load_matconvnet(path), "FBPConvNet as published (MatConvNet)")
    return baseline_of(path, read_pickled(path))


def baseline_of(path: Path, content: Any) -> Baseline:
    """As :func:`load_baseline`, from what :func:`priors.weights.restricted.read_pickled` gave."""
    reader = _reader(content)
    if reader is None:
        raise ValueError(f"{path}: none of the released networks of DDS, DOLCE, fastMRI or FBPConvNet")
    inside = "state_dict" in content
    held = content["state_dict"] if inside else content
    return reader(path, plain_tensors(held, path, "'state_dict'" if inside else "its top"))


def _reader(content: Any) -> Callable[[Path, dict[str, Tensor]], Baseline] | None:
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        return None
    return next((reader for name, reader in _READERS.items() if name in state), None)


def _adm(path: Path, tensors: dict[str, Tensor]) -> Baseline:
    channels = _shape(path, tensors, "input_blocks.0.0.weight")[1]
    if channels not in RELEASED_ADM:
        raise ValueError(f"{path}: an ADM network with {channels} input channels; DDS's have 1 or 2, DOLCE's 3")
    known = RELEASED_ADM[channels]
    network = _filled(path, lambda: ADMUNet(known.config), tensors)
    return Baseline(known.kind, network, known.source, known.licence, known.extra)


def _unet(path: Path, tensors: dict[str, Tensor]) -> Baseline:
    from priors.networks.unet2d import (  # fastmri takes a second to import, and only this kind needs it
        UNet2D,
        UNetConfig,
    )

    chans, in_channels = _shape(path, tensors, "down_sample_layers.0.layers.0.weight")[:2]
    pools = _count(tensors, "down_sample_layers.{}.layers.0.weight")
    out_channels = _shape(path, tensors, f"up_conv.{pools - 1}.1.weight")[0]
    # The released networks were trained on images less their mean, over their deviation.
    network = _filled(
        path, lambda: UNet2D(UNetConfig(in_channels, out_channels, chans, pools, instance_norm=True)), tensors
    )
    return Baseline("unet", network, "fastMRI U-Net", f"{_NO_LICENCE}; the code is MIT")


def _fbpconv(path: Path, tensors: dict[str, Tensor]) -> Baseline:
    width = _shape(path, tensors, "block_1_1.0.weight")[0]
    levels = 1 + _count(tensors, "block_{}_2.0.weight", first=1)
    network = _filled(path, lambda: FBPConvNet(FBPConvNetConfig(width=width, levels=levels)), tensors)
    return Baseline("fbpconv", network, "the PyTorch port of FBPConvNet")


def _shape(path: Path, tensors: Mapping[str, Tensor], name: str) -> torch.Size:
    """Of a convolution's weight."""
    if name not in tensors:
        raise ValueError(f"{path}: no tensor {name} in it")
    if tensors[name].ndim < 2:
        raise ValueError(f"{path}: {name} has the shape {tuple(tensors[name].shape)}; it is no convolution's")
    return tensors[name].shape


def _count(tensors: Mapping[str, Tensor], pattern: str, first: int = 0) -> int:
    """How many tensors have the names that a pattern gives for ``first``, ``first`` + 1, ..."""
    return next(place for place in itertools.count() if pattern.format(first + place) not in tensors)


def _filled(path: Path, build: Callable[[], nn.Module], tensors: Mapping[str, Tensor]) -> nn.Module:
    network = unfilled(build, path)
    fill(network, tensors, path)
    return network


_READERS: Mapping[str, Callable[[Path, dict[str, Tensor]], Baseline]] = {
    "time_embed.0.weight": _adm,
    "down_sample_layers.0.layers.0.weight": _unet,
    "block_1_1.0.weight": _fbpconv,
}
"""By a tensor that each has."""
