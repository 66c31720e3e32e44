"""The generated volumes of Table XI: as many of each class, files that a training reads, made once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.downstream.table11.rows import CLASSES
from benchmarks.generation.competitors import Competitor
from benchmarks.generation.make import make_volumes, volume_folder
from benchmarks.generation.volumes import VolumeFolder, VolumeSet
from datasets.splits import read_splits
from datasets.whole_file import whole_file
from priors.diffusion.anatomy import Anatomy, find_class
from priors.generators.generator import Generator, Sampling
from priors.generators.load import load_generator
from priors.weights.card import read_card
from priors.weights.seen import seen_in
from priors.weights.store import SUFFIX, find_prior
from recon.errors import InputError, input_errors
from recon.training.sources import DataPart, TrainingVolume

Announce = Callable[[str], None]


@dataclass(frozen=True)
class ClassPrior:
    """A generator that knows both classes.

    Attributes:
        folder: the folder of its weights.
        generator: the generator, on the CPU.
        anatomies: its classes in the order of ``CLASSES``.
    """

    folder: Path
    generator: Generator
    anatomies: tuple[Anatomy, ...]


def load_class_prior(name: str) -> ClassPrior:
    """The generator of a folder or a name.

    Raises:
        InputError: it is damaged, or does not know the classes.
    """
    with input_errors(f"`prior` {name}"):
        folder = find_prior(name)
        generator = load_generator(folder)
    try:
        found = tuple(find_class(each, generator.anatomies) for each in CLASSES)
        for each in found:
            generator.check_class(each)
    except ValueError as error:
        raise InputError(
            f"`prior` {name}: it does not know the classes {' and '.join(CLASSES)}; 'recon train biflownet' fine-tunes "
            "one for `classes` abnormal,normal"
        ) from error
    return ClassPrior(folder, generator, found)


def refuse_seen(prior: ClassPrior, held_out: Sequence[TrainingVolume]) -> None:
    """Refuse a generator that learned from volumes which classifiers are chosen or tested by.

    Raises:
        InputError: names how many of them it has seen.
    """
    found: set[str] = set()
    for path in sorted(prior.folder.glob(f"*{SUFFIX}")):
        with input_errors("`prior`"):
            seen = seen_in(read_card(path).extra)
        for each in held_out:
            case = each.volume.case
            if any(own.knows(case.subject, case.id, each.volume.content) for own in seen):
                found.add(case.id)
    if found:
        raise InputError(
            f"`prior` {prior.folder}: it learned from {len(found)} of the validation and test volumes; train it on the "
            "training split alone"
        )


def make_synthetic(
    prior: ClassPrior, count: int, steps: int | None, folder: Path, device: torch.device, announce: Announce
) -> list[VolumeSet]:
    """Make what is missing of ``count`` volumes of each class, with the seeds 0, 1 and so on.

    Returns:
        The volumes of each class; see :func:`synthetic_parts` for a training.

    Raises:
        InputError: a number of steps that the generator cannot have.
        RunError: NaN or infinity, or not enough memory.
    """
    sets = []
    for anatomy in prior.anatomies:
        volumes, competitor = _competitor(prior, anatomy, steps, folder)
        size = prior.generator.usual_sizes(anatomy)[0]
        make_volumes(competitor, anatomy, size, volumes, range(count), device, announce)
        _use_the_first(volumes.folder, count)
        sets.append(volumes.as_set(f"synthetic, {anatomy.name}", range(count)))
    return sets


def synthetic_parts(prior: ClassPrior, steps: int | None, folder: Path) -> tuple[DataPart, ...]:
    """The volumes of :func:`make_synthetic` as data sets of a training."""
    return tuple(
        DataPart("folder", _competitor(prior, anatomy, steps, folder)[0].folder, "CT", name, own_classes=CLASSES)
        for anatomy, name in zip(prior.anatomies, CLASSES, strict=True)
    )


def _competitor(
    prior: ClassPrior, anatomy: Anatomy, steps: int | None, folder: Path
) -> tuple[VolumeFolder, Competitor]:
    generator, sampling = prior.generator, Sampling(steps=steps)
    size = generator.usual_sizes(anatomy)[0]
    with input_errors("`steps`"):
        plan = generator.plan(anatomy, size, sampling)
    label = f"{generator.method}, {anatomy.name}"
    competitor = Competitor(label, prior.folder, generator, sampling, plan)
    spacing = generator.usual_spacing(anatomy, size)
    return volume_folder(competitor, anatomy, size, spacing, folder / anatomy.name), competitor


def _use_the_first(folder: Path, count: int) -> None:
    """Say which of a folder's volumes belong to the training: those that an earlier run made beyond are left out."""
    path, names = folder / "splits.json", [f"seed-{seed}" for seed in range(count)]
    if path.is_file() and set(read_splits(path).of) == set(names):
        return
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps({"train": names}) + "\n", encoding="utf-8")
