"""Read MAISI's released checkpoints, of both generations; nothing in them is run.

The autoencoder is a bare state dict. The U-Net lies under ``unet_state_dict`` beside the scale of the latents,
``scale_factor``, and the ControlNet under ``controlnet_state_dict``. The files do not state the networks' sizes: they
follow from the tensors, but for the groups of the norms and the channels of an attention head, which are as released.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from priors.networks.maisi.config import MaisiAutoencoderConfig, MaisiControlNetConfig, MaisiUNetConfig
from priors.networks.registry import KINDS
from priors.weights.card import read_card
from priors.weights.networks import fill, unfilled
from priors.weights.official_baselines import Baseline
from priors.weights.restricted import plain_tensors

LICENCE = "NVIDIA NSCLv1, not for commercial use"
"""The licence of the released weights; the code is under Apache-2.0."""

_UNET, _CONTROLNET = "unet_state_dict", "controlnet_state_dict"
_AUTOENCODER_KEY = "quant_conv_log_sigma.conv.weight"


def is_maisi(content: Any) -> bool:
    """Whether what was read from a file is one of these checkpoints."""
    return isinstance(content, dict) and any(key in content for key in (_UNET, _CONTROLNET, _AUTOENCODER_KEY))


def maisi_of(path: Path, content: Mapping[str, Any]) -> Baseline:
    """The network in a released file, from what :func:`priors.weights.restricted.read_pickled` gave.

    Raises:
        ValueError: tensors that are no MAISI network's, or no scale of the latents; or MONAI is not installed.
    """
    if _UNET in content:
        tensors = plain_tensors(content[_UNET], path, f"'{_UNET}'")
        extra = {"scale_factor": _scale(path, content), "timesteps": 1000}
        return _baseline(path, "maisi", _read_config(path, unet_config, tensors), tensors, extra)
    if _CONTROLNET in content:
        tensors = plain_tensors(content[_CONTROLNET], path, f"'{_CONTROLNET}'")
        return _baseline(path, "maisi-controlnet", _read_config(path, controlnet_config, tensors), tensors, {})
    tensors = plain_tensors(dict(content), path, "its top")
    return _baseline(path, "maisi-autoencoder", _read_config(path, autoencoder_config, tensors), tensors, {})


def _baseline(path: Path, kind: str, config: Any, tensors: Mapping[str, Tensor], extra: dict[str, Any]) -> Baseline:
    network: nn.Module = unfilled(lambda: KINDS[kind].build(config.to_dict(), {}), path)
    fill(network, tensors, path)
    return Baseline(kind, network, "MAISI (NVIDIA)", LICENCE, extra)


def _read_config(path: Path, read: Callable[[Mapping[str, Tensor]], Any], tensors: Mapping[str, Tensor]) -> Any:
    try:
        return read(tensors)
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{path}: its tensors are no MAISI network's: {' '.join(str(error).split())}") from error


def _scale(path: Path, content: Mapping[str, Any]) -> float:
    """The scale of the latents, which a training stored as a tensor of one number."""
    found = content.get("scale_factor")
    if isinstance(found, Tensor) and found.numel() == 1:
        found = found.item()
    if not isinstance(found, int | float) or isinstance(found, bool):
        raise ValueError(f"{path}: no scale of the latents: 'scale_factor' is {type(found).__name__}")
    return float(found)


def autoencoder_config(tensors: Mapping[str, Tensor]) -> MaisiAutoencoderConfig:
    """The sizes of an autoencoder: residual blocks and widths between the layers that halve the resolution."""
    widths: list[int] = []
    blocks = [0]
    for index in itertools.count(1):
        block = tensors.get(f"encoder.blocks.{index}.conv1.conv.conv.weight")
        if block is not None:
            blocks[-1] += 1
            widths[len(blocks) - 1 :] = [int(block.shape[0])]
        elif f"encoder.blocks.{index}.conv.conv.conv.weight" in tensors:
            blocks.append(0)
        else:
            break
    return MaisiAutoencoderConfig(int(tensors[_AUTOENCODER_KEY].shape[0]), tuple(widths), tuple(blocks))


def unet_config(tensors: Mapping[str, Tensor]) -> MaisiUNetConfig:
    """The sizes of a U-Net, or those that a ControlNet shares with its U-Net.

    A U-Net that is told the class is of the second generation. What the U-Net of a ControlNet is told beside the class
    is taken as released.
    """
    levels = list(
        itertools.takewhile(lambda i: f"down_blocks.{i}.resnets.0.norm1.weight" in tensors, itertools.count())
    )
    widths = tuple(int(tensors[f"down_blocks.{i}.resnets.0.conv1.conv.weight"].shape[0]) for i in levels)
    blocks = sum(f"down_blocks.0.resnets.{i}.norm1.weight" in tensors for i in range(len(tensors)))
    classes = tensors.get("class_embedding.weight")
    whole = "up_blocks.0.resnets.0.norm1.weight" in tensors
    return MaisiUNetConfig(
        process="ddpm" if classes is None else "rflow",
        channels=int(tensors["conv_in.conv.weight"].shape[1]),
        widths=widths,
        attention=tuple(f"down_blocks.{i}.attentions.0.attn.to_q.weight" in tensors for i in levels),
        blocks=blocks,
        regions="top_region_index_layer.0.weight" in tensors if whole else classes is None,
        spacing="spacing_layer.0.weight" in tensors if whole else True,
        classes=0 if classes is None else int(classes.shape[0]),
        residual_sampling="down_blocks.0.downsampler.conv1.conv.weight" in tensors,
        attention_linear="middle_block.attention.attn.out_proj.weight" in tensors,
    )


def controlnet_config(tensors: Mapping[str, Tensor]) -> MaisiControlNetConfig:
    """The sizes of a ControlNet of label maps."""
    stem = "controlnet_cond_embedding"
    first = tensors[f"{stem}.conv_in.conv.weight"]
    strided = (tensors.get(f"{stem}.blocks.{index}.conv.weight") for index in itertools.count(1, 2))
    later = [
        int(each.shape[0])
        for each in itertools.takewhile(lambda tensor: tensor is not None, strided)
        if each is not None
    ]
    return MaisiControlNetConfig(unet_config(tensors), int(first.shape[1]), (int(first.shape[0]), *later))


def base_of(config: Mapping[str, Any], unet: Path) -> dict[str, str]:
    """What a ControlNet's card says of its U-Net: the hash of the one beside it, if that has the sizes.

    A released ControlNet does not say which U-Net it was trained on; whoever imports it into a folder says so.

    Args:
        config: the configuration of the ControlNet, as plain values.
        unet: the weights file of the U-Net, which need not exist.
    """
    if not unet.is_file():
        return {}
    card = read_card(unet)
    return {"base_sha256": card.sha256} if card.config == config["base"] else {}
