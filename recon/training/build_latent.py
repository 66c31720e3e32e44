"""The training of networks on latents: BiFlowNet, and ControlNet heads on a trained one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from priors.diffusion.anatomy import ANATOMIES, CLASSES, Anatomy
from priors.diffusion.average import average_latent
from priors.diffusion.learned import PATIENTS
from priors.diffusion.patch_volume import PatchVolumePrior
from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.biflownet import BiFlowNet, BiFlowNetConfig
from priors.networks.new_conditions import with_classes, with_patient
from priors.networks.patient import SEXES, LearnedPatients
from priors.networks.sizes import check_size
from priors.training.diffusion_learner import BiFlowNetLearner, ControlNetLearner
from priors.weights.card import SHOWN_WEIGHTS
from priors.weights.networks import load_biflownet
from priors.weights.store import BIFLOWNET
from recon.errors import InputError, input_errors
from recon.methods.conditions import weights_of_task
from recon.training.base_prior import check_crop, check_many_steps, encoding_of, in_folder, new_head, timesteps_of
from recon.training.build_mask_head import build_mask_head
from recon.training.excerpts import Excerpts
from recon.training.generators.cube_workshop import with_cubes
from recon.training.latents import Encoding, LatentSource, Size, StoredLatent
from recon.training.own_classes import anatomies, check_released_classes, class_facts, own_class_names
from recon.training.pairs import StoredPair, simulate_pairs, with_model_error
from recon.training.settings.parse import merged, parse_task, tell_overruled
from recon.training.settings.volumes import BiFlowNetTask, ControlNetTask, LatentTask
from recon.training.sources import TrainingVolume
from recon.training.validation import Validation, noise_validation
from recon.training.validation_images import (
    generation_pictures,
    head_reconstruction,
    reconstruction_validation,
    together,
)
from recon.training.workshop import Ingredients, Workshop


def build_biflownet(given: Ingredients) -> Workshop:
    """On the latents of a trained autoencoder."""
    settings = parse_task(BiFlowNetTask, given.recipe.task)
    given = with_cubes(given, settings.cubes)
    encoding = encoding_of(given, settings)
    flips = (False, True) if settings.mirror else (False,)

    def encoded(volumes: Sequence[TrainingVolume], flips: Sequence[bool]) -> list[StoredLatent]:
        given.announce(f"encoding {len(volumes)} volumes")
        found = [(encoding.volume_latent(v.volume, v.class_index, flip=flip), v) for v in volumes for flip in flips]
        return [replace(latent, patient=v.patient) for latent, v in found]

    net = _biflownet(given, encoding.autoencoder.config.latent_channels, settings)
    check_crop(settings, net)
    learner = BiFlowNetLearner(net, GaussianDiffusion(settings.timesteps), settings.loss)
    source = _latent_source(encoded(given.train, flips), settings, net.config)
    held_out = encoded(given.val[: given.recipe.validation.cases], (False,))
    loss = noise_validation(learner, _latent_source(held_out, settings, net.config) if held_out else None)
    pictures = _generated(given, encoding, learner.diffusion, settings) if loss and settings.sampling_steps else None
    named = {"autoencoder": encoding.sha256}
    known = anatomies(given.classes, given.train)
    facts = {
        "classes": _classes(given.train, known),
        "size": list(encoding.least),
    }
    if net.config.prediction == "noise":  # from noise alone its samples have a wrong mean; velocities know the mean
        facts["averages"] = average_latents(given.train, encoding, settings.crop, net.size_multiple, known)
    if net.config.patient:
        named = named | {"patient": patients_sha256(given.train)}
        facts |= {PATIENTS: learned_from(given).to_dict()}
    if given.classes:
        named = named | {"classes": ",".join(given.classes)}
        facts |= {ANATOMIES: class_facts(known)}
    return Workshop(learner, source, together(loss, pictures), named, {"autoencoder": encoding.sha256} | facts)


def learned_from(given: Ingredients) -> LearnedPatients:
    """The ages and sexes that a training learns from, told in one line.

    Raises:
        InputError: the data say neither of anybody.
    """
    people = {each.volume.case.subject: each.patient for each in given.train}
    ages = [each.age for each in people.values() if each.age is not None]
    sexes = tuple(sex for sex in SEXES if any(each.sex == sex for each in people.values()))
    if not ages and not sexes:
        raise InputError(
            "`data`: no volume says age or sex; state them in a list (age, sex, patients), or leave task.patient out"
        )
    span = f" ({min(ages):g} to {max(ages):g} years)" if ages else ""
    known = sum(each.sex is not None for each in people.values())
    given.announce(f"of {len(people)} people the age of {len(ages)} is known{span}, and the sex of {known}")
    return LearnedPatients((min(ages), max(ages)) if ages else None, sexes)


def patients_sha256(volumes: Sequence[TrainingVolume]) -> str:
    """A hash of the ages and sexes of a training, which a resumed run must share with its checkpoint."""
    listing = [[each.patient.age, each.patient.sex] for each in volumes]
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def average_latents(
    volumes: Sequence[TrainingVolume],
    encoding: Encoding,
    crop: Size,
    multiple: int,
    known: Sequence[Anatomy] = CLASSES,
) -> dict[str, Any]:
    """Of each class, as plain values; see :mod:`priors.diffusion.average`.

    Args:
        volumes: the volumes of the training set.
        encoding: keeps their latents.
        crop: (z, x, y) latent voxels that samples of the training have; the usual volume is as thick, and as wide as
            the class's median.
        multiple: latent voxels that the noise estimator's sizes are multiples of.
        known: the classes by their indices.
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    for each in volumes:
        stored = encoding.volume_latent(each.volume, each.class_index, flip=False)
        found.setdefault(known[each.class_index].name, {})[each.volume.case.id] = stored.latents
    factor, averages = encoding.autoencoder.compression, {}
    for name, latents in sorted(found.items()):
        widths = np.median([latent.shape[2:] for latent in latents.values()], axis=0)
        x, y = (factor * multiple * max(1, round(float(width) / multiple)) for width in widths)
        read = (torch.from_numpy(np.array(latent)) for latent in latents.values())
        averages[name] = average_latent(read, (factor * crop[0], x, y)).to_dict()
    return averages


