"""Read the released weights of WDM and HA-GAN; nothing in them is run.

WDM published the bare state dict of its U-Net. HA-GAN saved each of its four networks with its optimiser, from several
GPUs, so that ``module.`` stands before every name; only its generator makes volumes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from priors.networks.hagan.config import HAGANConfig
from priors.networks.hagan.generator import HAGANGenerator
from priors.networks.wdm.config import BANDS, WDMConfig
from priors.networks.wdm.make import make_wdm
from priors.weights.networks import fill, unfilled
from priors.weights.official_baselines import Baseline
from priors.weights.restricted import plain_tensors

_PREFIX = "module."
_FIRST_WDM = "input_blocks.0.0.weight"
_FIRST_G = f"{_PREFIX}tp_conv1.weight"
_OTHER_HAGAN = {
    f"{_PREFIX}fc2.u0": "discriminator (D_iter…)",
    f"{_PREFIX}conv5.weight": "encoder of volumes (Sub_E_iter…)",
    f"{_PREFIX}bn3.weight": "encoder of slabs (E_iter…)",
}
"""A tensor that each of the other networks has, and what that network is called; the first one that is there counts."""

_EDGES = {5: 128, 6: 256}
"""Edge in voxels of the volumes that a published WDM of so many levels was trained on."""


def is_wdm_or_hagan(content: Any) -> bool:
    """Whether what was read from a file has the layout of WDM's or of HA-GAN's files."""
    return _is_wdm(content) or _is_hagan(content)


def wdm_or_hagan_of(path: Path, content: Any, settings: Mapping[str, int] | None = None) -> Baseline:
    """The network in what :func:`priors.weights.restricted.read_pickled` gave.

    Args:
        path: the path of the file; errors name it.
        content: what was read from it.
        settings: ``size``, the edge in voxels of HA-GAN's volumes, which its tensors do not show; 256 without it.

    Raises:
        ValueError: tensors that are no such network, a network of HA-GAN that makes no volumes, or other settings.
    """
    if _is_wdm(content):
        return _wdm(path, plain_tensors(content, path, "its top"), dict(settings or {}))
    return _hagan(path, plain_tensors(content["model"], path, "'model'"), dict(settings or {}))


def _is_wdm(content: Any) -> bool:
    first = content.get(_FIRST_WDM) if isinstance(content, dict) else None
    return isinstance(first, Tensor) and first.ndim == 5


def _is_hagan(content: Any) -> bool:
    held = content.get("model") if isinstance(content, dict) else None
    return isinstance(held, dict) and any(name in held for name in (_FIRST_G, *_OTHER_HAGAN))


def _wdm(path: Path, tensors: dict[str, Tensor], settings: Mapping[str, int]) -> Baseline:
    _refuse_settings(path, settings)
    width, bands = tensors[_FIRST_WDM].shape[:2]
    if bands != BANDS:
        raise ValueError(f"{path}: a network of {bands} input channels; WDM's has {BANDS}")
    form = "wavunet" if "out_res.0.0.in_layers.0.weight" in tensors else "unet"
    config = {"form": form, "width": width, "multipliers": _multipliers(path, tensors, form)}
    network = unfilled(lambda: make_wdm(WDMConfig.from_dict(WDMConfig().to_dict() | config)), path)
    fill(network, tensors, path)
    extra: dict[str, Any] = {"timesteps": 1000, "schedule": "linear", "axes": "xyz"}
    edge = _EDGES.get(network.config.levels)
    return Baseline("wdm", network, "WDM", extra=extra | ({"size": [edge] * 3} if edge else {}))


def _multipliers(path: Path, tensors: Mapping[str, Tensor], form: str) -> list[int]:
    """The widths of the levels over the first one, from the first residual block of each."""
    stages = WDMConfig().blocks + (2 if form == "wavunet" else 1)  # stages of the encoder that a level has
    widths = []
    for level in itertools.count():
        name = f"input_blocks.{1 + stages * level}.0.in_layers.2.weight"
        if name not in tensors:
            break
        widths.append(len(tensors[name]))
    first = len(tensors[_FIRST_WDM])
    if not widths or any(width % first for width in widths):
        raise ValueError(f"{path}: its tensors are not those of WDM, whose widths are multiples of the first")
    return [width // first for width in widths]


def _hagan(path: Path, tensors: dict[str, Tensor], settings: Mapping[str, int]) -> Baseline:
    if _FIRST_G not in tensors:
        other = next(what for name, what in _OTHER_HAGAN.items() if name in tensors)
        raise ValueError(f"{path}: HA-GAN's {other}; only its generator (G_iter…) makes volumes")
    _refuse_settings(path, settings, "size")
    if any(not name.startswith(_PREFIX) for name in tensors):
        raise ValueError(f"{path}: names without {_PREFIX!r}, which those of HA-GAN's files have")
    named = {name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items()}
    if not {"fc1.weight", "tp_conv6.weight"} <= named.keys() or named["fc1.weight"].ndim != 2:
        raise ValueError(f"{path}: its tensors are not those of HA-GAN's generator")
    latent, width = named["fc1.weight"].shape[1], len(named["tp_conv6.weight"])
    network = unfilled(lambda: HAGANGenerator(HAGANConfig(settings.get("size", 256), width, latent)), path)
    fill(network, named, path)
    edge = network.config.size
    return Baseline("hagan", network, "HA-GAN", extra={"size": [edge] * 3})


def _refuse_settings(path: Path, settings: Mapping[str, int], *known: str) -> None:
    for name in settings:
        if name not in known:
            raise ValueError(
                f"{path}: `settings` {name}: " + (f"only {', '.join(known)}" if known else "none is taken")
            )
