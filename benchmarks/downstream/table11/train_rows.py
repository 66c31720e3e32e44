"""The classifiers of Table XI, trained and tested one by one; each is a cell that is kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.downstream.table11.rows import CLASSES, Row
from benchmarks.generation.cells import Cells, key_of
from datasets.cache import Cache
from priors.training.recipe import Recipe
from priors.weights.networks import load_network
from recon.errors import InputError
from recon.training.build_classifier import class_scores
from recon.training.class_images import class_image
from recon.training.machine import Machine
from recon.training.request import Request
from recon.training.run import train
from recon.training.settings.classifier import ClassifierTask
from recon.training.settings.parse import parse_task
from recon.training.sources import DataPart, TrainingVolume

Announce = Callable[[str], None]

_VERSION = "table11-1"
"""Changes whenever the same facts give other classifiers."""


@dataclass(frozen=True)
class Volumes:
    """The real volumes of each split."""

    train: Sequence[TrainingVolume]
    val: Sequence[TrainingVolume]
    test: Sequence[TrainingVolume]


@dataclass(frozen=True)
class Training:
    """What all classifiers of a table have in common.

    Attributes:
        recipe: the recipe of the classifier on real volumes alone.
        real: the real data sets.
        synthetic: the generated data sets; none where no generator was named.
        volumes: the real volumes.
        generated: the hashes of the generated volumes.
        cache: the folder for prepared volumes.
        folder: the folder for cells and for trainings that are going on.
        device: the device that computes.
    """

    recipe: Recipe
    real: tuple[DataPart, ...]
    synthetic: tuple[DataPart, ...]
    volumes: Volumes
    generated: tuple[str, ...]
    cache: Path
    folder: Path
    device: torch.device

    def probabilities(self, row: Row, seed: int, announce: Announce) -> dict[str, Any]:
        """The probability of abnormal for every test volume by one classifier, with the steps of its training.

        Raises:
            InputError, RunError: as those of a training.
        """
        recipe = self._recipe(row, seed)
        key = key_of(_VERSION, row.label, recipe.model_dump(mode="json"), self._data(row))
        cells = Cells(self.folder / "cells")
        known = cells.get(key)
        if known is None:
            announce(f"{row.label}, seed {seed}: {recipe.steps} steps")
            known = cells.put(key, self._trained(row, recipe, self.folder / "runs" / key, announce))
        return known

    def _recipe(self, row: Row, seed: int) -> Recipe:
        if self.recipe.minutes is not None:
            raise InputError("recipe: minutes: rows are compared after numbers of steps; leave it away")
        task = dict(self.recipe.task)
        if not row.augmented:
            task["augmentation"] = {"flip": 0.0}
        steps = row.steps(self.recipe.steps, len(self.volumes.train), len(self.generated))
        return self.recipe.model_copy(update={"task": task, "seed": seed, "steps": steps})

    def _data(self, row: Row) -> list[Any]:
        """What a classifier's predictions depend on beside its recipe."""
        real = [_listing(self.volumes.train)] if row.real else []
        synthetic = [list(self.generated)] if row.synthetic else []
        return [real, synthetic, _listing(self.volumes.val), _listing(self.volumes.test)]

    def _parts(self, row: Row) -> list[DataPart]:
        """The data sets of a row; every classifier is chosen by the real volumes of the validation split."""
        real = self.real if row.real else tuple(replace(part, splits=("val",)) for part in self.real)
        synthetic = tuple(replace(part, splits=("train",)) for part in self.synthetic) if row.synthetic else ()
        return [*real, *synthetic]

    def _trained(self, row: Row, recipe: Recipe, out: Path, announce: Announce) -> dict[str, Any]:
        request = Request("classifier", recipe, self._parts(row), out, self.cache, classes=CLASSES)
        path = train(request, Machine(self.device.type), announce)
        assert path is not None, "one process writes the weights"
        network = load_network(path, "classifier").eval().to(self.device)
        settings, cache = parse_task(ClassifierTask, recipe.task), Cache(self.cache)
        images = [class_image(each.volume, settings, cache) for each in self.volumes.test]
        found = class_scores(network, images).softmax(1)[:, 0]
        shutil.rmtree(out / "checkpoints", ignore_errors=True)  # the weights and the log stay
        return {"probabilities": [round(float(each), 6) for each in found], "steps": recipe.steps}


def _listing(volumes: Sequence[TrainingVolume]) -> list[list[Any]]:
    return [[each.volume.sha256, each.class_index] for each in volumes]
