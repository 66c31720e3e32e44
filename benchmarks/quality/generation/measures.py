"""Everything that is measured of a set of generated volumes beside a set of real ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.quality.features.network import FeatureNetwork, Volumes, VoxelSize, extract
from benchmarks.quality.generation.comparison import Estimate, Floor, Spread, estimates, floor
from benchmarks.quality.generation.distances import is_rank_deficient
from benchmarks.quality.generation.ms_ssim import PairSimilarity, check_scales, pair_similarity
from benchmarks.quality.generation.neighbours import Nearest, Quartiles, nearest_training


@dataclass(frozen=True)
class MeasureSettings:
    """How generated volumes are measured.

    Attributes:
        pairs: the number of random pairs of MS-SSIM, where there are that many.
        scales: the scales of MS-SSIM; 0 leaves it out.
        kernel: the edge of its window in voxels.
        neighbours: the neighbour that gives the radius in precision and recall.
        halves: the number of random draws of the floor.
        bootstrap: the number of resamples of the intervals.
        seed: the seed of all draws.

    Raises:
        ValueError: a count too small.
    """

    pairs: int = 500
    scales: int = 5
    kernel: int = 7
    neighbours: int = 3
    halves: int = 50
    bootstrap: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"pairs": 1, "scales": 0, "kernel": 1, "neighbours": 1, "halves": 2, "bootstrap": 2}
        for name, smallest in least.items():
            if (value := getattr(self, name)) < smallest:
                raise ValueError(f"`{name}` {value}: must be {smallest} or more")


@dataclass(frozen=True)
class GenerationMeasures:
    """What was measured. Distances are of features; how they compare with others' is in ``notes``.

    Attributes:
        features: the name of the features.
        features_sha256: the hash of their network; "" for features without one.
        dims: the number of features.
        real: the number of real volumes.
        generated: the number of generated volumes.
        rank_deficient: whether there are too few volumes for covariances of full rank, which biases the Fréchet
            distance upwards.
        frechet: the squared Fréchet distance.
        mmd: the unbiased squared maximum mean discrepancy with HA-GAN's kernel.
        precision: the share of generated volumes among the real ones.
        recall: the share of real volumes among the generated ones.
        neighbour_accuracy: the accuracy of the one-nearest-neighbour two-sample test; 0.5 is best.
        floor: the same distances between random halves of the real volumes.
        ms_ssim: the similarity of pairs of generated volumes.
        ms_ssim_real: the similarity of pairs of real volumes, which a good generator matches.
        training: the distances to the nearest training volume.
        notes: sentences that belong beside the figures.
    """

    features: str
    features_sha256: str
    dims: int
    real: int
    generated: int
    rank_deficient: bool
    frechet: Estimate
    mmd: Estimate
    precision: Estimate
    recall: Estimate
    neighbour_accuracy: Estimate
    floor: Floor
    ms_ssim: PairSimilarity | None = None
    ms_ssim_real: PairSimilarity | None = None
    training: Nearest | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; :meth:`from_dict` reads them."""
        return asdict(self) | {"notes": list(self.notes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GenerationMeasures:
        """Measures from the values of :meth:`to_dict`, after JSON too."""
        distances = ("frechet", "mmd", "precision", "recall", "neighbour_accuracy")
        nested: dict[str, Any] = {name: Estimate(**values[name]) for name in distances}
        nested["floor"] = _floor(values["floor"])
        nested |= {name: _pairs(values[name]) for name in ("ms_ssim", "ms_ssim_real")}
        nested |= {"training": _nearest(values["training"]), "notes": tuple(values["notes"])}
        return cls(**{**values, **nested})


def measure_generation(
    real: Volumes,
    generated: Volumes,
    features: FeatureNetwork,
    *,
    spacing: VoxelSize,
    training: Volumes | None = None,
    settings: MeasureSettings = MeasureSettings(),
    real_features: np.ndarray | None = None,
    generated_features: np.ndarray | None = None,
    training_features: np.ndarray | None = None,
    ms_ssim_real: PairSimilarity | None = None,
) -> GenerationMeasures:
    """Measure generated volumes of one class beside real ones of the same size and voxel size.

    Features, and the similarity of real pairs, that were computed before are given, so that the real volumes of a table
    with many methods go through the network once.

    Args:
        real: real volumes in [-1, 1], 2 (``neighbours`` + 1) or more.
        generated: generated volumes, ``neighbours`` + 1 or more.
        features: the network that features are of.
        spacing: the voxel size of all volumes.
        training: the volumes that the generator was trained on, which may be the real ones.
        settings: the counts, the seed, and the scales of MS-SSIM.
        real_features, generated_features, training_features: what :func:`extract` gave for these volumes.
        ms_ssim_real: the similarity of pairs of the same real volumes with the same settings.

    Raises:
        ValueError: too few volumes, volumes too small for the scales, or features of another network.
    """
    _check_counts(len(real), len(generated), settings.neighbours)
    if settings.scales:
        check_scales(tuple(generated[0].shape), settings.kernel, settings.scales)
    one = _known(real_features, real, spacing, features)
    other = _known(generated_features, generated, spacing, features)
    learned = training_features if training is None else _known(training_features, training, spacing, features)
    k, random = settings.neighbours, _streams(settings.seed)
    return GenerationMeasures(
        features=features.name,
        features_sha256=features.sha256,
        dims=features.dims,
        real=len(real),
        generated=len(generated),
        rank_deficient=is_rank_deficient(features.dims, len(real), len(generated)),
        **estimates(one, other, k, settings.bootstrap, random["bootstrap"]),
        floor=floor(one, other, k, settings.halves, random["floor"]),
        ms_ssim=similarity_of_pairs(generated, settings),
        ms_ssim_real=ms_ssim_real or similarity_of_pairs(real, settings),
        training=None if learned is None else nearest_training(other, one, learned),
        notes=_notes(features, len(real), len(generated), k),
    )


def similarity_of_pairs(volumes: Volumes, settings: MeasureSettings) -> PairSimilarity | None:
    """The MS-SSIM of random pairs by the settings; None where they leave it out."""
    if not settings.scales:
        return None
    random = _streams(settings.seed)["pairs"]
    return pair_similarity(volumes, pairs=settings.pairs, kernel=settings.kernel, scales=settings.scales, random=random)


def _streams(seed: int) -> dict[str, np.random.Generator]:
    """A source of random numbers for each purpose, so that one setting does not change another's draws."""
    names = ("bootstrap", "floor", "pairs")
    return dict(zip(names, np.random.default_rng(seed).spawn(len(names)), strict=True))


def _check_counts(real: int, generated: int, k: int) -> None:
    if real < 2 * (k + 1):
        raise ValueError(f"{real} real volumes: {2 * (k + 1)} or more are needed, for halves with `neighbours` {k}")
    if generated < k + 1:
        raise ValueError(f"{generated} generated volumes: {k + 1} or more are needed with `neighbours` {k}")


def _known(given: np.ndarray | None, volumes: Volumes, spacing: VoxelSize, features: FeatureNetwork) -> np.ndarray:
    if given is None:
        return extract(volumes, spacing, features)
    if given.shape != (len(volumes), features.dims):
        raise ValueError(f"features of shape {given.shape}: {len(volumes)} volumes have {features.dims} each here")
    return given


def _notes(features: FeatureNetwork, real: int, generated: int, k: int) -> tuple[str, ...]:
    found = [f"Features: {features.name}; {real} real and {generated} generated volumes."]
    if is_rank_deficient(features.dims, real, generated):
        found.append(
            f"Fewer volumes than the {features.dims} features: the Fréchet distance is biased upwards, the more the "
            "fewer volumes there are. It compares methods with equal numbers of volumes alone; the discrepancy (MMD) "
            "has no such bias."
        )
    if real != generated:
        found.append(f"Unequal numbers of volumes favour one side in precision and recall with k = {k}.")
    found.append(
        "The floor compares random halves of the real volumes; only figures of as many volumes compare with it."
    )
    return tuple(found)


def _floor(values: Mapping[str, Any]) -> Floor:
    spreads = {side: {name: Spread(**each) for name, each in values[side].items()} for side in ("real", "generated")}
    return Floor(values["size"], values["draws"], **spreads)


def _pairs(values: Mapping[str, Any] | None) -> PairSimilarity | None:
    return None if values is None else PairSimilarity(**{**values, "size": tuple(values["size"])})


def _nearest(values: Mapping[str, Any] | None) -> Nearest | None:
    if values is None:
        return None
    parts = {name: Quartiles(**values[name]) for name in ("generated", "real", "training")}
    return Nearest(**parts, closer=values["closer"])
