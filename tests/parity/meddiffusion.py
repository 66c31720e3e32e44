"""The networks of 3D MedDiffusion's release: autoencoder, discriminator, noise estimator, sampling, LPIPS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import l1_loss

from parity.case import Case, Computed, Outputs, class_name, described, largest, largest_of_integers
from parity.formula import fill, integers, noise, units
from priors.diffusion.samplers import ddim, ddpm, spaced_timesteps
from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder
from priors.networks.biflownet import BiFlowNet, BiFlowNetConfig
from priors.networks.discriminator import DiscriminatorConfig
from priors.networks.perceptual import LPIPS, tri_plane_distance

FORWARD = 5e-5
CHAIN = 3e-4

AUTOENCODER = AutoencoderConfig(
    width=8,
    latent_channels=4,
    codes=32,
    norm_groups=4,
    patch=16,
    discriminator=DiscriminatorConfig(channels=4, layers=2),
)
AUTOENCODER_GRADIENTS = ("decoder.final_block.2.weight", "encoder.conv_first.weight", "pre_vq_conv.weight")

SMALL_A: dict[str, Any] = {"width": 24, "multipliers": (1, 1, 2), "channels": 4, "norm_groups": 6, "dit_heads": 4}
SMALL_B: dict[str, Any] = {"width": 12, "multipliers": (1, 1, 2, 4), "channels": 8, "norm_groups": 4, "dit_heads": 2}
ESTIMATORS = {
    "biflownet_tinyA_patch1": BiFlowNetConfig(
        **SMALL_A, attention=(False, False, True), attention_heads=2, token_patch=1
    ),
    "biflownet_tinyB_patch2": BiFlowNetConfig(
        **SMALL_B, attention=(False, False, True, True), attention_heads=2, token_patch=2, classes=3, middle_dit=2
    ),
}
ESTIMATOR_GRADIENTS = ("init_conv.weight", "res_mlp.0.weight", "final_conv.1.bias")


def autoencoder() -> Computed:
    """Encoder, codes, decoder, whole volumes and the losses of the first stage."""
    network = PatchVolumeAutoencoder(AUTOENCODER)
    sha256 = fill(network, gain=1.0)
    x, volume = units("patches 16", 2, 1, 16, 16, 16), units("volume", 1, 1, 32, 16, 16)
    with torch.no_grad():
        network.eval()
        z = network.encode(x)
        codes, embeddings, losses = network.quantize(z)
        outputs: Outputs = {"latent": z, "codes": codes, "embeddings": embeddings}
        outputs |= {"commitment": losses["commitment_loss"], "perplexity": losses["perplexity"]}
        outputs["image of given codes"] = network.decode(integers("codes", 32, 2, 4, 4, 4))
        outputs["volume of given codes"] = network.decode(integers("codes of a volume", 32, 1, 8, 4, 4))
        outputs["latent by patches"] = network.patch_encode(volume)
        outputs["latent of the whole volume"] = network.encode(volume)
        outputs["normalised latent"] = network.normalise(outputs["latent by patches"])
    network.train()
    reconstruction, losses = network(x)
    total = 4 * l1_loss(reconstruction, x) + losses["commitment_loss"]
    total.backward()
    outputs |= {"reconstruction": reconstruction, "loss": total}
    outputs |= {f"gradient of {name}": _gradient(network, name) for name in AUTOENCODER_GRADIENTS}
    return Computed(class_name(network), AUTOENCODER.to_dict(), sha256, outputs)


def closest_codes() -> float:
    """By how much the second-nearest code is farther than the nearest, squared: the least over all latents.

    The codes of the case above are the same on every machine only if this is well above rounding.
    """
    network = PatchVolumeAutoencoder(AUTOENCODER).eval()
    fill(network, gain=1.0)
    with torch.no_grad():
        z = network.encode(units("patches 16", 2, 1, 16, 16, 16)).movedim(1, -1).flatten(0, -2)
    two = torch.cdist(z.double(), network.codebook.embeddings.double()).square().sort(dim=1).values[:, :2]
    return float((two[:, 1] - two[:, 0]).min())


def autoencoder_deviation(folder: Path) -> float:
    path = folder / "meddiffusion" / "autoencoder_tiny4x"
    network = PatchVolumeAutoencoder.from_official_config(described(path)["config"]).eval()
    assert network.config == AUTOENCODER
    network.load_state_dict(load_file(f"{path}_weights.safetensors"), strict=True)
    known = load_file(f"{path}_tensors.safetensors")
    with torch.no_grad():
        z = network.encode(known["patch_x"])
        codes, embeddings, losses = network.quantize(z)
        found = largest(
            (z, known["patch_z_prequant"]),
            (embeddings, known["patch_embeddings"]),
            (losses["commitment_loss"], known["patch_commitment_loss"]),
            (losses["perplexity"], known["patch_perplexity"]),
            (network.decode(codes), known["patch_decode_from_indices"]),
            (network.patch_encode(known["vol_x"]), known["vol_latent_continuous"]),
            (network.encode(known["vol_x"]), known["vol_latent_wholevolume"]),
            (network.decode(known["vol_latent_continuous"]), known["vol_joint_decode"]),
            (network.normalise(known["vol_latent_continuous"]), known["vol_latent_normalized"]),
        )
    reconstruction, losses = network.train()(known["patch_x"])
    total = 4 * l1_loss(reconstruction, known["patch_x"]) + losses["commitment_loss"]
    total.backward()
    gradients = [(_gradient(network, name), known[f"grad_{name}"]) for name in AUTOENCODER_GRADIENTS]
    trained = largest((total, known["loss_stage1_noGAN"]), *gradients)
    return max(found, trained, largest_of_integers(codes, known["patch_indices"]))


def discriminator() -> Computed:
    """The PatchGAN of the autoencoder, in evaluation and in training."""
    network = PatchVolumeAutoencoder(AUTOENCODER)
    sha256 = fill(network, gain=1.0)
    judge, x = network.volume_discriminator, units("patches 16", 2, 1, 16, 16, 16)
    assert judge is not None
    with torch.no_grad():
        logits, features = judge.eval()(x)
        in_training, _ = judge.train()(x)
    outputs = {"logits": logits, "logits in training": in_training}
    outputs |= {f"feature {number}": feature for number, feature in enumerate(features)}
    return Computed(class_name(judge), AUTOENCODER.to_dict(), sha256, outputs)


def discriminator_deviation(folder: Path) -> float:
    path = folder / "meddiffusion" / "autoencoder_tiny4x"
    network = PatchVolumeAutoencoder(AUTOENCODER)
    network.load_state_dict(load_file(f"{path}_weights.safetensors"), strict=True)
    judge, known = network.volume_discriminator, load_file(f"{path}_tensors.safetensors")
    assert judge is not None
    with torch.no_grad():
        logits, features = judge.eval()(known["patch_x"])
        pairs = [(logits, known["disc_eval_logits"])]
        pairs += [(feature, known[f"disc_eval_feat{number}"]) for number, feature in enumerate(features)]
        pairs += [(judge.train()(known["patch_x"])[0], known["disc_train_logits_real"])]
    return largest(*pairs)


def estimator(name: str) -> Computed:
    """The noise estimate of two latents, and gradients of the training loss."""
    config = ESTIMATORS[name]
    network = BiFlowNet(config).eval()
    sha256 = fill(network, gain=1.0)
    size = (8, 16, 8) if config.token_patch == 1 else (8, 16, 16)
    z, target = noise("latent", 2, config.channels, *size), noise("noise", 2, config.channels, *size)
    t, y = torch.tensor([0, 731]), torch.tensor([1, config.classes - 1])
    res = torch.tensor([[0.25, 0.125, 0.125], [0.5, 0.75, 0.625]])
    estimate = network(z, t, y, res)
    outputs: Outputs = {"noise estimate": estimate.detach()}
    loss = GaussianDiffusion().loss(lambda z_t, t: network(z_t, t, y, res), z, t, target, "l1")
    loss.backward()
    outputs["loss"] = loss
    outputs |= {f"gradient of {each}": _gradient(network, each) for each in _present(network, ESTIMATOR_GRADIENTS)}
    return Computed(class_name(network), config.to_dict(), sha256, outputs)


def estimator_deviation(name: str, folder: Path) -> float:
    path = folder / "meddiffusion" / name
    about = described(path)
    network = BiFlowNet.from_official_config(about["config"]).eval()
    assert network.config == ESTIMATORS[name]
    network.load_state_dict(load_file(f"{path}_weights.safetensors"), strict=True)
    known = load_file(f"{path}_tensors.safetensors")
    with torch.no_grad():
        forward = [
            (network(*(known[f"case{case}_{part}"] for part in ("z_t", "t", "y", "res"))), known[f"case{case}_eps"])
            for case in range(len(about["cases"]))
        ]
    t, y, res = (known[f"case0_{part}"] for part in ("t", "y", "res"))
    loss = GaussianDiffusion().loss(
        lambda z_t, t: network(z_t, t, y, res), known["train_x0"], t, known["train_noise"], "l1"
    )
    loss.backward()
    gradients = [
        (_gradient(network, each.removeprefix("grad_")), value) for each, value in known.items() if each[:5] == "grad_"
    ]
    return largest(*forward, (loss, known["train_loss_l1"]), *gradients)


def sampling() -> Computed:
    """The released chains: 20 DDPM steps, and 8 DDIM steps with the released last step and eta."""
    network = BiFlowNet(ESTIMATORS["biflownet_tinyA_patch1"]).eval()
    sha256 = fill(network, gain=1.0)
    z = noise("start", 1, 4, 8, 8, 8)
    estimate = network.bind(torch.tensor([3]), torch.tensor([[0.125, 0.125, 0.125]]))
    outputs = {name: _chain(name, estimate, z, draws=None) for name in CHAINS}
    return Computed(class_name(network), network.config.to_dict(), sha256, outputs)


CHAINS: dict[str, float | None] = {"ddpm20": None, "ddim8_eta0": 0.0, "ddim8_eta05": 0.5}
"""Runs by their recorded names, with eta of DDIM."""


@torch.no_grad()
def _chain(name: str, estimate: Any, z: Tensor, draws: Tensor | None) -> Tensor:
    """All states of a chain; its noise is given or follows from the formula."""
    states: list[Tensor] = []
    count = iter(range(1000))

    def draw(like: Tensor) -> Tensor:
        number = next(count)
        return noise(f"{name}, draw {number}", *like.shape) if draws is None else draws[number]

    common: dict[str, Any] = {"noise": draw, "on_step": lambda done, total, z, x0: states.append(z)}
    eta = CHAINS[name]
    if eta is None:
        ddpm(estimate, z, GaussianDiffusion(20), spaced_timesteps(20, 20), **common)
    else:
        times = spaced_timesteps(1000, 8)
        official = {"official_last_step": True, "official_eta": True}
        ddim(estimate, z, GaussianDiffusion(1000), times, eta=eta, **official, **common)
    return torch.stack(states)


def sampling_deviation(folder: Path) -> float:
    folder = folder / "meddiffusion"
    known = load_file(folder / "sampling_tinyA.safetensors")
    network = BiFlowNet(ESTIMATORS["biflownet_tinyA_patch1"]).eval()
    network.load_state_dict(load_file(folder / "biflownet_tinyA_patch1_weights.safetensors"), strict=True)
    estimate = network.bind(known["y"], known["res"])
    nothing = torch.empty(0)
    chains = ((name, known.get(f"{name}.noise", nothing)) for name in CHAINS)
    return largest(
        *((_chain(name, estimate, known["z_init"], draws), known[f"{name}.states"]) for name, draws in chains)
    )


def schedule() -> Computed:
    """Every buffer of the released noise schedules of 1000 and 20 steps."""
    outputs = {
        f"{steps} steps: {name}": values
        for steps in (1000, 20)
        for name, values in GaussianDiffusion(steps).named_buffers()
    }
    return Computed(class_name(GaussianDiffusion()), {"timesteps": [1000, 20]}, "", outputs)


def schedule_deviation(folder: Path) -> float:
    known = load_file(folder / "meddiffusion" / "schedule.safetensors")
    ours = {f"T{steps}.{name}": v for steps in (1000, 20) for name, v in GaussianDiffusion(steps).named_buffers()}
    assert ours.keys() == known.keys()
    return max(float(((ours[name] - known[name]) / known[name].abs().clamp_min(1)).abs().max()) for name in known)


def lpips() -> Computed:
    """Perceptual distances of slices and the tri-plane distance of two volumes."""
    network = LPIPS()
    sha256 = fill(network)
    for name, parameter in network.named_parameters():
        if name.startswith("lin"):
            parameter.data.abs_()
    one, other = units("slices", 2, 1, 32, 24), units("slices", 2, 1, 32, 24) + 0.1 * units("change", 2, 1, 32, 24)
    x, y = units("volume", 1, 1, 20, 32, 24), units("volume", 1, 1, 20, 32, 24) + 0.1 * units("noise", 1, 1, 20, 32, 24)
    planes = [torch.tensor([1, 7]), torch.tensor([0, 30]), torch.tensor([5, 11])]
    with torch.no_grad():
        outputs = {"slices": network(one, other), "planes": tri_plane_distance(network, x, y, planes)}
    return Computed(class_name(network), {}, sha256, outputs)


def lpips_deviation(folder: Path) -> float:
    path = folder / "meddiffusion" / "lpips_triplane"
    known = load_file(f"{path}.safetensors")
    network = LPIPS()
    with torch.no_grad():
        for (name, parameter), rule in zip(network.named_parameters(), described(path)["k_and_rule"], strict=True):
            assert (name, list(parameter.shape)) == (rule[0], rule[1])
            parameter.copy_(_recorded_wave(tuple(parameter.shape), rule[2], name.startswith("lin")))
        indices = [known[f"triplane_idx_{plane}"] for plane in ("xy(axis2)", "xz(axis3)", "yz(axis4)")]
        return largest(
            (network(known["lpips_slices_a"], known["lpips_slices_b"]), known["lpips_value"]),
            (tri_plane_distance(network, known["x"], known["x_recon"], indices), known["triplane_loss"]),
        )


def _recorded_wave(shape: tuple[int, ...], phase: float, head: bool) -> Tensor:
    """Weights of the official recording of LPIPS, which follow from a formula of their own."""
    wave = torch.sin(0.7 * torch.arange(torch.Size(shape).numel(), dtype=torch.float64) + phase).view(shape)
    if head:
        return (wave.abs() / shape[1]).float()
    return ((0.05 if len(shape) == 1 else 2 / torch.Size(shape[1:]).numel() ** 0.5) * wave).float()


def _gradient(network: torch.nn.Module, name: str) -> Tensor:
    gradient = network.get_parameter(name).grad
    assert gradient is not None, name
    return gradient


def _present(network: torch.nn.Module, names: tuple[str, ...]) -> list[str]:
    known = dict(network.named_parameters())
    return [name for name in names if name in known]


CASES = {
    "autoencoder": Case("meddiffusion/autoencoder_tiny4x", FORWARD, autoencoder, autoencoder_deviation),
    "discriminator": Case("meddiffusion/autoencoder_tiny4x", FORWARD, discriminator, discriminator_deviation),
    **{
        name: Case(
            f"meddiffusion/{name}",
            FORWARD,
            lambda name=name: estimator(name),
            lambda folder, name=name: estimator_deviation(name, folder),
        )
        for name in ESTIMATORS
    },
    "sampling": Case("meddiffusion/sampling_tinyA", CHAIN, sampling, sampling_deviation),
    "schedule": Case("meddiffusion/schedule", 1e-6, schedule, schedule_deviation),
    "lpips": Case("meddiffusion/lpips_triplane", 1e-6, lpips, lpips_deviation),
}
