"""Networks of the baselines: ADM's U-Net, fastMRI's U-Net, FBPConvNet."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import l1_loss

from parity.case import Case, Computed, class_name, described, largest
from parity.formula import fill, noise, units
from priors.networks.adm_config import ADMConfig
from priors.networks.adm_unet import ADMUNet
from priors.networks.fbpconvnet import FBPConvNet, FBPConvNetConfig
from priors.networks.unet2d import UNet2D, UNetConfig

FORWARD = 5e-5
ADM = ADMConfig(channels=2, in_channels=2, width=32, multipliers=(1, 2), attention=(2,), head_width=16)
UNET = UNetConfig(chans=8, pool_layers=3)


def adm() -> Computed:
    """Noise estimate and variance of a complex image."""
    network = ADMUNet(ADM).eval()
    sha256 = fill(network, gain=1.0)
    with torch.no_grad():
        output = network(noise("image", 2, 2, 32, 32), torch.tensor([17, 640]))
    return Computed(class_name(network), ADM.to_dict(), sha256, {"output": output})


def adm_deviation(folder: Path) -> float:
    known = load_file(folder / "baselines" / "adm_unet_tiny.safetensors")
    network = ADMUNet(ADM).eval()
    weights = {name.removeprefix("w."): value.float() for name, value in known.items() if name.startswith("w.")}
    network.load_state_dict(weights, strict=True)
    with torch.no_grad():
        return largest((network(known["in.x"], known["in.t"]), known["out.y"]))


def unet() -> Computed:
    """Images of even and odd sizes, and three steps of the published training."""
    network = UNet2D(UNET).eval()
    sha256 = fill(network, gain=1.0)
    even, odd = noise("even", 2, 1, 64, 48), noise("odd", 1, 1, 45, 37)
    with torch.no_grad():
        outputs = {"even": network(even), "odd": network(odd)}
    outputs["losses"] = _three_losses(network, even, noise("target", 2, 1, 64, 48))
    return Computed(class_name(network), UNET.to_dict(), sha256, outputs)


def _three_losses(network: UNet2D, image: Tensor, target: Tensor) -> Tensor:
    optimizer = torch.optim.RMSprop(network.train().parameters(), lr=1e-3)
    losses = []
    for _ in range(3):
        loss = l1_loss(network(image), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def unet_deviation(folder: Path) -> float:
    path = folder / "baselines" / "fastmri_unet_tiny"
    known = load_file(f"{path}.safetensors")
    network = UNet2D(UNET).eval()
    network.load_state_dict({name[2:]: tensor for name, tensor in known.items() if name.startswith("w.")})
    with torch.no_grad():
        outputs = [(network(known[f"in.{which}"]), known[f"out.{which}"]) for which in ("even", "odd")]
    losses = _three_losses(network, known["in.even"], known["train.target"])
    return largest(*outputs, (losses, torch.tensor(described(path)["train_losses"])))


def fbpconvnet() -> Computed:
    """The published network, which has one size."""
    network = FBPConvNet(FBPConvNetConfig()).eval()
    sha256 = fill(network)
    with torch.no_grad():
        output = network(units("image", 1, 1, 32, 48))
    return Computed(class_name(network), FBPConvNetConfig().to_dict(), sha256, {"output": output})


def fbpconvnet_deviation(folder: Path) -> float:
    network = FBPConvNet(FBPConvNetConfig()).eval()
    state = network.state_dict()
    network.load_state_dict({name: recorded_weights(i, name, tensor) for i, (name, tensor) in enumerate(state.items())})
    with np.load(folder / "baselines" / "fbpconvnet.npz", allow_pickle=False) as known, torch.no_grad():
        return largest((network(torch.from_numpy(known["x"])), torch.from_numpy(known["y_eval"])))


def recorded_weights(i: int, name: str, tensor: Tensor) -> Tensor:
    """Weights of the official recording of FBPConvNet, which follow from a formula of their own."""
    j = torch.arange(tensor.numel(), dtype=torch.float64)
    if name.endswith("num_batches_tracked"):
        return torch.zeros_like(tensor)
    if tensor.ndim == 4:
        values = torch.sin(12.9898 * (j + 1) + 78.233 * i) * math.sqrt(2 / tensor[0].numel())
    elif name.endswith("running_mean"):
        values = 0.05 * torch.sin(0.7 * j + i)
    elif name.endswith("running_var"):
        values = 1 + 0.3 * torch.cos(0.9 * j + i)
    else:
        values = (1 if name.endswith("weight") else 0) + 0.1 * torch.sin(1.3 * j + i)
    return values.reshape(tensor.shape).float()


CASES = {
    "adm": Case("baselines/adm_unet_tiny", FORWARD, adm, adm_deviation),
    "unet": Case("baselines/fastmri_unet_tiny", FORWARD, unet, unet_deviation),
    "fbpconvnet": Case("baselines/fbpconvnet", FORWARD, fbpconvnet, fbpconvnet_deviation),
}
