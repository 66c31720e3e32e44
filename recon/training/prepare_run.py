"""From a request to what the loop takes: volumes, then the network's builder."""

from __future__ import annotations

import torch

from datasets.cache import Cache
from recon.training.own_classes import check_own_classes
from recon.training.registry import find_training
from recon.training.request import Request
from recon.training.sources import TrainingVolume, load_split, parts_for
from recon.training.workshop import Announce, Ingredients, Workshop


def make_workshop(
    request: Request, announce: Announce, device: torch.device | None = None
) -> tuple[list[TrainingVolume], Workshop]:
    """The volumes that a request trains on, and what the loop takes of them.

    Raises:
        InputError: data, recipe, base or weights that cannot be used.
    """
    task = request.learned_task
    cache = Cache(request.cache)
    parts = parts_for(request.parts, request.mask or task)
    train_volumes = load_split(parts, "train", cache, announce)
    val_volumes = load_split(parts, "val", cache, announce)
    check_own_classes(request.classes, train_volumes)
    announce(f"{len(train_volumes)} volumes for training, {len(val_volumes)} for validation")
    given = Ingredients(
        request.recipe,
        train_volumes,
        val_volumes,
        cache,
        announce,
        request.base,
        request.warm_start,
        request.stage,
        task,
        request.head,
        request.mask,
        device or torch.device("cpu"),
        classes=request.classes,
    )
    return train_volumes, find_training(request.network).build(given)
