"""Read checkpoints of Medical Diffusion and MedSyn as their training scripts save them; nothing in them is run.

The VQ-GAN is saved by Lightning: ``state_dict``, with the perceptual network among its tensors, beside the training's
configuration. The U-Nets lie in ``model`` and, averaged over the training, in ``ema``, each name after ``denoise_fn.``
and beside the buffers of the diffusion; Medical Diffusion's with the VQ-GAN after ``vqgan.``. A bare state dict of a
U-Net is taken too. The files do not state the networks' sizes: they follow from the tensors, but for the groups of the
norms, which are as published.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from priors.networks.registry import KINDS
from priors.networks.unet3d import HEAD_WIDTH
from priors.weights.networks import fill, unfilled
from priors.weights.official_baselines import Baseline
from priors.weights.restricted import plain, plain_tensors

Tensors = Mapping[str, Tensor]

PERCEPTUAL, ESTIMATOR, FIRST_STAGE, PARALLEL = "perceptual_model.", "denoise_fn.", "vqgan.", "module."
"""Prefixes of names: the perceptual network, the U-Net, the VQ-GAN beside it, what data-parallel training adds."""

_VQGAN_GROUPS, _UNET_GROUPS = 32, 8
_MEDSYN_RATIO = 4

_MEDICAL_DIFFUSION, _MEDSYN = "Medical Diffusion (Khader et al. 2022)", "MedSyn (Xu et al. 2024)"
_NOT_STATED, _NON_COMMERCIAL = "not stated by the authors", "the code is CC BY-NC 4.0; the weights as the authors say"


class _Layout(NamedTuple):
    """What is known of one kind of U-Net.

    Attributes:
        kind: the kind of the network.
        config: takes tensors and gives the configuration as plain values.
        source: whose it is.
        licence: the licence of the weights.
        extra: what a card says beside the configuration.
    """

    kind: str
    config: Callable[[Tensors], dict[str, Any]]
    source: str
    licence: str
    extra: dict[str, Any]


def is_factorised(content: Any) -> bool:
    """Whether what was read from a file is one of these checkpoints."""
    if not isinstance(content, dict):
        return False
    state = content.get("state_dict")
    return (isinstance(state, dict) and _VQGAN_KEY in state) or _estimator(content) is not None


def factorised_of(path: Path, content: Mapping[str, Any]) -> Baseline:
    """The networks in a file, from what :func:`priors.weights.restricted.read_pickled` gave.

    Raises:
        ValueError: tensors that are no such network's.
    """
    if _VQGAN_KEY in content.get("state_dict", {}):
        tensors = plain_tensors(content["state_dict"], path, "'state_dict'")
        network = _vqgan(path, tensors, _stated_groups(content))
        return Baseline("medicaldiffusion-vqgan", network, _MEDICAL_DIFFUSION, _NOT_STATED)
    found = _estimator(content)
    assert found is not None, "is_factorised was asked first"
    layout, held, where, prefix = found
    tensors = plain_tensors(held, path, where)
    own = _after(prefix, tensors) if prefix else dict(tensors)
    network = _network(path, layout.kind, _read(path, layout.config, own), own)
    extra, others = dict(layout.extra), {}
    if layout.kind == "medicaldiffusion":
        if f"{prefix.removesuffix(ESTIMATOR)}betas" in tensors:
            extra["timesteps"] = len(tensors[f"{prefix.removesuffix(ESTIMATOR)}betas"])
        first = _after(prefix.removesuffix(ESTIMATOR) + FIRST_STAGE, tensors)
        if first:
            others["medicaldiffusion-vqgan"] = _vqgan(path, first, _VQGAN_GROUPS)
    return Baseline(layout.kind, network, layout.source, layout.licence, extra, others)


def _after(prefix: str, tensors: Tensors) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _estimator(content: Mapping[str, Any]) -> tuple[_Layout, Any, str, str] | None:
    """The kind of a file's U-Net, the state dict that holds it, where that lies in the file, and the names' prefix."""
    places = [("ema", "'ema'"), ("model", "'model'"), (None, "its top")]
    for (key, where), prefix in itertools.product(places, ("", PARALLEL)):
        state = content if key is None else content.get(key)
        if not isinstance(state, dict):
            continue
        for name, layout in _LAYOUTS.items():
            for full in (prefix, prefix + ESTIMATOR):
                if full + name in state:
                    return layout, state, where, full
    return None


def _stated_groups(content: Mapping[str, Any]) -> int:
    """The groups of the norms by the training's configuration, where it is there; else the published ones."""
    parameters = content.get("hyper_parameters")
    config = plain(parameters["cfg"]) if isinstance(parameters, dict) and "cfg" in parameters else {}
    model = config.get("model", {}) if isinstance(config, dict) else {}
    groups = model.get("num_groups", _VQGAN_GROUPS) if isinstance(model, dict) else _VQGAN_GROUPS
    return groups if type(groups) is int else _VQGAN_GROUPS


