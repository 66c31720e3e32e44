"""What a network is built from for its training, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from datasets.cache import Cache
from priors.training.batches import SampleSource
from priors.training.learner import Learner
from priors.training.loop import Validated
from priors.training.recipe import Recipe
from recon.learned.mask_task import MaskTask
from recon.learned.task import Task
from recon.training.sources import TrainingVolume

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Ingredients:
    """What a builder works from.

    Attributes:
        recipe: the recipe of the run.
        train, val: volumes of the two splits; the second may be empty.
        cache: the cache for what is computed once.
        announce: called with one line about progress.
        base: folder of the prior that the network builds upon; None where it needs none.
        warm_start: the file of the initial weights; None begins with random ones.
        stage: the stage of the autoencoder's training.
        task: what a head or a method learns to undo.
        head: whose samples a refiner learns from.
        mask: the labels that a head for segmentations is shown; None for every other network.
        device: the device on which scans are simulated and frozen networks run, before and beside the training.
        classes: the classes that the training names itself, in the order of their indices; none for those of the
            released networks.
    """

    recipe: Recipe
    train: Sequence[TrainingVolume]
    val: Sequence[TrainingVolume]
    cache: Cache
    announce: Announce
    base: Path | None = None
    warm_start: Path | None = None
    stage: int = 1
    task: Task | None = None
    head: Path | None = None
    mask: MaskTask | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Workshop:
    """What the loop takes.

    Attributes:
        learner: the network in training.
        source: its samples.
        validate: takes the network; None where there is nothing to validate on.
        identity: what a checkpoint must agree on.
        extra: goes into the weights file's card.
    """

    learner: Learner
    source: SampleSource
    validate: Callable[[Any], Validated] | None
    identity: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
