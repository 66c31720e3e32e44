"""Do generated volumes show what the segmentations have for which they were generated?

A segmenter that is trained on real volumes reads the labels of generated ones. Its Dice to the segmentation that was
given is compared with its Dice on the real volume of the same segmentation; so are the HU inside each label. How near
a generated volume is to the nearest volume of the training tells whether it was made or remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.quality.segmentation_metrics import dice, hausdorff95
from benchmarks.quality.segmenter import Example, SegmenterTraining, segment, train_segmenter
from datasets.cache import Cache
from priors.diffusion.anatomy import CLASSES
from priors.generators.generator import Sampling
from priors.generators.latent import LatentGenerator
from priors.networks.inference import Acceleration
from recon.acquisition.network_scale import network_axes, patient_axes
from recon.errors import InputError
from recon.generation.mask import MaskCondition, MaskHead, conditioned
from recon.generation.request import Request, check_request
from recon.generation.volumes import generate_volumes
from recon.io.cases import has_segmentation
from recon.scan.label_map import LabelMap
from recon.training.mask_latents import class_map
from recon.training.prepared import Prepared
from recon.training.sources import TrainingVolume

Announce = Callable[[str], None]

_THUMBNAIL = (16, 32, 32)
"""The size (z, x, y) of the images that nearness is measured on."""


@dataclass(frozen=True)
class Wanted:
    """What is measured.

    Attributes:
        head: the head with its prior.
        train: real volumes, on which the segmenter is trained, and among which the nearest is looked for.
        held_out: real volumes whose segmentations are given to the head.
        cache: the cache that keeps prepared segmentations.
        sampling: how volumes are sampled.
        segmenter: how the segmenter is trained.
        seed: the seed of the first volume; each further one has the next.
    """

    head: MaskHead
    train: Sequence[TrainingVolume]
    held_out: Sequence[TrainingVolume]
    cache: Cache
    sampling: Sampling = field(default_factory=lambda: Sampling(steps=20))
    segmenter: SegmenterTraining = field(default_factory=SegmenterTraining)
    seed: int = 0


@dataclass(frozen=True)
class LabelRow:
    """One label of one case.

    Attributes:
        case: the case's name.
        label: the label's name.
        voxels: the voxels of the label in the segmentation that was given.
        dice_real, dice: Dice of the segmenter on the real and on the generated volume; None where neither the
            segmentation nor the segmenter has the label.
        hd95_real, hd95: 95 % Hausdorff distances in mm; None where the segmentation or the segmenter lacks the label.
        hu_real, hu: mean HU of the real and of the generated volume inside the label.
        spread_real, spread: standard deviations of the HU there.
        missed: whether the segmenter finds nothing of the label in the generated volume.
    """

    case: str
    label: str
    voxels: int
    dice_real: float | None
    dice: float | None
    hd95_real: float | None
    hd95: float | None
    hu_real: float
    hu: float
    spread_real: float
    spread: float
    missed: bool


@dataclass(frozen=True)
class NearnessRow:
    """How near a case's volumes are to the nearest volume of the training.

    Attributes:
        case: the case's name.
        nearest: the name of the training case that is nearest to the generated volume.
        distance: the root mean square difference in HU of the generated volume to that, on thumbnails.
        distance_real: the distance of the real volume to its own nearest of the training.
    """

    case: str
    nearest: str
    distance: float
    distance_real: float


@dataclass(frozen=True)
class Faithfulness:
    """What was found, label by label and case by case."""

    labels: tuple[LabelRow, ...]
    nearness: tuple[NearnessRow, ...]


def measure(wanted: Wanted, announce: Announce) -> Faithfulness:
    """Train the segmenter, generate a volume for each held-out segmentation, and compare.

    Raises:
        InputError: no volumes with segmentations, or a class or size that the prior does not have.
    """
    task, cache = wanted.head.task, wanted.cache
    train, held_out = _labelled(wanted.train, "training"), _labelled(wanted.held_out, "the comparison")
    announce(f"training the segmenter on {len(train)} real volumes")
    examples = [Example(each.volume.data, class_map(each.volume, task, cache)) for each in train]
    network = train_segmenter(
        examples, len(task.numbers), wanted.segmenter, device=wanted.head.prior.device, on_step=_every_tenth(announce)
    )
    thumbnails = {each.volume.case.id: thumbnail(_hu(each.volume)) for each in train}
    labels: list[LabelRow] = []
    nearness = []
    for number, each in enumerate(held_out):
        name, classes = each.volume.case.id, np.array(class_map(each.volume, task, cache))
        announce(f"{name}: generating a volume for its segmentation")
        made, real = generated(wanted, each, classes, wanted.seed + number), _hu(each.volume)
        others = {own: image for own, image in thumbnails.items() if own != name}
        nearness.append(_nearness(name, made, real, thumbnails, others))
        found = [segment(network, image) for image in (real, made)]
        labels += _label_rows(wanted, each.volume, classes, (real, made), (found[0], found[1]))
    return Faithfulness(tuple(labels), tuple(nearness))


def _every_tenth(announce: Announce) -> Callable[[int, int], None]:
    def told(done: int, total: int) -> None:
        if done % max(1, total // 10) == 0:
            announce(f"segmenter: {done} of {total} steps")

    return told


def _labelled(volumes: Sequence[TrainingVolume], purpose: str) -> list[TrainingVolume]:
    own = {each.volume.case.id: each for each in volumes if has_segmentation(each.volume.case)}
    if not own:
        raise InputError(f"`data`: no volume with a segmentation for {purpose}")
    return list(own.values())


def _hu(volume: Prepared) -> Tensor:
    return torch.from_numpy(np.array(volume.data, dtype=np.float32))


def generated(wanted: Wanted, case: TrainingVolume, classes: np.ndarray, seed: int) -> Tensor:
    """A volume (Z, X, Y) in HU for the segmentation of a real one, made as ``recon generate`` makes it.

    Args:
        wanted: the head, and how is sampled.
        case: the real volume.
        classes: (Z, X, Y) indices of the head's classes.
        seed: the seed of the volume.
    """
    head = wanted.head
    numbers = torch.tensor(head.task.numbers, dtype=torch.uint8)[torch.from_numpy(classes).long()]
    dz, dx, dy = case.volume.spacing
    labels = LabelMap(patient_axes(numbers).contiguous(), np.diag([dx, dy, dz, 1.0]))
    condition = MaskCondition(labels, head.task, head_sha256=head.sha256)
    request = Request(
        CLASSES[case.class_index],
        condition.grown_size(head.prior),
        condition.spacing,
        wanted.sampling,
        (seed,),
        mask=condition,
    )
    check_request(LatentGenerator(head.prior), request)
    volume = next(generate_volumes(conditioned(head, condition), request, Acceleration()))
    return network_axes(volume.data).contiguous()


def _label_rows(
    wanted: Wanted,
    volume: Prepared,
    classes: np.ndarray,
    images: tuple[Tensor, Tensor],
    found: tuple[np.ndarray, np.ndarray],
) -> list[LabelRow]:
    """A row for each label that the case has; images and classes found are of the real and the generated volume."""
    rows = []
    task = wanted.head.task
    for number, name in task.named.items():
        index = task.numbers.index(number)
        inside = classes == index
        if not inside.any():
            continue
        seen = [each == index for each in found]
        scores = [(dice(inside, each), hausdorff95(inside, each, volume.spacing)) for each in seen]
        hu = [image.numpy()[inside] for image in images]
        rows.append(
            LabelRow(
                volume.case.id,
                name,
                int(inside.sum()),
                dice_real=scores[0][0],
                dice=scores[1][0],
                hd95_real=scores[0][1],
                hd95=scores[1][1],
                hu_real=float(hu[0].mean()),
                hu=float(hu[1].mean()),
                spread_real=float(hu[0].std()),
                spread=float(hu[1].std()),
                missed=not seen[1].any(),
            )
        )
    return rows


def thumbnail(hu: Tensor) -> Tensor:
    """A (Z, X, Y) volume in HU, clipped to the CT window, as means of blocks, in which small shifts do not count."""
    means: Tensor = functional.adaptive_avg_pool3d(hu.clamp(-1000, 1000)[None, None], _THUMBNAIL)[0, 0]
    return means


def _nearness(
    name: str, made: Tensor, real: Tensor, thumbnails: dict[str, Tensor], others: dict[str, Tensor]
) -> NearnessRow:
    nearest, distance = _nearest(thumbnail(made), thumbnails)
    return NearnessRow(name, nearest, distance, _nearest(thumbnail(real), others or thumbnails)[1])


def _nearest(image: Tensor, thumbnails: dict[str, Tensor]) -> tuple[str, float]:
    distances = {name: float((image - other).square().mean().sqrt()) for name, other in thumbnails.items()}
    nearest = min(distances, key=lambda name: distances[name])
    return nearest, distances[nearest]


def summary(found: Faithfulness) -> dict[str, dict[str, float | int | None]]:
    """The means of each label over its cases; the nearness of all cases under ``nearness``."""
    result: dict[str, dict[str, float | int | None]] = {}
    for label in dict.fromkeys(row.label for row in found.labels):
        rows = [row for row in found.labels if row.label == label]
        figures: dict[str, float | int | None] = {"cases": len(rows), "missed": sum(row.missed for row in rows)}
        for name in ("dice_real", "dice", "hd95_real", "hd95", "hu_real", "hu", "spread_real", "spread"):
            values = [value for row in rows if (value := getattr(row, name)) is not None]
            figures[name] = float(np.mean(values)) if values else None
        result[label] = figures
    result["nearness"] = {
        name: float(np.mean([getattr(row, name) for row in found.nearness])) for name in ("distance", "distance_real")
    }
    return result


def as_dict(found: Faithfulness) -> dict[str, Any]:
    """Plain values for a JSON file."""
    return {
        "summary": summary(found),
        "labels": [asdict(row) for row in found.labels],
        "nearness": [asdict(row) for row in found.nearness],
    }


def table(found: Faithfulness) -> list[str]:
    """Lines for people: each label's means, generated against real."""
    lines = [
        f"{'label':12} {'cases':>5} {'missed':>6}  {'Dice':>6} {'(real)':>7}  {'95HD mm':>8} {'(real)':>7}  "
        f"{'HU':>7} {'(real)':>7}  {'spread':>6} {'(real)':>7}"
    ]
    figures = summary(found)
    near = figures.pop("nearness")
    for label, own in figures.items():
        lines.append(
            f"{label:12} {own['cases']:5} {own['missed']:6}  "
            f"{_text(own['dice'], 3):>6} {_text(own['dice_real'], 3):>7}  "
            f"{_text(own['hd95'], 1):>8} {_text(own['hd95_real'], 1):>7}  {_text(own['hu'], 0):>7} "
            f"{_text(own['hu_real'], 0):>7}  {_text(own['spread'], 0):>6} {_text(own['spread_real'], 0):>7}"
        )
    lines.append(
        f"nearest volume of the training: {_text(near['distance'], 0)} HU from generated volumes, "
        f"{_text(near['distance_real'], 0)} HU from real ones"
    )
    return lines


def _text(value: float | int | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
