"""Do volumes that were generated for an age and a sex show them?

A network that was trained on real volumes (:mod:`benchmarks.quality.patient_reader`) reads both. What it makes of real
volumes that it has not seen is the floor of the error; what it makes of the same volumes through the prior's
autoencoder tells how much of that the decoder leaves; and what it makes of volumes that were told nothing is chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from benchmarks.quality.patient_figures import Estimate, Figures, figures
from benchmarks.quality.patient_reader import Example, Reader, ReaderTraining, Reading, examples, train_reader
from priors.diffusion.anatomy import Anatomy, Size
from priors.diffusion.prior import LatentPrior, VoxelSize
from priors.generators.generator import Sampling
from priors.generators.latent import LatentGenerator
from priors.networks.patient import SEXES, Patient, Sex
from recon.errors import InputError
from recon.training.sources import TrainingVolume

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What is measured.

    Attributes:
        prior: the latent prior.
        anatomy: the class of the volumes.
        train: real volumes, on which the reader is trained.
        held_out: real volumes, on which it is tested.
        count: the number of volumes that are generated for each guidance.
        guidance: the scales of the guidance; 0 tells the network nothing.
        sampling: how volumes are sampled.
        training: how the reader is trained.
        per_volume: the number of heights at which the reader is shown, in training, a volume that is higher than
            generated ones.
        seed: the seed of the first volume of each guidance; each further one has the next.
    """

    prior: LatentPrior
    anatomy: Anatomy
    train: Sequence[TrainingVolume]
    held_out: Sequence[TrainingVolume]
    count: int = 24
    guidance: tuple[float, ...] = (0.0, 1.0, 2.0)
    sampling: Sampling = field(default_factory=lambda: Sampling(steps=20))
    training: ReaderTraining = field(default_factory=ReaderTraining)
    per_volume: int = 4
    seed: int = 0

    @property
    def size(self) -> Size:
        """The size (z, x, y) in voxels of generated volumes."""
        return self.prior.usual_sizes(self.anatomy)[0]

    @property
    def spacing(self) -> VoxelSize:
        """The voxel size (z, x, y) in mm of generated volumes."""
        return self.prior.usual_spacing(self.anatomy, self.size)


@dataclass(frozen=True)
class Row:
    """One set of volumes.

    Attributes:
        name: what the volumes are.
        wanted: age and sex of each, true or asked for.
        found: what was read in each.
        figures: how well the two agree.
        guidance: the scale of the guidance; None for real volumes.
    """

    name: str
    wanted: tuple[Patient, ...]
    found: tuple[Reading, ...]
    figures: Figures
    guidance: float | None = None

    @classmethod
    def of(cls, name: str, wanted: Sequence[Patient], found: Sequence[Reading], guidance: float | None = None) -> Row:
        """A row with its figures."""
        return cls(name, tuple(wanted), tuple(found), figures(wanted, found), guidance)


def measure(wanted: Wanted, announce: Announce) -> list[Row]:
    """Train the reader on real volumes, and read held-out real and generated ones.

    Raises:
        InputError: a prior that learned no age and no sex, or data that say neither of enough people.
    """
    asked = asked_for(wanted)
    train, held_out = _known(wanted, wanted.train, wanted.per_volume), _known(wanted, wanted.held_out, 1)
    if not held_out:
        raise InputError("`split`: no held-out volume of this class says age or sex")
    announce(f"training the reader on {len(train)} views of real volumes")
    try:
        reader = train_reader(train, wanted.training, device=wanted.prior.device, on_step=_every_tenth(announce))
    except ValueError as error:
        raise InputError(f"`data`: {error}") from error
    people = [each.patient for each in held_out]
    rows = [
        Row.of("guess, the training's mean", people, [_guess(reader, train)] * len(people)),
        Row.of("real, held out", people, [reader.read(each.image) for each in held_out]),
        Row.of("real, encoded and decoded", people, [reader.read(_decoded(wanted, each)) for each in held_out]),
    ]
    for scale in wanted.guidance:
        announce(f"generating {wanted.count} volumes with guidance {scale:g}")
        found = [reader.read(generated(wanted, each, scale, number)) for number, each in enumerate(asked)]
        told = "told nothing" if scale == 0 else f"guidance {scale:g}"
        rows.append(Row.of(f"generated, {told}", asked, found, scale))
    return rows


