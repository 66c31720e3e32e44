"""One training run from request to weights file."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from torch import nn
from torch.utils.data import default_collate

from datasets.cache import Cache
from priors.training.batches import StepBatches
from priors.training.checkpoints import read_checkpoint
from priors.training.learner import Learner
from priors.training.loop import Progress, Training
from priors.training.recipe import Recipe
from priors.weights.card import Card, save_weights
from priors.weights.store import AUTOENCODER
from recon.acquisition.tasks import Task
from recon.errors import InputError, RunError, input_errors
from recon.run import provenance
from recon.training.builders import BUILDERS
from recon.training.sources import DataPart, TrainingVolume, load_split, parts_for
from recon.training.workshop import Ingredients, Report, Workshop

FILE_NAMES = {"controlnet": "head.safetensors"}
"""Where a network's weights file is not called after its kind."""


@dataclass(frozen=True)
class Request:
    """What is to be trained, on what.

    Attributes:
        network: a key of ``BUILDERS``.
        recipe: see there.
        parts: data sets.
        out: folder of the run; a run that is there is gone on with.
        cache: folder for what is computed once.
        base: folder of the prior that the network builds upon.
        warm_start: weights to begin with.
        stage: of the autoencoder.
        task: what a head or a method learns to undo.
        head: whose samples a refiner learns from.
        licence: goes into the weights file.
        name: of the recipe, for the card.
    """

    network: str
    recipe: Recipe
    parts: list[DataPart]
    out: Path
    cache: Path
    base: Path | None = None
    warm_start: Path | None = None
    stage: int = 1
    task: Task | None = None
    head: Path | None = None
    licence: str = ""
    name: str = ""


@dataclass(frozen=True)
class Machine:
    """Where it runs: ``cpu`` or ``cuda``, processes on this node, nodes."""

    accelerator: str = "cpu"
    devices: int = 1
    nodes: int = 1

    def fabric(self, recipe: Recipe) -> Fabric:
        """Started processes included."""
        many = self.devices * self.nodes > 1
        torch.backends.cudnn.benchmark = True  # crops have one size, for which it finds the quickest convolutions
        # Phases of a run (generator, discriminator) leave the other's parameters unused.
        strategy: Any = DDPStrategy(find_unused_parameters=True) if many else "auto"
        fabric = Fabric(
            accelerator=self.accelerator,
            devices=self.devices,
            num_nodes=self.nodes,
            strategy=strategy,
            precision=recipe.precision,
        )
        fabric.launch()
        return fabric


def train(
    request: Request, machine: Machine, report: Report, on_step: Callable[[Progress], None] | None = None
) -> Path | None:
    """Train to the recipe's last step, going on from the newest checkpoint in ``request.out``, and write the weights.

    Returns:
        The weights file; None on all but the first process.

    Raises:
        InputError: data, recipe, base or checkpoint that cannot be used.
        RunError: the run itself failed.
        Stopped: it was asked to stop.
    """
    fabric = machine.fabric(request.recipe)
    torch.manual_seed(request.recipe.seed)
    report = report if fabric.is_global_zero else _silent
    train_volumes, workshop = _workshop(request, report, fabric.device)
    with input_errors("`out`"):
        training = Training(
            workshop.learner,
            request.recipe,
            workshop.source,
            request.out,
            fabric,
            validate=workshop.validate,
            identity=workshop.identity,
        )
        done = training.resume()
    if done:
        report(f"going on after {done} of {request.recipe.steps} steps")
    started = time.perf_counter()
    try:
        training.run(on_step)
    except ValueError as error:
        raise RunError(str(error)) from error
    path = request.out / FILE_NAMES.get(request.network, f"{request.network}.safetensors")
    if fabric.is_global_zero:
        facts = _facts(request, train_volumes, workshop, fabric, time.perf_counter() - started)
        _export(training, workshop, path, request, facts)
        return path
    return None


def _silent(text: str) -> None:
    """The other processes of a run say nothing."""


def _workshop(
    request: Request, report: Report, device: torch.device | None = None
) -> tuple[list[TrainingVolume], Workshop]:
    cache = Cache(request.cache)
    parts = parts_for(request.parts, request.task)
    train_volumes = load_split(parts, "train", cache, report)
    val_volumes = load_split(parts, "val", cache, report)
    report(f"{len(train_volumes)} volumes for training, {len(val_volumes)} for validation")
    given = Ingredients(
        request.recipe,
        train_volumes,
        val_volumes,
        cache,
        report,
        request.base,
        request.warm_start,
        request.stage,
        request.task,
        request.head,
        device or torch.device("cpu"),
    )
    return train_volumes, BUILDERS[request.network](given)


def _export(training: Training, workshop: Workshop, path: Path, request: Request, facts: dict[str, Any]) -> None:
    """Write the best network by validation, or the last where nothing was validated."""
    best = request.out / "checkpoints" / "best.ckpt"
    if training.best is not None and best.is_file():
        state = read_checkpoint(best)
        facts |= {"step": state["step"], "validation": {request.recipe.validation.metric: state["best"]}}
        training.restore(state)
    card = workshop.learner.card()
    source = f"trained with recon train {request.network}, recipe {request.name or 'of its own'}"
    with input_errors("`out`"):
        save_weights(
            path,
            training.network.state_dict(),
            Card(
                workshop.learner.kind, card["config"], source, request.licence, card["extra"] | workshop.extra | facts
            ),
        )
    if request.network == "biflownet" and request.base is not None and request.base.resolve() != request.out.resolve():
        shutil.copyfile(request.base / AUTOENCODER, request.out / AUTOENCODER)  # the folder is a prior then


def _facts(
    request: Request, volumes: Sequence[TrainingVolume], workshop: Workshop, fabric: Fabric, seconds: float
) -> dict[str, Any]:
    """How the weights came to be."""
    return {
        "recipe": request.recipe.model_dump(mode="json"),
        "subjects": sorted({each.volume.case.subject for each in volumes}),
        "cases": sorted({each.volume.case.id for each in volumes}),
        "data": [part.facts() for part in request.parts],
        "device": str(fabric.device),
        "seconds_of_last_session": round(seconds, 1),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
    }


@dataclass(frozen=True)
class Estimate:
    """What a dry run tells.

    Attributes:
        parameters: that are trained.
        frozen: that are not.
        memory_gb: weights, gradients, optimiser, average and activations of one process.
        steps_per_epoch: optimiser steps that see every item once.
        items: of the training set.
        volumes: for training.
    """

    parameters: int
    frozen: int
    memory_gb: float
    steps_per_epoch: float
    items: int
    volumes: int


def estimate(request: Request, report: Report) -> Estimate:
    """Build everything, send one sample through the network on the CPU, and train nothing.

    Raises:
        InputError: as :func:`train`.
    """
    torch.manual_seed(request.recipe.seed)
    volumes, workshop = _workshop(request, report)
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


def check_out(out: Path, network: str) -> None:
    """Refuse a folder that holds something else than a run.

    Raises:
        InputError: a file, or a folder with other things in it.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"`out` {out}: a file; a folder is wanted")
    if out.is_dir() and any(out.iterdir()) and not (out / "checkpoints").is_dir():
        raise InputError(f"`out` {out}: not empty, and no training run of {network} to go on with; name another folder")
