"""One training run from request to weights file."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from priors.training.checkpoints import read_checkpoint
from priors.training.loop import Progress, Training
from priors.training.one_run import only_run
from priors.weights.card import Card, save_weights
from priors.weights.importing import file_sha256
from priors.weights.seen import chain_facts
from recon.errors import RunError, input_errors
from recon.run import provenance
from recon.training.machine import Machine
from recon.training.prepare_run import make_workshop
from recon.training.registry import find_training
from recon.training.request import Request, check_out
from recon.training.seen import begun_with, own_data, seen_before
from recon.training.sources import TrainingVolume
from recon.training.workshop import Announce, Workshop


def silent(text: str) -> None:
    """Say nothing of progress."""


def train(
    request: Request,
    machine: Machine | None = None,
    announce: Announce = silent,
    on_step: Callable[[Progress], None] | None = None,
) -> Path | None:
    """Train to the recipe's last step, going on from the newest checkpoint in ``request.out``, and write the weights.

    Args:
        request: what is to be trained.
        machine: the machine that trains; None is one process on the CPU.
        announce: called with one line about progress.
        on_step: is told of every step.

    Returns:
        The weights file; None on all but the first process.

    Raises:
        InputError: data, recipe, base or checkpoint that cannot be used, or a folder in which another run is going on.
        RunError: the run itself failed.
        Stopped: it was asked to stop.
    """
    check_out(request.out, request.network)
    fabric = (machine or Machine()).fabric(request.recipe)
    with ExitStack() as held:
        if fabric.is_global_zero:
            with input_errors("`out`"):
                held.enter_context(only_run(request.out))
        return _train(request, fabric, announce if fabric.is_global_zero else silent, on_step)


def _train(
    request: Request, fabric: Fabric, announce: Announce, on_step: Callable[[Progress], None] | None
) -> Path | None:
    """See :func:`train`; the folder is this run's alone."""
    torch.manual_seed(request.recipe.seed)
    train_volumes, workshop = make_workshop(request, announce, fabric.device)
    with input_errors("`out`"):
        training = Training(
            workshop.learner,
            request.recipe,
            workshop.source,
            request.out,
            fabric,
            validate=workshop.validate,
            identity=workshop.identity | begun_with(request, train_volumes),
        )
        done = training.resume()
    if done:
        announce(f"going on after {done} of {request.recipe.steps} steps")
    started = time.perf_counter()
    try:
        training.run(on_step)
    except ValueError as error:
        raise RunError(str(error)) from error
    path = request.out / (find_training(request.network).file or f"{request.network}.safetensors")
    if fabric.is_global_zero:
        facts = _facts(request, train_volumes, fabric, time.perf_counter() - started)
        # A processor's time is summed over its cores: it is that of one thread.
        threads = 1 if request.recipe.clock == "processor" else torch.get_num_threads()
        facts |= {"steps": training.step, "seconds": round(training.seconds, 3), "threads": threads}
        _export(training, workshop, path, request, facts)
        return path
    return None


def _export(training: Training, workshop: Workshop, path: Path, request: Request, facts: dict[str, Any]) -> None:
    """Write the best network by validation, or the last where nothing was validated or the recipe asks for it."""
    best = request.out / "checkpoints" / "best.ckpt"
    if request.recipe.validation.keep == "best" and training.best is not None and best.is_file():
        state = read_checkpoint(best)
        facts |= {"step": state["step"], "validation": {request.recipe.validation.metric: state["best"]}}
        training.restore(state)
    card = workshop.learner.card()
    source = f"trained with recon train {request.network}, recipe {Path(request.name).name or 'of its own'}"
    with input_errors("`out`"):
        save_weights(
            path,
            training.network.state_dict(),
            Card(
                workshop.learner.kind, card["config"], source, request.licence, card["extra"] | workshop.extra | facts
            ),
        )
    if request.base is not None and request.base.resolve() != request.out.resolve():
        for name in find_training(request.network).beside:
            shutil.copyfile(request.base / name, request.out / name)  # the folder is a prior then


def _named_networks(task: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's task section, whose perceptual network is named by its file and hash wherever the file lies."""
    file = task.get("perceptual")
    if not file:
        return dict(task)
    return {**task, "perceptual": f"{Path(file).name} (SHA-256 {file_sha256(Path(file))[:12]})"}


def _facts(request: Request, volumes: Sequence[TrainingVolume], fabric: Fabric, seconds: float) -> dict[str, Any]:
    """How the weights came to be; nobody's name is in it."""
    return {
        "recipe": request.recipe.model_dump(mode="json") | {"task": _named_networks(request.recipe.task)},
        **chain_facts(own_data(volumes), seen_before(request)),
        "data": [part.facts() for part in request.parts],
        "device": str(fabric.device),
        "seconds_of_last_session": round(seconds, 3),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
    }
