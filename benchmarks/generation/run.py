"""Run a table of generators: make the volumes that are missing, measure each method, put the table together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.generation.cells import Cells
from benchmarks.generation.competitors import Asked, Competitor, Field, find_competitors
from benchmarks.generation.make import make_volumes, sampled, volume_folder
from benchmarks.generation.measures import USUAL_FEATURES, Measuring, settings_for
from benchmarks.generation.real import RealData, RealVolumes, real_volumes
from benchmarks.generation.result import Embedding, GenerationResult, GenerationRow, RealFacts
from benchmarks.generation.spec import GenerationSpec
from benchmarks.generation.training import trained
from benchmarks.generation.volumes import Made, VolumeFolder, VolumeSet
from benchmarks.quality.features.load import feature_network
from benchmarks.quality.generation.embedding import tsne
from recon.errors import InputError, input_errors

Announce = Callable[[str], None]

LEAST_COUNT = 4
"""Fewest volumes of a method that measures are taken of."""

_EMBEDDING_SEED = 0
_PERPLEXITY = 30.0
_TRAINING = "train"


@dataclass(frozen=True)
class GenerationRequest:
    """What is to be run.

    Attributes:
        table: the name of the table.
        spec: the specification of the table.
        asked: what is asked of all generators.
        data: the data of the real volumes.
        count: the number of volumes of each method.
        features: the name of the features, or a file of MedicalNet; "" takes the usual ones of the modality.
        out: the folder of all results, which tables share their volumes in.
        device: the device that computes.
    """

    table: str
    spec: GenerationSpec
    asked: Asked
    data: RealData
    count: int
    features: str
    out: Path
    device: torch.device

    @property
    def volumes(self) -> Path:
        """The folder of all generated volumes."""
        return self.out / "generation" / "volumes"

    @property
    def cells(self) -> Cells:
        """What is kept of measures."""
        return Cells(self.out / "generation" / "cells")


@dataclass(frozen=True)
class Finished:
    """A table with the volumes that it was made from, for pictures of them."""

    result: GenerationResult
    sets: tuple[VolumeSet, ...]


def run_generation(request: GenerationRequest, announce: Announce = print) -> Finished:
    """Make the volumes that are missing, measure, and put the table together; the real volumes are the first set.

    Raises:
        InputError: a generator, data, features or settings that cannot be used; all of it is known before any work.
        RunError: a generator that failed.
    """
    if request.count < LEAST_COUNT:
        raise InputError(f"`count` {request.count}: at least {LEAST_COUNT} volumes of each method are compared")
    anatomy = request.asked.anatomy
    field = find_competitors(request.spec.methods, request.asked)
    with input_errors():
        features = feature_network(request.features or USUAL_FEATURES[anatomy.modality], device=request.device)
        settings = settings_for(field.size)
    real = real_volumes(request.data, field.size, field.spacing, request.count, announce)
    training = _training(request, field, real, announce)
    measuring = Measuring(features, field.size, field.spacing, request.cells, settings)
    made = [_volumes(request, field, competitor, announce) for competitor in field.competitors]
    rows, sets = [], [real.volumes]
    for competitor, (folder, known) in zip(field.competitors, made, strict=True):
        generated = folder.as_set(competitor.label, range(request.count))
        with input_errors(competitor.label):
            measures = measuring.measure(real.volumes, generated, training, announce)
        method, took = competitor.generator.method, trained(competitor.folder)
        rows.append(GenerationRow(competitor.label, method, took, sampled(competitor, folder, known), measures))
        sets.append(generated)
    embedding = _embedding(measuring, sets, announce) if request.spec.compares == "picture" else None
    return Finished(_result(request, field, real, features.name, rows, embedding), tuple(sets))


def _volumes(
    request: GenerationRequest, field: Field, competitor: Competitor, announce: Announce
) -> tuple[VolumeFolder, list[Made]]:
    anatomy = request.asked.anatomy
    folder = volume_folder(competitor, anatomy, field.size, field.spacing, request.volumes)
    made = make_volumes(competitor, anatomy, field.size, folder, range(request.count), request.device, announce)
    return folder, made


def _training(request: GenerationRequest, field: Field, real: RealVolumes, announce: Announce) -> VolumeSet | None:
    """A cube of each scan that methods may have learned from; None where the data have no such split."""
    if _trains(real):
        return real.one_each
    data = replace(request.data, split=_TRAINING)
    try:
        return real_volumes(data, field.size, field.spacing, 0, announce).one_each
    except InputError as error:
        announce(f"no distance to training volumes: {error}")
        return None


def _trains(real: RealVolumes) -> bool:
    return real.split == _TRAINING


def _embedding(measuring: Measuring, sets: Sequence[VolumeSet], announce: Announce) -> Embedding:
    groups = {each.label: measuring.features_of(each, announce) for each in sets}
    perplexity = min(
        _PERPLEXITY, (sum(map(len, groups.values())) - 1) / 3
    )  # it must be less than a third of the points
    with input_errors():
        points = tsne(groups, seed=_EMBEDDING_SEED, perplexity=perplexity)
    plain = {label: [[float(x), float(y)] for x, y in found] for label, found in points.items()}
    return Embedding(plain, _EMBEDDING_SEED, round(perplexity, 1))


def _result(
    request: GenerationRequest,
    field: Field,
    real: RealVolumes,
    features: str,
    rows: Sequence[GenerationRow],
    embedding: Embedding | None,
) -> GenerationResult:
    facts = RealFacts(real.split, real.scans, len(real.volumes), real.volumes.identity, _trains(real))
    return GenerationResult(
        request.table,
        request.spec.title,
        request.spec.compares,
        request.asked.anatomy.name,
        request.asked.anatomy.modality,
        field.size,
        field.spacing,
        features,
        request.spec.methods,
        facts,
        tuple(rows),
        field.absent,
        _notes(real, rows),
        embedding,
    )


def _notes(real: RealVolumes, rows: Sequence[GenerationRow]) -> tuple[str, ...]:
    """What the reader must know of the figures, each sentence once."""
    own = []
    if real.scans < len(real.volumes):
        own.append(
            f"Real volumes are {len(real.volumes)} cubes of {real.scans} scans at random heights: both halves of the "
            "floor hold cubes of the same people, so that as many people would lie further apart."
        )
    if _trains(real):
        own.append("Real volumes are of the training split, as in the evaluation code of HA-GAN that the paper used.")
    return tuple(dict.fromkeys([*own, *(note for row in rows for note in row.measures.notes)]))
