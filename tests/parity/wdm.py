"""Both networks of WDM: the transform, one estimate, the training's loss, and a chain of five steps."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from parity.case import Case, Computed, Outputs, class_name, described, largest
from parity.formula import fill, noise, units
from parity.recipe import fill_by_recipe
from priors.diffusion.clean_samplers import ancestral, even_timesteps
from priors.diffusion.schedule import GaussianDiffusion
from priors.generators.wdm import clipped
from priors.networks.wdm.config import WDMConfig
from priors.networks.wdm.haar import from_coefficients, to_coefficients, white_coefficients
from priors.networks.wdm.make import WDMNetwork, make_wdm

FORWARD = 5e-5
CONFIGS = {
    "unet": WDMConfig("unet", width=8, multipliers=(1, 2, 2), norm_groups=4),
    "wavunet": WDMConfig("wavunet", width=8, multipliers=(1, 2, 2), norm_groups=4),
}


def network(form: str) -> Computed:
    """What follows from an image, noisy coefficients and noise."""
    made = make_wdm(CONFIGS[form]).eval()
    sha256 = fill(made, gain=1.0)
    image, image_noise = units("image", 1, 1, 16, 16, 16), noise("image noise", 1, 1, 16, 16, 16)
    draws = [noise(f"draw {number}", 1, 8, 8, 8, 8) for number in range(4)]
    outputs = _outputs(made, image, noise("x", 1, 8, 8, 8, 8), image_noise, draws)
    return Computed(class_name(made), CONFIGS[form].to_dict(), sha256, outputs)


@torch.no_grad()
def _outputs(network: WDMNetwork, image: Tensor, x: Tensor, image_noise: Tensor, draws: list[Tensor]) -> Outputs:
    diffusion, t, remaining = GaussianDiffusion(1000, "linear"), torch.tensor([250]), iter(draws)
    clean = to_coefficients(image)
    estimate = network(diffusion.q_sample(clean, t, white_coefficients(image_noise)), t)
    chain = ancestral(clipped(network), x, diffusion, even_timesteps(1000, 5), lambda like: next(remaining))
    return {
        "transform": clean,
        "inverse": from_coefficients(clean),
        "estimate": network(x, torch.tensor([437])),
        "noisy estimate": estimate,
        "losses of the bands": (estimate - clean).square().mean(dim=(0, 2, 3, 4)),
        "chain": chain,
        "volume": from_coefficients(chain),
    }


def deviation(form: str, folder: Path) -> float:
    path = folder / "generation" / "wdm" / form
    about, known = described(path), load_file(f"{path}.safetensors")
    made = make_wdm(CONFIGS[form]).eval()
    fill_by_recipe(made, about["seed"], about["gain"])
    draws = [known[f"chain_noise{number}"] for number in range(5)]
    found = _outputs(made, known["image"], known["x"], known["loss_noise"], draws)
    return largest(
        (found["transform"], known["dwt"]),
        (found["inverse"], known["inverse_of_dwt"]),
        (found["estimate"], known["out_t437"]),
        (found["noisy estimate"], known["loss_output_t250"]),
        (found["losses of the bands"], known["loss_per_band_t250"]),
        (found["chain"], known["chain_out"]),
        ((found["volume"] + 1) / 2, known["chain_image"]),
    )


CASES = {
    f"wdm {form}": Case(
        f"generation/wdm/{form}",
        FORWARD,
        lambda form=form: network(form),
        lambda folder, form=form: deviation(form, folder),
    )
    for form in CONFIGS
}
