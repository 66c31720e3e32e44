"""A latent prior looked at: what its autoencoder keeps of held-out volumes, and new volumes of each class."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from benchmarks.quality.round_trip import RoundTrip, as_dicts, measure, table
from datasets import find_entry
from datasets.cache import Cache
from datasets.whole_file import whole_file
from priors.diffusion.anatomy import find_class
from priors.diffusion.prior import LatentPrior
from priors.generators.generator import Sampling
from priors.generators.latent import LatentGenerator
from priors.networks.inference import Acceleration
from recon.generation.preview import preview
from recon.generation.request import Request
from recon.generation.volumes import generate_volumes
from recon.pictures.lettering import Frame
from recon.training.sources import DataPart, load_split
from recon.training.validation import side_by_side

Announce = Callable[[str], None]

_LABEL = 14  # pixels above a row of pictures


@dataclass(frozen=True)
class Wanted:
    """What is to be looked at.

    Attributes:
        parts: data sets.
        out: folder.
        cache: folder of prepared volumes.
        split: the split of the volumes that go through the autoencoder.
        samples: new volumes of each class; 0 makes none.
        steps: the number of steps of the sampler; None is the prior's own.
        bfloat16: noise estimates in half precision.
    """

    parts: list[DataPart]
    out: Path
    cache: Path
    split: str = "val"
    samples: int = 3
    steps: int | None = None
    bfloat16: bool = False


def look_at(prior: LatentPrior, wanted: Wanted, announce: Announce) -> list[RoundTrip]:
    """Measure, and write ``round-trips.json``, ``round-trips.png`` and ``samples.png``.

    Raises:
        InputError: data that cannot be used.
    """
    volumes = load_split(wanted.parts, wanted.split, Cache(wanted.cache), announce) if wanted.parts else []
    rows, pictures = [], []
    unique = {each.volume.case.id: each for each in volumes}.values()
    own = any(find_entry(part.dataset.partition(":")[0]).names_people for part in wanted.parts)
    for number, each in enumerate(unique, 1):
        row, joint, patches = measure(prior, each)
        announce(table([row])[1])
        if own:  # the names of one's own files may be those of people, and the report may travel
            row = replace(row, case=f"volume {number}")
        rows.append(row)
        images = _slices(each.volume.network(), joint, patches, frame=each.volume.frame)
        pictures.append((f"{row.case}: as it was, joint, by patches", images))
    wanted.out.mkdir(parents=True, exist_ok=True)
    if rows:
        content = {"weights_sha256": dict(prior.sha256), "split": wanted.split, "round_trips": as_dicts(rows)}
        with whole_file(wanted.out / "round-trips.json") as temporary:
            temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
        _write(wanted.out / "round-trips.png", montage(pictures))
    if wanted.samples:
        _write(wanted.out / "samples.png", montage(_samples(prior, wanted, announce)))
    return rows


def _slices(*images: Tensor, frame: Frame) -> np.ndarray:
    """The middle slice of each image."""
    middle = len(images[0]) // 2
    return np.round(255 * side_by_side(*(image[middle] for image in images), frame=frame)).astype(np.uint8)


def _samples(prior: LatentPrior, wanted: Wanted, announce: Announce) -> list[tuple[str, np.ndarray]]:
    """New volumes of the learned classes with the seeds 0, 1, ...: three planes each, none left out."""
    rows = []
    acceleration = Acceleration(torch.bfloat16 if wanted.bfloat16 else torch.float32)
    for name, spacing in prior.classes.items():
        anatomy = find_class(name, prior.anatomies)
        seeds = tuple(range(wanted.samples))
        request = Request(anatomy, prior.usual_sizes(anatomy)[0], spacing, Sampling(steps=wanted.steps), seeds)
        made = []
        for volume in generate_volumes(LatentGenerator(prior), request, acceleration):
            made.append(preview(volume))
            announce(f"{name}: {len(made)} of {wanted.samples} made")
        rows.append((f"{name}, seeds 0 to {wanted.samples - 1}", np.concatenate(made, axis=1)))
    return rows


def montage(rows: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    """Labelled rows of (h, w) uint8 pictures, one below the other."""
    height = sum(picture.shape[0] + _LABEL for _, picture in rows)
    canvas = Image.new("L", (max(picture.shape[1] for _, picture in rows), height))
    pen, top = ImageDraw.Draw(canvas), 0
    for label, picture in rows:
        pen.text((2, top + 1), label, fill=255)
        canvas.paste(Image.fromarray(picture), (0, top + _LABEL))
        top += picture.shape[0] + _LABEL
    return np.asarray(canvas)


def _write(path: Path, picture: np.ndarray) -> None:
    with whole_file(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")
