"""The training of a head that is shown segmentations, on a trained prior."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from priors.diffusion.anatomy import CLASSES
from priors.diffusion.schedule import GaussianDiffusion
from priors.training.diffusion_learner import ControlNetLearner
from priors.weights.card import SHOWN_WEIGHTS
from priors.weights.networks import load_biflownet
from priors.weights.store import BIFLOWNET
from recon.errors import InputError, input_errors
from recon.io.cases import has_segmentation
from recon.learned.mask_task import MaskTask
from recon.training.base_prior import check_crop, check_many_steps, encoding_of, in_folder, new_head, timesteps_of
from recon.training.latents import Encoding
from recon.training.mask_latents import MaskSource, class_map, stored_mask
from recon.training.own_classes import check_released_classes
from recon.training.settings.volumes import ControlNetTask
from recon.training.sources import TrainingVolume
from recon.training.validation import noise_validation
from recon.training.workshop import Ingredients, Workshop


def build_mask_head(given: Ingredients, task: MaskTask, settings: ControlNetTask) -> Workshop:
    """A head for segmentations.

    Raises:
        InputError: no volume with a segmentation, a label that no volume has, or settings that have no effect.
    """
    settings.refuse_without_effect("scans", "mask")
    weights = label_weights(task, settings)
    train = _with_segmentation(given, given.train)
    if not train:
        raise InputError("`data`: no volume for training has a segmentation; 'benchmarks data how' says where they lie")
    encoding = encoding_of(given, settings)
    base = load_biflownet(in_folder(given.base, BIFLOWNET))
    check_released_classes(in_folder(given.base, BIFLOWNET), "base")
    check_many_steps(in_folder(given.base, BIFLOWNET))
    check_crop(settings, base)
    voxels = label_voxels(train, task, given)
    flips = (False, True) if settings.mirror else (False,)
    source = _source(given, train, task, settings, encoding, weights, flips, base.config.patient)
    hint_channels = task.hint_channels(base.config.channels, encoding.autoencoder.compression)
    head = new_head(given, base, hint_channels, task.to_dict())
    diffusion = GaussianDiffusion(timesteps_of(in_folder(given.base, BIFLOWNET), settings.timesteps))
    learner = ControlNetLearner(head, base, diffusion, settings.loss)
    held_out = _with_segmentation(given, given.val)[: given.recipe.validation.cases]
    val = (
        _source(given, held_out, task, settings, encoding, weights, (False,), base.config.patient) if held_out else None
    )
    identity = {"base": head.base_hash, "autoencoder": encoding.sha256, "task": json.dumps(task.to_dict())}
    facts: dict[str, Any] = {"autoencoder": encoding.sha256, SHOWN_WEIGHTS: {}, "label_voxels": voxels}
    return Workshop(learner, source, noise_validation(learner, val), identity, facts | _grids(train))


def label_weights(task: MaskTask, settings: ControlNetTask) -> dict[int, float]:
    """The weights of the loss by the index of the class.

    Raises:
        InputError: a name that is no label of the head, or a weight below 1.
    """
    indices = {name: task.numbers.index(number) for number, name in task.named.items()}
    for name, weight in settings.label_weights.items():
        if name not in indices:
            raise InputError(f"recipe: task.label_weights.{name}: no label of the head; it has {', '.join(indices)}")
        if not 1 <= weight < float("inf"):
            raise InputError(f"recipe: task.label_weights.{name} {weight:g}: must be 1 or more")
    return {indices[name]: float(weight) for name, weight in settings.label_weights.items()}


def _with_segmentation(given: Ingredients, volumes: Sequence[TrainingVolume]) -> list[TrainingVolume]:
    found = [each for each in volumes if has_segmentation(each.volume.case)]
    if left := len(volumes) - len(found):
        given.announce(f"{left} volumes without a segmentation are left out")
    return found


def label_voxels(volumes: Sequence[TrainingVolume], task: MaskTask, given: Ingredients) -> dict[str, int]:
    """The voxels of each label in the training's volumes, by name; each volume counts once.

    Raises:
        InputError: a label that no volume has.
    """
    own = {each.volume.case.id: each.volume for each in volumes}
    given.announce(f"reading {len(own)} segmentations")
    counts = np.zeros(len(task.numbers), np.int64)
    for volume in own.values():
        counts += np.bincount(np.ravel(class_map(volume, task, given.cache)), minlength=len(task.numbers))
    found = {name: int(counts[task.numbers.index(number)]) for number, name in task.named.items()}
    for number, name in task.named.items():
        if not found[name]:
            raise InputError(f"`labels` {number}={name}: no segmentation of the training's volumes has this label")
    return found


def _source(
    given: Ingredients,
    volumes: Sequence[TrainingVolume],
    task: MaskTask,
    settings: ControlNetTask,
    encoding: Encoding,
    weights: dict[int, float],
    flips: Sequence[bool],
    told_patient: bool,
) -> MaskSource:
    given.announce(f"encoding {len(volumes)} volumes")
    stored = [
        replace(stored_mask(each.volume, task, encoding, each.class_index, flip=flip), patient=each.patient)
        for each in volumes
        for flip in flips
    ]
    first = len(task.numbers) - len(task.labels)
    with input_errors("recipe: task.crop"):
        return MaskSource(
            stored,
            settings.crop,
            weights,
            settings.per_volume,
            around_labels=settings.around_labels,
            first_label=first,
            told_patient=told_patient,
        )


def _grids(volumes: Sequence[TrainingVolume]) -> dict[str, Any]:
    """The classes that were learned, each with the median voxel size (z, x, y) in mm of its volumes."""
    names = sorted({CLASSES[each.class_index].name for each in volumes})
    spacings = {
        name: [each.volume.spacing for each in volumes if CLASSES[each.class_index].name == name] for name in names
    }
    return {"classes": {name: np.median(own, axis=0).tolist() for name, own in spacings.items()}}
