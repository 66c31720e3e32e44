"""Networks of Medical Diffusion and MedSyn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from parity.case import Case, Computed, Outputs, class_name, largest, largest_of_integers
from parity.formula import fill, noise, units
from parity.recipe import fill_by_recipe
from priors.diffusion.continuous import alpha_bar, ddim_step, noised
from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.medicaldiffusion.config import FactorisedUNetConfig, VQGANConfig
from priors.networks.medicaldiffusion.unet import FactorisedUNet
from priors.networks.medicaldiffusion.vqgan import VQGAN
from priors.networks.medsyn.config import MedSynConfig, MedSynSRConfig, UpOrder
from priors.networks.medsyn.finer import MedSynSR
from priors.networks.medsyn.low import MedSynLow

FORWARD, CHAIN = 5e-5, 3e-4

VQ = VQGANConfig(width=8, latent_channels=4, codes=32, downsample=4, norm_groups=4, judge_channels=4, judge_layers=2)
UNET = FactorisedUNetConfig(width=8, multipliers=(1, 2), channels=4, heads=2, head_width=8, norm_groups=4)
LOW = MedSynConfig(width=8, multipliers=(1, 2), heads=2, norm_groups=4, init_kernel=3, text_width=12)
SR = MedSynSRConfig(width=8, multipliers=(1, 2), heads=2, norm_groups=4, init_kernel=3)

JUDGED_SLICE = 3
"""The slice that the recording shows the image discriminator."""

ALWAYS = -1e9
"""Usage below which a code starts anew: none does."""


@torch.no_grad()
def vqgan_outputs(network: VQGAN, x: Tensor, latent: Tensor) -> Outputs:
    """Everything that a recording has, of volumes and of latents; the codebook learns of the latents at the end."""
    outputs = {
        "h": network.encode(x),
        "indices": network.codebook.nearest(latent),
        "decoded": network.decode(latent),
        "normalised": network.normalise(latent),
        "image_logits": network.image_discriminator(x[:, :, JUDGED_SLICE])[0],
        "video_logits": network.video_discriminator(x)[0],
    }
    network.codebook.train()
    network.codebook.restart_below = ALWAYS
    _, outputs["quantised"], losses = network.codebook(latent)
    outputs |= {"commitment": losses["commitment_loss"][None], "perplexity": losses["perplexity"][None]}
    return outputs | {"codebook_after": network.codebook.embeddings, "N_after": network.codebook.N}


def vqgan() -> Computed:
    network = VQGAN(VQ).eval()
    sha256 = fill(network, gain=1.0)
    outputs = vqgan_outputs(network, units("volume", 2, 1, 16, 16, 16), noise("latent", 2, 4, 4, 4, 4))
    return Computed(class_name(network), VQ.to_dict(), sha256, {name: each.clone() for name, each in outputs.items()})


def vqgan_deviation(folder: Path) -> float:
    known = load_file(folder / "generation/medicaldiffusion/vqgan.safetensors")
    network = VQGAN(VQ).eval()
    fill_by_recipe(network, seed=41)
    found = vqgan_outputs(network, known["x"], known["h"])
    integers = largest_of_integers(found.pop("indices"), known.pop("indices"))
    return max(integers, largest(*((tensor, known[name]) for name, tensor in found.items())))


@torch.no_grad()
def unet_outputs(network: FactorisedUNet, z: Tensor, eps: Tensor, drawn: list[Tensor]) -> Outputs:
    """Estimates at two times, the loss, and a chain of four steps with given noises."""
    diffusion, t, noises = GaussianDiffusion(300), torch.tensor([7, 211]), iter(drawn)
    return {
        "out": network(z, t),
        "q_sample": diffusion.q_sample(z, t, eps),
        "l1_loss": diffusion.loss(network, z, t, eps)[None],
        "betas": diffusion.betas,
        "chain_out": single_steps(network, z, diffusion, noises),
    }


def single_steps(network: FactorisedUNet, z: Tensor, diffusion: GaussianDiffusion, noises: object) -> Tensor:
    """One ancestral step each from 299, 200, 100 and 0 to the step below."""
    for t, eps in zip((299, 200, 100, 0), noises, strict=True):  # type: ignore[call-overload]
        times = torch.full((len(z),), t)
        x0 = diffusion.predict_x0(z, times, network(z, times)).clamp(-1, 1)
        mean = diffusion.posterior_mean_coef1[t] * x0 + diffusion.posterior_mean_coef2[t] * z
        z = mean + (eps * (0.5 * diffusion.posterior_log_variance_clipped[t]).exp() if t else 0)
    return z


def unet() -> Computed:
    network = FactorisedUNet(UNET).eval()
    sha256 = fill(network, gain=1.0)
    drawn = [noise(f"chain {number}", 2, 4, 6, 8, 8) for number in range(4)]
    outputs = unet_outputs(network, noise("z", 2, 4, 6, 8, 8), noise("noise", 2, 4, 6, 8, 8), drawn)
    outputs.pop("betas")
    return Computed(class_name(network), UNET.to_dict(), sha256, outputs)


def unet_deviation(folder: Path) -> float:
    known = load_file(folder / "generation/medicaldiffusion/unet3d.safetensors")
    network = FactorisedUNet(UNET).eval()
    network.load_state_dict(load_file(folder / "generation/medicaldiffusion/unet3d_weights.safetensors"))
    found = unet_outputs(network, known["z"], known["noise"], [known[f"chain_noise{number}"] for number in range(4)])
    return largest(*((tensor, known[name]) for name, tensor in found.items()))


@torch.no_grad()
def low_outputs(network: MedSynLow, other: MedSynLow, x: Tensor, text: Tensor) -> Outputs:
    """Both forms, with and without a text."""
    t = torch.tensor([437.0, 12.0])
    return {"out": network(x, t, text), "out_without_text": network(x, t), "out_eval_form": other(x, t, text)}


def _low(order: UpOrder) -> MedSynLow:
    return MedSynLow(replace(LOW, up_order=order)).eval()


def low() -> Computed:
    network, other = _low("training"), _low("evaluation")
    sha256 = fill(network, gain=1.0)
    other.load_state_dict(network.state_dict())
    outputs = low_outputs(network, other, noise("x", 2, 4, 6, 8, 8), noise("text", 2, 192, 12))
    x0, eps, t = units("x0", 2, 4, 6, 8, 8), noise("noise", 2, 4, 6, 8, 8), torch.tensor([0.42, 0.02])
    outputs |= {"z_t": noised(x0, t, eps), "ddim_step": ddim_step(eps, x0, t, t - 0.02)}
    return Computed(class_name(network), LOW.to_dict(), sha256, outputs)


def low_deviation(folder: Path) -> float:
    known = load_file(folder / "generation/medsyn/low.safetensors")
    network, other = _low("training"), _low("evaluation")
    for each in (network, other):
        each.load_state_dict(load_file(folder / "generation/medsyn/low_weights.safetensors"))
    found = low_outputs(network, other, known["x"], known["text"])
    t = torch.tensor([0.437, 0.012])
    found |= {"z_t": noised(known["x0"], t, known["noise"]), "alpha_cumprod": alpha_bar(t)}
    t = torch.tensor([0.42, 0.02])
    found["ddim_step"] = ddim_step(known["noise"], known["x0"], t, torch.tensor([0.4, 0.0]))
    found["alpha_grid"] = alpha_bar(torch.linspace(-0.1, 1, 12))
    return largest(*((tensor, known[name]) for name, tensor in found.items()))


@torch.no_grad()
def sr_outputs(network: MedSynSR, other: MedSynSR, x: Tensor) -> Outputs:
    """Both forms, of the small volume and the noisy one along channels."""
    t = torch.tensor([437.0])
    return {"out": network(*x.chunk(2, dim=1), t), "out_eval_form": other(*x.chunk(2, dim=1), t)}


def sr() -> Computed:
    network, other = MedSynSR(SR).eval(), MedSynSR(replace(SR, up_order="evaluation")).eval()
    sha256 = fill(network, gain=1.0)
    other.load_state_dict(network.state_dict())
    outputs = sr_outputs(network, other, noise("x", 1, 8, 6, 8, 8))
    return Computed(class_name(network), SR.to_dict(), sha256, outputs)


def sr_deviation(folder: Path) -> float:
    known = load_file(folder / "generation/medsyn/sr.safetensors")
    network, other = MedSynSR(SR).eval(), MedSynSR(replace(SR, up_order="evaluation")).eval()
    for each in (network, other):
        each.load_state_dict(load_file(folder / "generation/medsyn/sr_weights.safetensors"))
    return largest(*((tensor, known[name]) for name, tensor in sr_outputs(network, other, known["x"]).items()))


CASES = {
    "medicaldiffusion_vqgan": Case("generation/medicaldiffusion/vqgan", FORWARD, vqgan, vqgan_deviation),
    "medicaldiffusion": Case("generation/medicaldiffusion/unet3d", CHAIN, unet, unet_deviation),
    "medsyn": Case("generation/medsyn/low", FORWARD, low, low_deviation),
    "medsyn_sr": Case("generation/medsyn/sr", FORWARD, sr, sr_deviation),
}
