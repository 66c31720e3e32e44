"""The four networks of HA-GAN; the recordings have the published widths and a short latent vector."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from parity.case import Case, Computed, Outputs, class_name, described, largest
from parity.formula import fill, noise, units
from parity.recipe import fill_by_recipe
from priors.networks.hagan.config import HAGANConfig
from priors.networks.hagan.discriminator import HAGANDiscriminator
from priors.networks.hagan.encoders import HAGANEncoder, HAGANSubEncoder
from priors.networks.hagan.generator import HAGANGenerator

FORWARD = 1e-4
SMALL = HAGANConfig(size=64, width=8, latent=16, classes=3)
FIRST = 16


@dataclass
class Networks:
    """All of them, by the names that the recordings have."""

    generator: HAGANGenerator
    discriminator: HAGANDiscriminator
    encoder: HAGANEncoder
    sub_encoder: HAGANSubEncoder

    @classmethod
    def of(cls, config: HAGANConfig) -> Networks:
        return cls(HAGANGenerator(config), HAGANDiscriminator(config), HAGANEncoder(config), HAGANSubEncoder(config))


@torch.no_grad()
def _outputs(networks: Networks, latent: Tensor, first: int, classes: Tensor | None = None) -> Outputs:
    """What the networks make of a latent vector, one after another."""
    generator, judge = networks.generator, networks.discriminator
    features = generator.features(latent, classes)
    slab, low = generator.high(generator.slab(features, first)), generator.low(features)
    encoded = networks.encoder(slab)
    outputs = {"slab": slab, "low": low, "encoded": encoded, "back": generator.high(encoded)}
    outputs["code"] = networks.sub_encoder(encoded.repeat(1, 1, 8, 1, 1))
    for name, mode in (("logit", False), ("logit in training", True), ("logit once more", True)):
        judged = judge.train(mode)(slab, low, first)
        outputs[name] = judged.logit
        if judged.classes is not None:
            outputs[f"{name}: classes"] = judged.classes
    return outputs


def networks() -> Computed:
    """A small form with classes."""
    made = Networks.of(SMALL)
    hashes = [fill(each, gain=1.0) for each in _all(made)]
    for name, buffer in made.discriminator.named_buffers():
        buffer.copy_(units(name, *buffer.shape) if name.endswith("u0") else torch.ones_like(buffer))
    outputs = _outputs(made, noise("latent", 2, SMALL.latent), FIRST, torch.tensor([0, 2]))
    return Computed(class_name(made.generator), SMALL.to_dict(), "".join(each[:16] for each in hashes), outputs)


def _all(made: Networks) -> list[nn.Module]:
    return [made.generator, made.discriminator, made.encoder, made.sub_encoder]


def deviation(edge: int, folder: Path) -> float:
    path = folder / "generation" / "hagan" / f"nets_{edge}"
    about, known = described(path), load_file(f"{path}.safetensors")
    made = Networks.of(HAGANConfig(size=edge, latent=about["latent_dim"]))
    for name in ("generator", "discriminator", "encoder", "sub_encoder"):
        fill_by_recipe(getattr(made, name), about["seeds"][name], about["gain"][name])
    found = _outputs(made, known["z"], about["crop_idx"])
    shown: Any = (..., slice(0, 4), *[slice(None, None, 8 if edge == 256 else 4)] * 2)
    layer = made.discriminator.get_submodule("conv2")
    return largest(
        (found["slab"][shown], known["high"]),
        (torch.stack([found["slab"].mean(), found["slab"].std()]), known["high_mean_std"]),
        (found["low"][:, :, ::4, ::4, ::4], known["low"]),
        (found["encoded"][:, ::8, :, ::8, ::8], known["encoded"]),
        (found["back"][shown], known["back"]),
        (found["code"], known["sub_code"]),
        (found["logit"], known["logit"]),
        (found["logit in training"], known["logit_train1"]),
        (found["logit once more"], known["logit_train2"]),
        (layer.get_buffer("u0"), known["u0_conv2_after2"]),
        (layer.get_buffer("sv0"), known["sv0_conv2_after2"]),
    )


CASES = {
    f"hagan {edge}": Case(
        f"generation/hagan/nets_{edge}", FORWARD, networks, lambda folder, edge=edge: deviation(edge, folder)
    )
    for edge in (128, 256)
}
