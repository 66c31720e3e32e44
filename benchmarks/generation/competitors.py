"""The methods of a table: which folder holds each one's weights, what its sampler is told, and who is absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from priors.diffusion.anatomy import Anatomy, Size
from priors.diffusion.prior import VoxelSize
from priors.generators.generator import Generator, Plan, Sampling
from priors.generators.load import load_generator
from priors.weights.store import find_prior
from recon.errors import InputError, input_errors

NO_WEIGHTS = "no weights: no folder of such a generator was named"
"""What the row of a method says that no folder was given for."""

ONE_PASS = ("none",)
"""The samplers of a network that makes a volume in one pass."""

_CLOSE = 1e-3
"""Relative difference up to which two voxel sizes are one."""


@dataclass(frozen=True)
class Competitor:
    """A trained generator in a table.

    Attributes:
        label: the name of the row: the method, with the folder's name where two folders hold the same method.
        folder: the folder of the weights.
        generator: the generator, on the CPU.
        sampling: what is chosen of the sampling.
        plan: how its volumes are sampled.
    """

    label: str
    folder: Path
    generator: Generator
    sampling: Sampling
    plan: Plan


@dataclass(frozen=True)
class Asked:
    """What is asked of all generators.

    Attributes:
        anatomy: the class of the volumes.
        folders: names or folders of trained generators.
        size: the size (z, x, y) in voxels; None is the one that all were trained on.
        steps: the number of sampling steps by method, under "" for all that have steps.
    """

    anatomy: Anatomy
    folders: tuple[str, ...]
    size: Size | None = None
    steps: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Field:
    """All methods of a table.

    Attributes:
        competitors: those with weights, in the order of the table.
        absent: label of each one without a result, and why.
        size: the size (z, x, y) of all volumes in voxels.
        spacing: their voxel size (z, x, y) in mm.
    """

    competitors: tuple[Competitor, ...]
    absent: tuple[tuple[str, str], ...]
    size: Size
    spacing: VoxelSize


@dataclass(frozen=True)
class Loaded:
    """A generator under the name that it was asked for by."""

    name: str
    folder: Path
    generator: Generator


def find_competitors(methods: Sequence[str], asked: Asked) -> Field:
    """Load every generator and see that all can make the same volumes.

    Raises:
        InputError: no generator, one that is damaged or does not know the class, two of different sizes or voxel
            sizes, or a number of steps that a method cannot have.
    """
    if not asked.folders:
        raise InputError("`prior`: name the folder of at least one trained generator")
    loaded = [Loaded(name, *_load(name)) for name in dict.fromkeys(asked.folders)]
    for each in loaded:
        with input_errors(f"`prior` {each.name}: `class` {asked.anatomy.name}"):
            each.generator.check_class(asked.anatomy)
    loaded.sort(key=lambda each: _place(methods, each.generator.method))
    labels = [_label(each, loaded) for each in loaded]
    size = asked.size or _common_size(labels, loaded, asked.anatomy)
    for label, each in zip(labels, loaded, strict=True):
        with input_errors(f"`size`: {label}"):
            each.generator.check_size(size)
    spacing = _common_spacing(labels, loaded, asked.anatomy, size)
    present = {each.generator.method for each in loaded}
    return Field(
        _planned(labels, loaded, asked, size),
        tuple((method, NO_WEIGHTS) for method in methods if method not in present),
        size,
        spacing,
    )


def _load(name: str) -> tuple[Path, Generator]:
    with input_errors(f"`prior` {name}"):
        folder = find_prior(name)
        return folder, load_generator(folder)


def _place(methods: Sequence[str], method: str) -> int:
    """The row of a method; those that the table does not list come last."""
    return methods.index(method) if method in methods else len(methods)


def _label(one: Loaded, loaded: Sequence[Loaded]) -> str:
    same = [each.folder.resolve().name for each in loaded if each.generator.method == one.generator.method]
    if len(same) < 2:
        return one.generator.method
    name = one.folder.resolve().name
    return f"{one.generator.method} ({name if same.count(name) == 1 else one.folder})"


def _planned(labels: Sequence[str], loaded: Sequence[Loaded], asked: Asked, size: Size) -> tuple[Competitor, ...]:
    stepped, found = set(), []
    for label, each in zip(labels, loaded, strict=True):
        generator, sampling = each.generator, Sampling()
        if tuple(generator.samplers) != ONE_PASS:
            sampling = Sampling(steps=asked.steps.get(generator.method, asked.steps.get("")))
            stepped.add(generator.method)
        with input_errors(f"`steps` of {label}"):
            plan = generator.plan(asked.anatomy, size, sampling)
        found.append(Competitor(label, each.folder, generator, sampling, plan))
    for method in asked.steps:
        if method and method not in stepped:
            names = ", ".join(sorted(stepped)) or "none"
            raise InputError(f"`steps` {method}: no method with sampling steps is named so; there are {names}")
    return tuple(found)


def _common_size(labels: Sequence[str], loaded: Sequence[Loaded], anatomy: Anatomy) -> Size:
    sizes = [each.generator.usual_sizes(anatomy)[0] for each in loaded]
    for label, size in zip(labels, sizes, strict=True):
        if size != sizes[0]:
            raise InputError(
                f"`prior`: {labels[0]} was trained on {in_words(sizes[0])} voxels, {label} on {in_words(size)}; a "
                "table compares volumes of one size: name a `size` that all can make"
            )
    return sizes[0]


def _common_spacing(labels: Sequence[str], loaded: Sequence[Loaded], anatomy: Anatomy, size: Size) -> VoxelSize:
    spacings = [each.generator.usual_spacing(anatomy, size) for each in loaded]
    for label, spacing in zip(labels, spacings, strict=True):
        if any(abs(one - two) > _CLOSE * one for one, two in zip(spacings[0], spacing, strict=True)):
            raise InputError(
                f"`prior`: voxels of {labels[0]} are {in_words(spacings[0])} mm, of {label} {in_words(spacing)} mm; a "
                "table compares volumes of one voxel size"
            )
    return spacings[0]


def in_words(edges: Sequence[float]) -> str:
    """Edges in the order (z, x, y) as people read them, X × Y × Z."""
    z, x, y = edges
    return " × ".join(f"{each:g}" for each in (x, y, z))
