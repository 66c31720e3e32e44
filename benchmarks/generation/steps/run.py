"""Make the volumes of each number of steps, and compare them with the teacher's long ones and with real volumes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.generation.cells import Cells
from benchmarks.generation.competitors import Asked, Competitor, Field, find_competitors
from benchmarks.generation.make import make_volumes, sampled, volume_folder
from benchmarks.generation.measures import USUAL_FEATURES, Measuring, settings_for
from benchmarks.generation.real import RealData, RealVolumes, real_volumes
from benchmarks.generation.result import RealFacts, Sampled
from benchmarks.generation.run import LEAST_COUNT
from benchmarks.generation.steps.result import StepsResult, StepsRow
from benchmarks.generation.volumes import VolumeSet
from benchmarks.quality.features.load import feature_network
from benchmarks.quality.generation.comparison import Spread
from benchmarks.quality.generation.measures import GenerationMeasures
from priors.diffusion.anatomy import Anatomy, Size
from priors.diffusion.distilled import SAMPLER, SPACING, Distilled
from priors.generators.generator import Sampling
from priors.generators.latent import LatentGenerator
from recon.errors import InputError, input_errors
from recon.scan.units import network_to_hu, network_to_magnitude
from recon.scan.volume import Modality

Announce = Callable[[str], None]


@dataclass(frozen=True)
class StepsRequest:
    """What is to be compared.

    Attributes:
        teacher: the name or folder of the prior.
        students: the names or folders of its distilled students.
        steps: the teacher's numbers of steps; distances are measured from its volumes of the largest.
        anatomy: the class of the volumes.
        size: the size (z, x, y) in voxels; None is the one that all were trained on.
        data: the data of the real volumes; None compares with none.
        count: the number of volumes of each row.
        features: the name of the features, or a file of MedicalNet; "" takes the usual ones of the modality.
        out: the folder of all results, which tables share their volumes in.
        device: the device that computes.
    """

    teacher: str
    students: tuple[str, ...]
    steps: tuple[int, ...]
    anatomy: Anatomy
    size: Size | None
    data: RealData | None
    count: int
    features: str
    out: Path
    device: torch.device


@dataclass(frozen=True)
class FinishedSteps:
    """A table with the volumes that it was made from, for pictures of them; the real ones, if any, come first."""

    result: StepsResult
    sets: tuple[VolumeSet, ...]


@dataclass(frozen=True)
class _Row:
    """A row whose volumes are there."""

    competitor: Competitor
    volumes: VolumeSet
    sampled: Sampled


def run_steps(request: StepsRequest, announce: Announce = print) -> FinishedSteps:
    """Make the volumes that are missing, measure, and put the table together.

    Raises:
        InputError: a prior, numbers of steps, data or features that cannot be used; all of it is known before any work.
        RunError: a prior that failed.
    """
    if request.count < LEAST_COUNT:
        raise InputError(f"`count` {request.count}: at least {LEAST_COUNT} volumes of each row are compared")
    field = find_rows(request)
    measuring = _measuring(request, field) if request.data else None
    real = None
    if request.data:
        real = real_volumes(request.data, field.size, field.spacing, request.count, announce)
    made = [_made(request, field, competitor, announce) for competitor in field.competitors]
    long = max((each for each in made if not distilled(each.competitor)), key=lambda each: each.sampled.steps)
    rows = [_row(each, long, real, measuring, request.anatomy.modality, announce) for each in made]
    result = StepsResult(
        request.anatomy.name,
        request.anatomy.modality,
        field.size,
        field.spacing,
        long.sampled.steps,
        tuple(rows),
        _chance(long.volumes, request.anatomy.modality),
        measuring.features.name if measuring else "",
        _real_facts(real),
        _notes(made, rows),
    )
    return FinishedSteps(result, (*([real.volumes] if real else []), *(each.volumes for each in made)))


def find_rows(request: StepsRequest) -> Field:
    """The teacher at each number of steps, then the students at theirs.

    Raises:
        InputError: a folder that holds no latent prior, a teacher that is a student, a student that is none, two of
            different sizes or voxel sizes, or numbers of steps that the teacher cannot have.
    """
    names = (request.teacher, *dict.fromkeys(request.students))
    if request.teacher in names[1:]:
        raise InputError(f"`student` {request.teacher}: it is the teacher")
    found = find_competitors((), Asked(request.anatomy, names, request.size))
    teacher, *students = found.competitors
    for name, each in zip(names, found.competitors, strict=True):
        if not isinstance(each.generator, LatentGenerator):
            raise InputError(f"`prior` {name}: {each.generator.method} has no steps that could be distilled here")
    if distilled(teacher) is not None:
        raise InputError(f"`teacher` {request.teacher}: it was distilled itself; name the prior that it came from")
    for name, each in zip(names[1:], students, strict=True):
        if distilled(each) is None:
            raise InputError(f"`student` {name}: it was not distilled; 'recon train distilled' makes students")
    rows = [_at(teacher, steps, request.anatomy, found.size) for steps in sorted(set(request.steps))]
    return replace(found, competitors=(*rows, *(_named(each, students) for each in students)))


def distilled(competitor: Competitor) -> Distilled | None:
    """How a competitor was distilled; None where it was not."""
    assert isinstance(competitor.generator, LatentGenerator)
    return competitor.generator.prior.distilled


def _at(teacher: Competitor, steps: int, anatomy: Anatomy, size: Size) -> Competitor:
    """The teacher with the steps that a student would learn."""
    sampling = Sampling(SAMPLER, steps, SPACING)
    with input_errors("`steps`"):
        plan = teacher.generator.plan(anatomy, size, sampling)
    return replace(teacher, label=f"teacher, {_in_words(steps)}", sampling=sampling, plan=plan)


def _named(student: Competitor, students: Sequence[Competitor]) -> Competitor:
    """A student under its number of steps, and the name of its folder where others have the same number."""
    same = [each for each in students if each.plan.steps == student.plan.steps]
    folder = f" ({student.folder.resolve().name})" if len(same) > 1 else ""
    return replace(student, label=f"distilled, {_in_words(student.plan.steps)}{folder}")


def _in_words(steps: int) -> str:
    return f"{steps} step" if steps == 1 else f"{steps} steps"


def _measuring(request: StepsRequest, field: Field) -> Measuring:
    with input_errors():
        name = request.features or USUAL_FEATURES[request.anatomy.modality]
        features = feature_network(name, device=request.device)
        cells = Cells(request.out / "generation" / "cells")
        return Measuring(features, field.size, field.spacing, cells, settings_for(field.size))


def _made(request: StepsRequest, field: Field, competitor: Competitor, announce: Announce) -> _Row:
    volumes = request.out / "generation" / "volumes"
    folder = volume_folder(competitor, request.anatomy, field.size, field.spacing, volumes)
    seeds = range(request.count)
    known = make_volumes(competitor, request.anatomy, field.size, folder, seeds, request.device, announce)
    return _Row(competitor, folder.as_set(competitor.label, seeds), sampled(competitor, folder, known))


def _row(
    made: _Row,
    long: _Row,
    real: RealVolumes | None,
    measuring: Measuring | None,
    modality: Modality,
    announce: Announce,
) -> StepsRow:
    measures: GenerationMeasures | None = None
    if real and measuring:
        with input_errors(made.competitor.label):
            measures = measuring.measure(real.volumes, made.volumes, None, announce)
    own = distilled(made.competitor)
    pairs = zip(made.volumes, long.volumes, strict=True)
    return StepsRow(
        made.competitor.label,
        made.competitor.folder.resolve().name,
        own.to_dict() if own else None,
        made.sampled,
        None if made is long else spread(difference(*pair, modality) for pair in pairs),
        measures,
    )


def _chance(volumes: VolumeSet, modality: Modality) -> Spread:
    """The differences of each volume from the one after it, the last one's from the first."""
    following = (volumes.read((place + 1) % len(volumes)) for place in range(len(volumes)))
    return spread(difference(*pair, modality) for pair in zip(volumes, following, strict=True))


def difference(one: Tensor, other: Tensor, modality: Modality) -> float:
    """The root mean square difference of two network images, in HU or in magnitudes."""
    physical = network_to_hu if modality == "CT" else network_to_magnitude
    return float((physical(one) - physical(other)).square().mean().sqrt())


def spread(values: Iterator[float]) -> Spread:
    """The mean and the standard deviation of values."""
    found = np.array(list(values))
    return Spread(float(found.mean()), float(found.std(ddof=1)))


def _real_facts(real: RealVolumes | None) -> RealFacts | None:
    if real is None:
        return None
    return RealFacts(real.split, real.scans, len(real.volumes), real.volumes.identity, real.split == "train")


def _notes(made: Sequence[_Row], rows: Sequence[StepsRow]) -> tuple[str, ...]:
    known = {sha256 for each in made for sha256 in each.sampled.weights_sha256.values()}
    strangers = [row.label for row in rows if row.distilled and row.distilled["teacher"] not in known]
    own = [
        f"{label}: not distilled from the teacher of this table or from a student in it, so that its distance says "
        "nothing of its distillation."
        for label in strangers
    ]
    notes = (note for row in rows if row.measures for note in row.measures.notes)
    return tuple(dict.fromkeys([*own, *notes]))
