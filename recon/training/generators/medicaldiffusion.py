"""The trainings of Medical Diffusion: the VQ-GAN, then the noise estimator on its latents."""

from __future__ import annotations

from priors.diffusion.schedule import GaussianDiffusion
from priors.generators.medicaldiffusion import UNET_KIND, VQGAN_FILE, VQGAN_KIND
from priors.networks.medicaldiffusion.vqgan import VQGAN
from priors.networks.perceptual import LPIPS, TriPlanePerceptual
from priors.networks.sizes import check_size
from priors.training.generators.medicaldiffusion import LatentNoiseLearner, VQGANLearner
from priors.weights.card import read_card
from priors.weights.networks import load_network
from priors.weights.perceptual_files import load_perceptual
from recon.errors import InputError, input_errors
from recon.training.base_prior import in_folder
from recon.training.generators.cube_workshop import cubes, diffusion_workshop
from recon.training.generators.stages import check_one_class, check_part, new_network
from recon.training.settings.medicaldiffusion import MedicalDiffusionTask, VQGANTask
from recon.training.settings.parse import parse_task
from recon.training.workshop import Ingredients, Workshop


def build_vqgan(given: Ingredients) -> Workshop:
    """The VQ-GAN, from scratch or from initial weights."""
    settings = parse_task(VQGANTask, given.recipe.task)
    net: VQGAN = new_network(given, VQGAN_KIND)
    with input_errors("recipe: task.size"):
        net.latent_size(settings.size)
    check_part("task.crop", settings.crop, settings.size)
    with input_errors("recipe: task.crop"):
        net.latent_size(settings.crop or settings.size)
    net.codebook.decay, net.codebook.restart_below = settings.code_decay, settings.restart_below
    start = settings.adversarial_start if settings.adversarial else None
    learner = VQGANLearner(net, _lpips(settings.perceptual), start, crop=settings.crop)
    return diffusion_workshop(learner, cubes(given, settings))


def _lpips(path: str | None) -> LPIPS | None:
    if path is None:
        return None
    with input_errors("task.perceptual"):
        found = load_perceptual(path)
    if not isinstance(found, TriPlanePerceptual):
        raise InputError(f"recipe: task.perceptual {path}: LPIPS is wanted, which compares slices")
    return found.lpips


def build_medicaldiffusion(given: Ingredients) -> Workshop:
    """The noise estimator on the latents of a trained VQ-GAN."""
    settings = parse_task(MedicalDiffusionTask, given.recipe.task)
    path = in_folder(given.base, VQGAN_FILE)
    with input_errors("`base`"):
        vqgan: VQGAN = load_network(path, VQGAN_KIND)
    net = new_network(given, UNET_KIND, {"channels": vqgan.config.latent_channels})
    with input_errors("recipe: task.size"):
        _, x, y = vqgan.latent_size(settings.size)
        check_size((x, y), net.size_multiple, ("X", "Y"))
    learner = LatentNoiseLearner(net, vqgan, GaussianDiffusion(settings.timesteps), settings.loss)
    found = cubes(given, settings)
    check_one_class("medicaldiffusion", found)
    return diffusion_workshop(learner, found, {VQGAN_KIND: read_card(path).sha256})
