"""The training of networks on axial slices: FBPConvNet, the U-Net, DOLCE and the ADM prior of DDS."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from torch import Tensor, nn

from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.adm_config import ADMConfig
from priors.networks.adm_unet import ADMUNet
from priors.networks.fbpconvnet import FBPConvNet, FBPConvNetConfig
from priors.networks.unet2d import UNet2D, UNetConfig
from priors.training.adm_learner import ADMLearner
from priors.weights.card import read_card
from priors.weights.networks import load_network
from recon.errors import InputError, input_errors
from recon.learned.refiner import KIND as REFINER
from recon.learned.slice_networks import run_slices, sample_slices
from recon.learned.task import Task
from recon.training.pairs import StoredPair, simulate_pairs, with_model_error
from recon.training.perceptual_term import image_learner
from recon.training.settings.parse import merged, parse_task, tell_overruled
from recon.training.settings.samples import Scans
from recon.training.settings.slices import ADMTask, DolceTask, SliceTask
from recon.training.slices import SliceSource
from recon.training.unet_starts import load_unet, with_inputs
from recon.training.validation import Validation, noise_validation
from recon.training.validation_images import reconstruction_validation, slice_pictures, together
from recon.training.workshop import Ingredients, Workshop

Network = TypeVar("Network", bound=nn.Module)


def build_fbpconv(given: Ingredients) -> Workshop:
    """FBPConvNet on one condition's slices."""
    task = needed_task(given)
    if len(task.conditions) != 1:
        raise InputError(f"`condition`: fbpconv takes one, not {', '.join(task.conditions)}")
    net = _network(given, FBPConvNet, FBPConvNetConfig(), "fbpconv")
    return _image_workshop(given, task, net, net.config.to_dict(), net.config.size_multiple, "fbpconv")


def build_unet(given: Ingredients) -> Workshop:
    """fastMRI's U-Net on the slices of one condition or more."""
    task = needed_task(given)
    net = _unet(given, len(task.conditions))
    return _image_workshop(given, task, net, net.config.to_dict(), 1, "unet")


def build_adm(given: Ingredients) -> Workshop:
    """A diffusion prior of slices, for DDS, DiffPIR and DDNM."""
    settings = parse_task(ADMTask, given.recipe.task)
    net = _network(given, ADMUNet, ADMConfig(), "adm")
    diffusion = GaussianDiffusion(settings.timesteps, "linear")
    learner = ADMLearner(net, diffusion)
    augmentation = settings.augmentation.build()
    source = SliceSource([each.volume for each in given.train], settings.crop, augmentation)
    held_out = [each.volume for each in given.val[: given.recipe.validation.cases]]
    validate: Validation | None = None
    if held_out:
        validate = noise_validation(learner, SliceSource(held_out, settings.crop, augmentation))
        if settings.sampling_steps:
            pictures = slice_pictures(diffusion, net.config.channels, settings.crop, settings.sampling_steps)
            validate = together(validate, pictures)
    about = {"modality": given.train[0].volume.modality, "image_range": [-1.0, 1.0]}
    return Workshop(learner, source, validate, extra=about)


def build_dolce(given: Ingredients) -> Workshop:
    """A diffusion model of slices under one condition or more."""
    task = needed_task(given)
    settings = parse_task(DolceTask, given.recipe.task)
    count = len(task.conditions)
    net = _network(given, ADMUNet, ADMConfig(in_channels=1 + count), "dolce")
    diffusion = GaussianDiffusion(settings.timesteps, "linear")
    with input_errors("recipe: network"):
        learner = ADMLearner(net, diffusion, count)
    augmentation = settings.augmentation.build()
    scans = _scans(given, task, settings)
    source = SliceSource(scans, settings.crop, augmentation)
    held_out = _held_out_scans(given, task, settings)
    validate: Validation | None = None
    if held_out:
        validate = noise_validation(learner, SliceSource(held_out, settings.crop, augmentation))
        if settings.sampling_steps:

            def reconstruct(network: nn.Module, images: Tensor) -> Tensor:
                assert isinstance(network, ADMUNet)
                return sample_slices(network, diffusion, images, settings.sampling_steps)

            validate = together(validate, reconstruction_validation(held_out, reconstruct))
    task = with_model_error(task, (scan.model_error for scan in scans))
    about = {"task": task.to_dict(), "image_range": [-1.0, 1.0]}
    return Workshop(learner, source, validate, _named(task), about)


def _image_workshop(
    given: Ingredients, task: Task, net: nn.Module, config: dict[str, Any], multiple: int, kind: str
) -> Workshop:
    """What all networks from images to images have in common."""
    settings = parse_task(SliceTask, given.recipe.task)
    with input_errors("recipe: task.crop"):
        check_multiple(settings.crop, multiple)
    learner = image_learner(net, kind, config, settings, given.device)
    scans = _scans(given, task, settings)
    source = SliceSource(scans, settings.crop, settings.augmentation.build())
    validate = reconstruction_validation(
        _held_out_scans(given, task, settings), lambda network, images: run_slices(network, images, multiple)
    )
    task = with_model_error(task, (scan.model_error for scan in scans))
    return Workshop(learner, source, validate, _named(task), {"task": task.to_dict()})


def check_multiple(edge: int, multiple: int) -> None:
    """``ValueError`` if the network cannot take slices of this edge."""
    if edge % multiple:
        raise ValueError(f"{edge} is no multiple of {multiple}, as the network needs it")


def needed_task(given: Ingredients) -> Task:
    """The task, without which there is nothing to learn (:class:`InputError`)."""
    if given.task is None:
        raise InputError("`task`: say what the network shall undo, svct or mri")
    modality = given.train[0].volume.modality
    if modality != given.task.modality:
        raise InputError(f"`task`: for {given.task.modality}, and the data are {modality}")
    return given.task


def _network(given: Ingredients, kind: type[Network], defaults: Any, name: str) -> Network:
    """From the initial weights, or new with the recipe's settings on top of the defaults."""
    if given.warm_start:
        with input_errors("`warm_start`"):
            loaded: Network = load_network(given.warm_start, name)
        tell_overruled(loaded.config.to_dict(), given.recipe.network, given.announce)  # type: ignore[union-attr, operator]
        return loaded
    with input_errors("recipe: network"):
        settings = merged(defaults.to_dict(), given.recipe.network)
        return kind(type(defaults).from_dict(settings))


def _unet(given: Ingredients, images: int) -> UNet2D:
    """As :func:`_network`; it may begin as a refiner too, whose other inputs are left out."""
    if given.warm_start is None or read_card(given.warm_start).kind != REFINER:
        return _network(given, UNet2D, UNetConfig(in_channels=images), "unet")
    with input_errors("`warm_start`"):
        net = with_inputs(load_unet(given.warm_start), images)
    tell_overruled(net.config.to_dict(), given.recipe.network, given.announce, ("in_channels",))
    return net


def _scans(given: Ingredients, task: Task, settings: Scans) -> list[StoredPair]:
    given.announce(f"simulating {settings.variants * len(given.train)} scans")
    volumes = [each.volume for each in given.train]
    return simulate_pairs(
        volumes, task, settings.variants, given.cache, device=given.device, excerpts=settings.excerpts
    )


def _held_out_scans(given: Ingredients, task: Task, settings: Scans) -> list[StoredPair]:
    volumes = [each.volume for each in given.val[: given.recipe.validation.cases]]
    return simulate_pairs(volumes, task, 1, given.cache, device=given.device, excerpts=settings.held_out)


def _named(task: Task) -> dict[str, str]:
    return {"task": json.dumps(task.to_dict())}
