"""Each network's builder: from a recipe and data to a learner with its samples and its validation."""

from __future__ import annotations

from collections.abc import Callable

from recon.training.build_autoencoder import build_autoencoder
from recon.training.build_latent import build_biflownet, build_controlnet
from recon.training.build_refiner import build_refiner
from recon.training.build_slices import build_adm, build_dolce, build_fbpconv, build_unet
from recon.training.build_unrolled import build_modl, build_primal_dual
from recon.training.workshop import Ingredients, Workshop

BUILDERS: dict[str, Callable[[Ingredients], Workshop]] = {
    "autoencoder": build_autoencoder,
    "biflownet": build_biflownet,
    "controlnet": build_controlnet,
    "refiner": build_refiner,
    "fbpconv": build_fbpconv,
    "unet": build_unet,
    "dolce": build_dolce,
    "adm": build_adm,
    "primal-dual": build_primal_dual,
    "modl": build_modl,
}
"""By the name that ``recon train`` takes."""
