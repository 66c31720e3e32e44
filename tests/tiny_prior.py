"""A small latent prior of random weights, a head on it, a scanner and a phantom: made in one place for every test."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from physics.ct.geometry import FanBeam, circular_angles
from priors.networks.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder
from priors.networks.biflownet import BiFlowNet, BiFlowNetConfig
from priors.networks.controlnet import ControlNet
from priors.weights.card import Card, save_weights
from priors.weights.networks import load_biflownet
from recon.learned.task import Task
from recon.options import Options
from recon.scan.volume import Volume

Chosen = TypeVar("Chosen", bound=Options)

GEOMETRY = FanBeam(circular_angles(24), pitch=2.0)
AUTOENCODER = AutoencoderConfig(width=8, latent_channels=4, codes=32, norm_groups=4, patch=16)
BASE = BiFlowNetConfig(
    width=12,
    multipliers=(1, 1, 2),
    attention=(False, False, True),
    channels=4,
    token_patch=2,
    attention_heads=2,
    norm_groups=4,
    dit_heads=2,
)


def networks(config: BiFlowNetConfig = BASE) -> tuple[PatchVolumeAutoencoder, BiFlowNet]:
    """An autoencoder and a noise estimator of random weights, the same ones at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PatchVolumeAutoencoder(AUTOENCODER), BiFlowNet(config)


def write_prior(folder: Path, config: BiFlowNetConfig = BASE, **facts: object) -> Path:
    """The folder of a prior with the networks of :func:`networks`.

    Args:
        facts: entries of the noise estimator's card, such as the classes it learned.
    """
    autoencoder, biflownet = networks(config)
    folder.mkdir(parents=True, exist_ok=True)
    card = Card("autoencoder", AUTOENCODER.to_dict())
    save_weights(folder / "autoencoder.safetensors", autoencoder.state_dict(), card)
    card = Card("biflownet", config.to_dict(), extra=dict(facts))
    save_weights(folder / "biflownet.safetensors", biflownet.state_dict(), card)
    return folder


def make_head(prior: Path, folder: Path, task: Task, joints: float = 0.05) -> Path:
    """A ControlNet head of random weights as ``folder/head.safetensors``.

    Args:
        joints: the standard deviation of the joints' weights, which begin as zeros: with 0 the head changes nothing.
    """
    with torch.random.fork_rng():
        torch.manual_seed(1)
        base = load_biflownet(prior / "biflownet.safetensors")
        head = ControlNet.from_base(base, 4 * len(task.conditions), task.to_dict())
        for parameter in head.parameters():
            if parameter.requires_grad and not parameter.any():
                torch.nn.init.normal_(parameter, std=joints)
    path = folder / "head.safetensors"
    card = Card("controlnet", head.config.to_dict(), extra={"base_sha256": head.base_hash})
    save_weights(path, head.state_dict(), card)
    return path


def body(modality: str = "CT") -> Volume:
    """An ellipsoid of an odd size, so that padding has something to do."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (11, 40, 36)), indexing="ij")
    inside = (x / 0.8) ** 2 + (y / 0.7) ** 2 + 0.5 * z**2 < 1
    values = np.where(inside, 40.0, -1000.0) if modality == "CT" else np.where(inside, 800.0 + 100 * x, 3.0)
    return Volume(torch.from_numpy(values).float(), np.diag([4.0, 4.0, 5.0, 1.0]), modality)  # type: ignore[arg-type]


def changed(options: Chosen, **values: object) -> Chosen:
    """A method's options with some of them set to other values, checked again."""
    return type(options)(**options.model_dump(exclude_unset=True) | values)