def asked_for(wanted: Wanted) -> list[Patient]:
    """The people that volumes are generated for: ages evenly from the lowest to the highest learned, sexes in turn.

    Raises:
        InputError: a prior that learned neither.
    """
    learned, count = wanted.prior.patients, wanted.count
    if learned.ages is None and not learned.sexes:
        raise InputError(f"`prior` {wanted.prior.name}: it learned no age and no sex; train one with task.patient")
    ages = [None] * count if learned.ages is None else np.linspace(*learned.ages, count).round(1).tolist()
    sexes: list[Sex] = [each for each in SEXES if each in learned.sexes]
    return [Patient(age, sexes[number % len(sexes)] if sexes else None) for number, age in enumerate(ages)]


def generated(wanted: Wanted, patient: Patient, guidance: float, number: int) -> Tensor:
    """A volume (Z, X, Y) in the network range for a person, made as ``recon generate`` makes it.

    Args:
        wanted: the prior, and how is sampled.
        patient: the person.
        guidance: the scale of the guidance.
        number: the number of the volume, which its seed follows from.
    """
    own = wanted.sampling
    sampling = Sampling(own.sampler, own.steps, own.timesteps, own.start, patient, guidance)
    generator = LatentGenerator(wanted.prior)
    seeds = [wanted.seed + number]
    volumes = generator.generate(wanted.anatomy, wanted.size, seeds, sampling, voxel_size=wanted.spacing)
    return next(volumes).clamp(-1, 1)


def _known(wanted: Wanted, volumes: Sequence[TrainingVolume], views: int) -> list[Example]:
    """The volumes of the class of which something is known, on the grid of generated ones, high ones several times."""
    own = {
        each.volume.case.id: (each.volume, each.patient)
        for each in volumes
        if each.patient.known and each.class_index == wanted.anatomy.index
    }
    return examples(list(own.values()), wanted.size, wanted.spacing, views, wanted.seed)


def _guess(reader: Reader, train: Sequence[Example]) -> Reading:
    """What is best read without looking: the mean age, and the commonest sex."""
    sexes = [each.patient.sex for each in train]
    return Reading(reader.mean, float(sexes.count("male") > sexes.count("female")))


def _decoded(wanted: Wanted, example: Example) -> Tensor:
    prior = wanted.prior
    decoded: Tensor = prior.decode(prior.encode(example.image[None, None]))[0, 0].cpu().clamp(-1, 1)
    return decoded


def _every_tenth(announce: Announce) -> Callable[[int, int], None]:
    def told(done: int, total: int) -> None:
        if done % max(1, total // 10) == 0:
            announce(f"reader: {done} of {total} steps")

    return told


def as_dict(wanted: Wanted, rows: Sequence[Row]) -> dict[str, Any]:
    """Plain values for a JSON file; nobody's name is in it."""
    return {
        "prior": wanted.prior.name or None,
        "weights_sha256": dict(wanted.prior.sha256),
        "class": wanted.anatomy.name,
        "size": list(wanted.size),
        "spacing_mm": list(wanted.spacing),
        "sampling": {name: getattr(wanted.sampling, name) for name in ("sampler", "steps", "timesteps", "start")},
        "seed": wanted.seed,
        "reader": asdict(wanted.training),
        "rows": [{"name": row.name, "guidance": row.guidance, **asdict(row.figures)} for row in rows],
        "volumes": [
            {"row": row.name, **asdict(patient), "read_age": read.age, "read_male": read.male}
            for row in rows
            for patient, read in zip(row.wanted, row.found, strict=True)
        ],
    }


def table(rows: Sequence[Row]) -> list[str]:
    """Lines for people."""
    lines = [
        f"{'':27} {'volumes':>7}  {'age: mean absolute error':>24}  {'mean error':>20}  {'correlation':>21}  "
        f"{'sex: right':>20}"
    ]
    for row in rows:
        own = row.figures
        lines.append(
            f"{row.name:27} {own.volumes:7}  {_text(own.age_error, 1):>24}  {_text(own.age_bias, 1):>20}  "
            f"{_text(own.age_correlation, 2):>21}  {_text(own.sex_accuracy, 2):>20}"
        )
    lines.append("Ages in years. Intervals of 95 %: bootstrap over volumes; the reader is the same for all.")
    return lines


def _text(figure: Estimate | None, digits: int) -> str:
    if figure is None:
        return "-"
    return f"{figure.value:.{digits}f} ({figure.low:.{digits}f} to {figure.high:.{digits}f})"
