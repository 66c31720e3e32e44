"""Small MAISI networks of random weights, and the folder of a prior with them; MONAI is needed to make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from priors.networks.maisi.config import MaisiAutoencoderConfig, MaisiUNetConfig, Process
from priors.networks.registry import KINDS
from priors.weights.card import Card, save_weights

AUTOENCODER = MaisiAutoencoderConfig(widths=(8, 16), blocks=(1, 1), norm_groups=4)
SIZES: dict[str, Any] = {"widths": (8, 16), "attention": (False, True), "head_width": 8, "blocks": 1, "norm_groups": 4}


def unet_config(process: Process) -> MaisiUNetConfig:
    """A small U-Net of a generation, told what the released one is told."""
    if process == "ddpm":
        return MaisiUNetConfig(**SIZES)
    second = {"regions": False, "classes": 128, "residual_sampling": True, "attention_linear": True}
    return MaisiUNetConfig(process="rflow", **SIZES, **second)


def network(kind: str, config: Any) -> Any:
    """A network of a kind with the same random weights at every call, its last layers too, which begin as zeros."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = KINDS[kind].build(config.to_dict(), {})
        for parameter in made.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.05)
    return made.eval()


def write_maisi(folder: Path, process: Process, **facts: object) -> Path:
    """The folder of a prior.

    Args:
        folder: the folder to write into.
        process: the generation of the U-Net.
        facts: further entries of the U-Net's card.
    """
    for kind, config in (("maisi-autoencoder", AUTOENCODER), ("maisi", unet_config(process))):
        extra = {"scale_factor": 1.5, **facts} if kind == "maisi" else {}
        state = network(kind, config).state_dict()
        save_weights(folder / f"{kind}.safetensors", state, Card(kind, config.to_dict(), extra=extra))
    return folder
