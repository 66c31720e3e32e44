"""What a training would need: parameters, memory, steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.data import default_collate

from priors.training.batches import StepBatches
from priors.training.learner import Learner
from priors.training.recipe import Recipe
from recon.training.prepare_run import make_workshop
from recon.training.request import Request, check_out
from recon.training.workshop import Announce


@dataclass(frozen=True)
class Estimate:
    """What a dry run tells.

    Attributes:
        parameters: the number of parameters that are trained.
        frozen: the number of parameters that are not trained.
        memory_gb: weights, gradients, optimiser, average and activations of one process.
        steps_per_epoch: optimiser steps that see every item once.
        items: the items of the training set.
        volumes: the volumes for training.
    """

    parameters: int
    frozen: int
    memory_gb: float
    steps_per_epoch: float
    items: int
    volumes: int


def estimate(request: Request, announce: Announce) -> Estimate:
    """Build everything, send one sample through the network on the CPU, and train nothing.

    Raises:
        InputError: as :func:`train`.
    """
    check_out(request.out, request.network)
    torch.manual_seed(request.recipe.seed)
    volumes, workshop = make_workshop(request, announce)
    learner, recipe = workshop.learner, request.recipe
    trained = sum(p.numel() for group in learner.phases().values() for p in group)
    frozen = sum(p.numel() for p in learner.parameters()) - trained
    per_sample = activation_bytes(learner, workshop.source, recipe)
    copies = 4 + (1 if recipe.ema else 0)  # weights, gradients, two moments, average
    memory = 4 * (copies * trained + frozen) + per_sample * (recipe.batch // recipe.accumulate)
    items = len(workshop.source)
    return Estimate(trained, frozen, memory / 1e9, items / recipe.batch, items, len(volumes))


def activation_bytes(learner: Learner, source: Any, recipe: Recipe) -> int:
    """Bytes that one sample's forward pass keeps for the backward pass, float32."""
    batch = StepBatches(source, 1, 1, recipe.seed)[0]
    batch = default_collate([{key: value[0] for key, value in batch.items()}])
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, nn.Parameter):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    learner.train()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        losses = learner(batch, learner.phase(0), 0)
    del losses
    return sum(kept.values())
