"""Run Table XI: generate what is missing, train each row's classifiers, score them, put the table together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.downstream.table11.result import RowResult, Table11Result
from benchmarks.downstream.table11.rows import BASELINE, CLASSES, ROWS, Row
from benchmarks.downstream.table11.scores import as_array, compare, score
from benchmarks.downstream.table11.synthetic import (
    ClassPrior,
    load_class_prior,
    make_synthetic,
    refuse_seen,
    synthetic_parts,
)
from benchmarks.downstream.table11.train_rows import Training, Volumes
from benchmarks.generation.volumes import VolumeSet
from datasets import find_entry
from datasets.cache import Cache
from priors.training.recipe import Recipe
from recon.errors import InputError
from recon.training.own_classes import check_own_classes
from recon.training.sources import DataPart, TrainingVolume, load_split

Announce = Callable[[str], None]

NO_PRIOR = "no generator was named that knows the classes"
"""What the rows with generated volumes say where no generator was named."""

_FEW = 20
"""Test volumes of a class below which intervals are too wide to decide anything."""


@dataclass(frozen=True)
class Table11Request:
    """What is to be measured.

    Attributes:
        parts: the real data sets, each of whose cases has a class or whose part names it.
        prior: the name or the folder of a generator of both classes; None leaves out the rows with generated volumes.
        count: the number of generated volumes of each class.
        steps: the sampling steps of the generator; None is its usual number.
        recipe: the recipe of the classifiers.
        recipe_name: the name of the recipe.
        seeds: the number of classifiers of each row.
        out: the folder of the table.
        cache: the folder for prepared volumes.
        device: the device that computes.
    """

    parts: tuple[DataPart, ...]
    prior: str | None
    count: int
    steps: int | None
    recipe: Recipe
    recipe_name: str
    seeds: int
    out: Path
    cache: Path
    device: torch.device


@dataclass(frozen=True)
class Finished:
    """A table, and the volumes that its page shows.

    Attributes:
        result: the table.
        real: the real volumes of the training split.
        synthetic: the generated volumes of each class; none without a generator.
        spacing: the voxel size (z, x, y) in mm of the generated volumes.
    """

    result: Table11Result
    real: Sequence[TrainingVolume]
    synthetic: Sequence[VolumeSet]
    spacing: tuple[float, float, float] | None


def run_table11(request: Table11Request, announce: Announce = print) -> Finished:
    """Make, train, score; what an earlier run finished is kept.

    Raises:
        InputError: data without one of the classes in a split, or a generator that does not know them or has seen
            held-out volumes.
        RunError: a generation or a training that failed.
    """
    prior = load_class_prior(request.prior) if request.prior else None
    volumes = _volumes(request, announce)
    synthetic, parts = _synthetic(request, prior, volumes, announce)
    generated = tuple(sha256 for each in synthetic for sha256 in each.sha256)
    training = Training(
        request.recipe, request.parts, parts, volumes, generated, request.cache, request.out, request.device
    )
    rows = [row for row in ROWS if prior or not row.synthetic]
    if prior is None:  # then nothing says how many steps a longer training has
        rows = [row for row in rows if not row.longer or row.augmented]
    found = {row.label: _cells(training, row, request.seeds, announce) for row in rows}
    result = _result(request, prior, volumes, found)
    spacing = None
    if prior:
        first = prior.anatomies[0]
        spacing = prior.generator.usual_spacing(first, prior.generator.usual_sizes(first)[0])
    return Finished(result, volumes.train, synthetic, spacing)


def _volumes(request: Table11Request, announce: Announce) -> Volumes:
    """The real volumes; each class must be in the training split and in the test split."""
    cache, parts = Cache(request.cache), list(request.parts)
    found = Volumes(*(load_split(parts, split, cache, announce) for split in ("train", "val", "test")))
    check_own_classes(CLASSES, found.train)
    for index, name in enumerate(CLASSES):
        if not any(each.class_index == index for each in found.test):
            raise InputError(f"`data`: no volume of the test split is {name}")
    return found


def _synthetic(
    request: Table11Request, prior: ClassPrior | None, volumes: Volumes, announce: Announce
) -> tuple[list[VolumeSet], tuple[DataPart, ...]]:
    if prior is None:
        return [], ()
    refuse_seen(prior, [*volumes.val, *volumes.test])
    folder = request.out / "volumes"
    sets = make_synthetic(prior, request.count, request.steps, folder, request.device, announce)
    return sets, synthetic_parts(prior, request.steps, folder)


def _cells(training: Training, row: Row, seeds: int, announce: Announce) -> list[dict[str, Any]]:
    return [training.probabilities(row, seed, announce) for seed in range(seeds)]


def _result(
    request: Table11Request, prior: ClassPrior | None, volumes: Volumes, found: dict[str, list[dict[str, Any]]]
) -> Table11Result:
    abnormal = np.array([each.class_index == 0 for each in volumes.test])
    counts = {split: _count(getattr(volumes, split)) for split in ("train", "val", "test")}
    arrays = {label: as_array([cell["probabilities"] for cell in cells]) for label, cells in found.items()}
    synthetic = 2 * request.count if prior else 0
    rows = tuple(
        RowResult(
            row.label,
            row.about,
            int(found[row.label][0]["steps"]),
            (len(volumes.train) if row.real else 0, synthetic if row.synthetic else 0),
            score(arrays[row.label], abnormal),
            None if row.label == BASELINE else compare(arrays[row.label], arrays[BASELINE], abnormal),
            tuple(tuple(map(float, each)) for each in arrays[row.label]),
        )
        for row in ROWS
        if row.label in found
    )
    return Table11Result(
        tuple(dict.fromkeys(_title(part) for part in request.parts)),
        counts,
        tuple(map(bool, abnormal)),
        dict(prior.generator.sha256) if prior else {},
        request.count if prior else 0,
        request.recipe_name,
        request.seeds,
        rows,
        tuple((row.label, NO_PRIOR) for row in ROWS if row.label not in found),
        _notes(prior, counts),
    )


def _title(part: DataPart) -> str:
    """What the table calls a data set; folders of one's own stay nameless."""
    entry = find_entry(part.dataset.partition(":")[0])
    return "a folder" if entry.names_people else entry.title


def _count(volumes: Sequence[TrainingVolume]) -> tuple[int, int]:
    """Abnormal and normal ones."""
    abnormal = sum(each.class_index == 0 for each in volumes)
    return abnormal, len(volumes) - abnormal


def _notes(prior: ClassPrior | None, counts: dict[str, tuple[int, int]]) -> tuple[str, ...]:
    """What the reader must know of the figures, each sentence once."""
    notes = [
        "Classes are sampled equally often in every training. Every row but the first takes as many steps as real and "
        "generated volumes together: beside the rows 'real, repeated' and 'real, augmented' it shows whether generated "
        "volumes help, or longer training and usual changes would."
    ]
    if prior is None:
        notes = ["Without a generator, every training takes the steps of the recipe."]
    if not sum(counts["val"]):
        notes.append("No validation volume: the last classifier of each training is tested.")
    if min(counts["test"]) < _FEW:
        notes.append(f"With {min(counts['test'])} test volumes of a class, the intervals decide little.")
    return tuple(notes)
