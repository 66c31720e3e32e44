"""Names and shapes of the tensors in the released files, as hashes of the official lists."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from priors.networks.adm_config import ADMConfig
from priors.networks.adm_unet import ADMUNet
from priors.networks.autoencoder import PatchVolumeAutoencoder
from priors.networks.biflownet import BiFlowNet
from priors.networks.fbpconvnet import FBPConvNet, FBPConvNetConfig
from priors.networks.hagan.config import HAGANConfig
from priors.networks.hagan.discriminator import HAGANDiscriminator
from priors.networks.hagan.encoders import HAGANEncoder, HAGANSubEncoder
from priors.networks.hagan.generator import HAGANGenerator
from priors.networks.medicaldiffusion.config import FactorisedUNetConfig, VQGANConfig
from priors.networks.medicaldiffusion.unet import FactorisedUNet
from priors.networks.medicaldiffusion.vqgan import VQGAN
from priors.networks.medsyn.config import MedSynConfig, MedSynSRConfig
from priors.networks.medsyn.finer import MedSynSR
from priors.networks.medsyn.low import MedSynLow
from priors.networks.unet2d import UNet2D, UNetConfig
from priors.networks.wdm.config import WDMConfig
from priors.networks.wdm.make import make_wdm


def official_autoencoder(factor: int) -> dict[str, Any]:
    """The released configurations, as far as they describe the network."""
    model = {"n_hiddens": 48, "embedding_dim": 8, "n_codes": 8192, "norm_type": "group", "num_groups": 24}
    discriminator = {"disc_channels": 32, "disc_layers": 3}
    return {
        "model": model | discriminator | {"downsample": [factor] * 3},
        "dataset": {"image_channels": 1, "patch_size": 64},
    }


HAGAN: dict[str, Callable[[HAGANConfig], nn.Module]] = {
    "generator": HAGANGenerator,
    "discriminator": HAGANDiscriminator,
    "encoder": HAGANEncoder,
    "sub_encoder": HAGANSubEncoder,
}

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "autoencoder_4x": lambda: PatchVolumeAutoencoder.from_official_config(official_autoencoder(4), perceptual=True),
    "autoencoder_8x": lambda: PatchVolumeAutoencoder.from_official_config(official_autoencoder(8), perceptual=True),
    "biflownet_4x": lambda: BiFlowNet.from_official_config({"patch_size": 2}),
    "biflownet_8x": lambda: BiFlowNet.from_official_config({"patch_size": 1}),
    "dds_AAPM256": lambda: ADMUNet(ADMConfig.dds_ct()),
    "dds_fastmri_knee_320_complex": lambda: ADMUNet(ADMConfig.dds_mri()),
    "dolce_model512": lambda: ADMUNet(ADMConfig.dolce()),
    "fastmri_unet": lambda: UNet2D(UNetConfig(chans=32)),
    "fbpconvnet": lambda: FBPConvNet(FBPConvNetConfig()),
    "medicaldiffusion_unet_dim32": lambda: FactorisedUNet(FactorisedUNetConfig(width=32)),
    "medicaldiffusion_unet_dim64": lambda: FactorisedUNet(FactorisedUNetConfig()),
    "medicaldiffusion_vqgan4": lambda: VQGAN(VQGANConfig()),
    "medicaldiffusion_vqgan8": lambda: VQGAN(VQGANConfig(downsample=8)),
    "medsyn_low": lambda: MedSynLow(MedSynConfig()),
    "medsyn_sr": lambda: MedSynSR(MedSynSRConfig()),
    **{
        f"wdm_{form}_{edge}": lambda edge=edge, form=form: make_wdm(WDMConfig.published(edge, form))
        for form in ("unet", "wavunet")
        for edge in (128, 256)
    },
    **{
        f"hagan_{edge}_{name}": lambda edge=edge, kind=kind: kind(HAGANConfig(size=edge))
        for name, kind in HAGAN.items()
        for edge in (128, 256)
    },
}
"""Networks of the released sizes by the name of their official list."""


def digest(layout: Iterable[tuple[str, list[int]]]) -> dict[str, Any]:
    """Number of tensors, and SHA-256 of the sorted names and shapes."""
    rows = sorted([name, list(shape)] for name, shape in layout)
    return {"tensors": len(rows), "sha256": hashlib.sha256(json.dumps(rows).encode()).hexdigest()}


def ours(name: str) -> dict[str, Any]:
    """The layout of a network of this suite."""
    with torch.device("meta"):
        network = NETWORKS[name]()
    return digest((key, list(tensor.shape)) for key, tensor in network.state_dict().items())


def official(name: str, shared: Path) -> dict[str, Any]:
    """The layout as the official release has it."""
    if name.startswith(("autoencoder", "biflownet")):
        table = json.loads((shared / "specs" / f"keys_{name}.json").read_text())
        return digest((key, shape) for key, (shape, _) in table.items())
    generator = shared / "specs" / "generation" / f"keys_{name}.json"
    if generator.is_file():
        return digest((key, shape) for key, (shape, _) in json.loads(generator.read_text())["keys"].items())
    folder = shared / "fixtures" / "baselines"
    if name == "fastmri_unet":
        return digest(json.loads((folder / "fastmri_unet_tiny.json").read_text())["state_dict_keys_chans32_pools4"])
    if name == "fbpconvnet":
        return digest(json.loads((folder / "fbpconvnet.json").read_text())["state_dict_layout"])
    return digest(json.loads((folder / f"{name}_state_dict_layout.json").read_text()))