def _classes(volumes: Sequence[TrainingVolume], known: Sequence[Anatomy]) -> dict[str, list[float]]:
    """The classes that are learned, each with the median (z, x, y) mm of its volumes."""
    names = [known[each.class_index].name for each in volumes]
    return {
        name: np.median([v.volume.spacing for v, own in zip(volumes, names, strict=True) if own == name], 0).tolist()
        for name in sorted(set(names))
    }


def _generated(
    given: Ingredients, encoding: Encoding, diffusion: GaussianDiffusion, settings: LatentTask
) -> Validation:
    """New volumes of the classes that are trained, of the size of the crops."""
    classes = sorted({each.class_index for each in given.train})
    with input_errors("recipe: task.crop"):
        check_size(settings.crop, encoding.autoencoder.size_multiple)
    z, x, y = (edge * encoding.autoencoder.compression for edge in settings.crop)
    return generation_pictures(encoding.autoencoder, diffusion, classes, (z, x, y), settings.sampling_steps)


def _biflownet(given: Ingredients, channels: int, settings: BiFlowNetTask) -> BiFlowNet:
    if given.warm_start:
        with input_errors("`warm_start`"):
            net = load_biflownet(given.warm_start)
        if not given.classes:
            check_released_classes(given.warm_start, "warm_start")
        tell_overruled(net.config.to_dict(), given.recipe.network, given.announce)
        net = with_classes(net, _rows(given, net)) if given.classes else net
        return with_patient(net) if settings.patient else net
    with input_errors("recipe: network"):
        if "patient" in given.recipe.network:
            raise ValueError("patient: it follows from task.patient; set that")
        sizes = merged(BiFlowNetConfig(channels=channels).to_dict(), given.recipe.network)
        own = {"classes": len(given.classes)} if given.classes else {}
        return BiFlowNet(BiFlowNetConfig.from_dict(sizes | own | {"patient": settings.patient}))


