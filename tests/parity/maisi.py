"""MAISI's networks, which are MONAI's: what the wrappers give of the library, beside the official recordings."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from parity.case import Case, Computed, class_name, largest
from parity.formula import fill, noise, units
from priors.networks.maisi.autoencoder import MaisiAutoencoder
from priors.networks.maisi.conditions import label_bits, told
from priors.networks.maisi.config import MaisiAutoencoderConfig, MaisiControlNetConfig, MaisiUNetConfig
from priors.networks.maisi.controlnet import MaisiControlNet
from priors.networks.maisi.unet import MaisiUNet

AUTOENCODER = MaisiAutoencoderConfig(widths=(8, 16, 16), blocks=(1, 2, 1), norm_groups=4)
SMALL: dict[str, Any] = {"widths": (8, 16, 16, 24), "head_width": 8, "blocks": 1, "norm_groups": 4}
SECOND: dict[str, Any] = {"regions": False, "classes": 128, "residual_sampling": True, "attention_linear": True}
UNETS = {"ddpm": MaisiUNetConfig(**SMALL), "rflow": MaisiUNetConfig(process="rflow", **SMALL, **SECOND)}
STEM = (4, 8, 8)

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "maisi_autoencoder": lambda: MaisiAutoencoder(MaisiAutoencoderConfig()),
    "maisi_unet_ddpm": lambda: MaisiUNet(MaisiUNetConfig()),
    "maisi_unet_rflow": lambda: MaisiUNet(MaisiUNetConfig.rflow()),
    "maisi_controlnet_ddpm": lambda: MaisiControlNet(MaisiControlNetConfig()),
    "maisi_controlnet_rflow": lambda: MaisiControlNet(MaisiControlNetConfig(MaisiUNetConfig.rflow())),
}
"""Networks of the released sizes by the name of their official list of tensors."""


def official_layout(name: str, shared: Path) -> dict[str, Any]:
    """The official list of a network's tensors: ``keys`` with shapes and types, and the count of ``parameters``."""
    found: dict[str, Any] = json.loads((shared / "specs" / "generation" / f"keys_{name}.json").read_text())
    return found


def autoencoder() -> Computed:
    """Mean, deviation and the decoded mean of a volume."""
    network = MaisiAutoencoder(AUTOENCODER).eval()
    sha256 = fill(network, gain=1.0)
    with torch.no_grad():
        mean, deviation = network.encode((units("volume", 1, 1, 16, 16, 8) + 1) / 2)
        outputs = {"mean": mean, "deviation": deviation, "decoded": network.decode(mean)}
    return Computed(class_name(network), AUTOENCODER.to_dict(), sha256, outputs)


def autoencoder_deviation(folder: Path) -> float:
    known = load_file(folder / "generation" / "maisi" / "autoencoder.safetensors")
    network = MaisiAutoencoder(AUTOENCODER).eval()
    network.load_state_dict(load_file(folder / "generation" / "maisi" / "autoencoder_weights.safetensors"))
    with torch.no_grad():
        mean, deviation = network.encode(known["x"])
        decoded = network.decode(mean)
    return largest((mean, known["z_mu"]), (deviation, known["z_sigma"]), (decoded, known["decoded_mu"]))


def steered(process: str) -> Computed:
    """An estimate without and with a ControlNet of label maps."""
    config = UNETS[process]
    unet, head = MaisiUNet(config).eval(), MaisiControlNet(MaisiControlNetConfig(config, 8, STEM)).eval()
    sha256 = fill(unet, gain=1.0) + fill(head, gain=1.0)
    labels = ((units("labels", 1, 1, 32, 32, 32) + 1) * 127).long()
    inputs = told(config, ["CTChestAbdomen"], torch.tensor([[2.0, 1.5, 1.5]]))
    outputs = _steered(unet, head, noise("latent", 1, 4, 8, 8, 8), torch.tensor([437.0]), labels, inputs)
    return Computed(class_name(unet), config.to_dict(), sha256, {name: outputs[name] for name in ("out", "steered")})


def _steered(
    unet: MaisiUNet, head: MaisiControlNet, z: Tensor, time: Tensor, labels: Tensor, inputs: dict[str, Tensor]
) -> dict[str, Tensor]:
    own = {name: tensor for name, tensor in inputs.items() if name == "class_labels"}
    with torch.no_grad():
        down, middle = head(z, time, label_bits(labels), **own)
        outputs = {f"control_down{place}": tensor.clone() for place, tensor in enumerate(down)}
        outputs |= {"control_mid": middle.clone(), "out": unet(z, time, **inputs)}
        outputs["steered"] = unet(
            z, time, down_block_additional_residuals=down, mid_block_additional_residual=middle, **inputs
        )
    return outputs


def steered_deviation(process: str, folder: Path) -> float:
    unet, head, known = recorded(process, folder)
    inputs = told(unet.config, ["CTChestAbdomen"], torch.tensor([[2.0, 1.5, 1.5]]))
    outputs = _steered(unet, head, known["z"], known["t"], known["label"], inputs)
    return largest(*((tensor, known[name]) for name, tensor in outputs.items()))


def recorded(process: str, folder: Path) -> tuple[MaisiUNet, MaisiControlNet, dict[str, Tensor]]:
    """The networks of an official recording with their weights, and the recording."""
    path = folder / "generation" / "maisi" / f"unet_{process}"
    facts = json.loads(path.with_suffix(".json").read_text())
    unet = MaisiUNet(UNETS[process]).eval()
    head = MaisiControlNet(MaisiControlNetConfig(UNETS[process], 8, STEM)).eval()
    for network, seed in ((unet, facts["seed_unet"]), (head, facts["seed_controlnet"])):
        state = network.state_dict()
        network.load_state_dict({name: _recorded_weights(name, tensor, seed) for name, tensor in state.items()})
    return unet, head, load_file(path.with_suffix(".safetensors"))


def _recorded_weights(name: str, tensor: Tensor, seed: int) -> Tensor:
    """Weights of the official recordings, which follow from a formula of their own."""
    random = np.random.RandomState((zlib.crc32(name.encode()) ^ seed) & 0xFFFFFFFF)
    n = torch.from_numpy(np.asarray(random.standard_normal(tuple(tensor.shape))))
    if tensor.ndim > 1:
        return (n / math.sqrt(math.prod(tensor.shape[1:]))).float()
    return (1 + 0.1 * n if name.endswith("weight") else 0.1 * n).float()


CASES = {
    "maisi_autoencoder": Case("generation/maisi/autoencoder", 2e-5, autoencoder, autoencoder_deviation),
    "maisi_ddpm": Case(
        "generation/maisi/unet_ddpm", 5e-5, lambda: steered("ddpm"), lambda folder: steered_deviation("ddpm", folder)
    ),
    "maisi_rflow": Case(
        "generation/maisi/unet_rflow", 5e-5, lambda: steered("rflow"), lambda folder: steered_deviation("rflow", folder)
    ),
}