def _vqgan(path: Path, tensors: Tensors, groups: int) -> nn.Module:
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith(PERCEPTUAL)}
    config = _read(path, lambda held: _vqgan_config(held) | {"norm_groups": groups}, own)
    return _network(path, "medicaldiffusion-vqgan", config, own)


def _read(path: Path, read: Callable[[Tensors], dict[str, Any]], tensors: Tensors) -> dict[str, Any]:
    try:
        return read(tensors)
    except KeyError as error:
        raise ValueError(f"{path}: no tensor {error.args[0]} in it") from error
    except (IndexError, ValueError) as error:
        raise ValueError(f"{path}: tensors of shapes that no network here has") from error


def _network(path: Path, kind: str, config: dict[str, Any], tensors: Tensors) -> nn.Module:
    network: nn.Module = unfilled(lambda: KINDS[kind].build(config, {}), path)
    _check_shared(path, network, tensors)
    fill(network, tensors, path)
    return network


def _check_shared(path: Path, network: nn.Module, tensors: Tensors) -> None:
    """Refuse a file in which one parameter of several names has several values: only one of them could be kept."""
    first: dict[int, str] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        other = first.setdefault(id(parameter), name)
        if {name, other} <= tensors.keys() and not torch.equal(tensors[name], tensors[other]):
            raise ValueError(f"{path}: {name} and {other} are one parameter, and differ in it")


def _count(tensors: Tensors, pattern: str) -> int:
    return next(place for place in itertools.count() if pattern.format(place) not in tensors)


def _vqgan_config(tensors: Tensors) -> dict[str, Any]:
    width, image_channels = tensors["encoder.conv_first.conv.weight"].shape[:2]
    codes, latent_channels = tensors["codebook.embeddings"].shape
    return {
        "width": width,
        "latent_channels": latent_channels,
        "codes": codes,
        "downsample": 2 ** _count(tensors, "encoder.conv_blocks.{}.down.conv.weight"),
        "image_channels": image_channels,
        "judge_channels": tensors["image_discriminator.model0.0.weight"].shape[0],
        "judge_layers": _count(tensors, "image_discriminator.model{}.0.weight") - 2,
    }


def _levels(tensors: Tensors, first: Tensor) -> dict[str, Any]:
    """What all the U-Nets have: width, levels, and the size of the first convolution."""
    width = first.shape[0]
    levels = range(_count(tensors, "downs.{}.0.block1.proj.weight"))
    widths = [tensors[f"downs.{level}.0.block1.proj.weight"].shape[0] for level in levels]
    return {
        "width": width,
        "multipliers": [each // width for each in widths],
        "norm_groups": _UNET_GROUPS,
        "init_kernel": first.shape[-1],
    }


def _medicaldiffusion_config(tensors: Tensors) -> dict[str, Any]:
    first = tensors["init_conv.weight"]
    heads = tensors["time_rel_pos_bias.relative_attention_bias.weight"].shape[1]
    inner = tensors["init_temporal_attn.fn.fn.fn.to_out.weight"].shape[1]
    own = {"channels": first.shape[1], "heads": heads, "head_width": inner // heads}
    return _levels(tensors, first) | own


def _low_config(tensors: Tensors) -> dict[str, Any]:
    first = tensors["init_conv.weight"]
    _, tokens, text_width = tensors["null_cond_emb"].shape
    heads = tensors["mid_spatial_attn1.fn.fn.fn.to_out.weight"].shape[1] // HEAD_WIDTH
    own = {"channels": first.shape[1], "heads": heads, "text_tokens": tokens, "text_width": text_width}
    return _levels(tensors, first) | own | {"up_order": "training", "text_classes": []}


def _sr_config(tensors: Tensors) -> dict[str, Any]:
    first = tensors["init_conv0.weight"]
    heads = tensors["mid_spatial_attn.fn.fn.fn.to_out.weight"].shape[1] // HEAD_WIDTH
    own = {"channels": first.shape[1] // 2, "heads": heads, "ratio": _MEDSYN_RATIO, "up_order": "training"}
    return _levels(tensors, first) | own


_VQGAN_KEY = "encoder.conv_blocks.0.down.conv.weight"

_LAYOUTS = {
    "time_rel_pos_bias.relative_attention_bias.weight": _Layout(
        "medicaldiffusion", _medicaldiffusion_config, _MEDICAL_DIFFUSION, _NOT_STATED, {}
    ),
    "null_cond_emb": _Layout(
        "medsyn",
        _low_config,
        _MEDSYN,
        _NON_COMMERCIAL,
        {"ratio": _MEDSYN_RATIO, "reduction": "nearest", "size": [256, 256, 256]},
    ),
    "init_conv0.weight": _Layout("medsyn-sr", _sr_config, _MEDSYN, _NON_COMMERCIAL, {"size": [256, 256, 256]}),
}
"""By a tensor that each has."""