def _rows(given: Ingredients, net: BiFlowNet) -> list[int]:
    """For each own class the row of the initial weights' embedding that it begins with.

    That is the row of a class of the same name or, where there is none, that of the modality's usual class.
    """
    assert given.warm_start is not None
    names = own_class_names(given.warm_start) or [each.name for each in CLASSES]
    usual = {"CT": "CTChestAbdomen", "MR": "MRT1Brain"}[given.train[0].volume.modality]
    default = min(names.index(usual), net.config.classes - 1) if usual in names else 0
    return [names.index(name) if name in names[: net.config.classes] else default for name in given.classes]


def build_controlnet(given: Ingredients) -> Workshop:
    """A head for one task on a trained prior."""
    settings = parse_task(ControlNetTask, given.recipe.task)
    if given.mask is not None:
        return build_mask_head(given, given.mask, settings)
    if given.task is None:
        raise InputError("`task`: say what controlnet shall learn to undo, svct or mri")
    settings.refuse_without_effect("mask", given.task.acquisition.card_name)
    encoding = encoding_of(given, settings)
    base = load_biflownet(in_folder(given.base, BIFLOWNET))
    check_released_classes(in_folder(given.base, BIFLOWNET), "base")
    check_many_steps(in_folder(given.base, BIFLOWNET))
    check_crop(settings, base)
    source, pairs = _encoded_scans(
        given, given.train, settings, encoding, base.config, settings.excerpts, settings.variants
    )
    task = with_model_error(given.task, (pair.model_error for pair in pairs))
    head = new_head(given, base, base.config.channels * len(task.conditions), task.to_dict())
    diffusion = GaussianDiffusion(timesteps_of(in_folder(given.base, BIFLOWNET), settings.timesteps))
    learner = ControlNetLearner(head, base, diffusion, settings.loss)
    held_out = given.val[: given.recipe.validation.cases]
    validate = _validate_head(given, held_out, settings, encoding, learner) if held_out else None
    identity = {"base": head.base_hash, "autoencoder": encoding.sha256, "task": json.dumps(task.to_dict())}
    facts = {"autoencoder": encoding.sha256, SHOWN_WEIGHTS: weights_of_task(task)}
    return Workshop(learner, source, validate, identity, facts)


def _encoded_scans(
    given: Ingredients,
    volumes: Sequence[TrainingVolume],
    settings: ControlNetTask,
    encoding: Encoding,
    base: BiFlowNetConfig,
    excerpts: Excerpts,
    variants: int,
) -> tuple[LatentSource, list[StoredPair]]:
    """Simulated scans, and their latents as samples."""
    assert given.task is not None
    given.announce(f"simulating and encoding {variants * len(volumes)} scans")
    pairs = simulate_pairs(
        [each.volume for each in volumes], given.task, variants, given.cache, device=given.device, excerpts=excerpts
    )
    owners = [each for each in volumes for _ in range(variants)]
    stored = [
        replace(encoding.pair_latent(pair, each.class_index), patient=each.patient)
        for pair, each in zip(pairs, owners, strict=True)
    ]
    return _latent_source(stored, settings, base), pairs


def _validate_head(
    given: Ingredients,
    volumes: Sequence[TrainingVolume],
    settings: ControlNetTask,
    encoding: Encoding,
    learner: ControlNetLearner,
) -> Validation | None:
    """The loss on held-out scans, and what the head makes of them."""
    source, pairs = _encoded_scans(given, volumes, settings, encoding, learner.base.config, settings.held_out, 1)
    if not settings.sampling_steps:
        return noise_validation(learner, source)
    prior = PatchVolumePrior(encoding.autoencoder, learner.base, learner.diffusion)
    reconstruct = head_reconstruction(prior, volumes[0].class_index, settings.sampling_steps)
    return together(noise_validation(learner, source), reconstruction_validation(pairs, reconstruct))


def _latent_source(stored: Sequence[StoredLatent], settings: LatentTask, net: BiFlowNetConfig) -> LatentSource:
    with input_errors("recipe: task.crop"):
        return LatentSource(stored, settings.crop, net.channels, settings.per_volume, told_patient=net.patient)
