"""The report of an implicit decoder: its figures as JSON, and slices at the finest scale as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.quality.prior_report import montage
from benchmarks.quality.spacing import WAYS, Announce, Picture, ScaleRow, Wanted, as_dict, measure
from datasets import find_entry
from datasets.whole_file import whole_file
from priors.diffusion.patch_volume import PatchVolumePrior
from priors.networks.implicit_decoder import ImplicitDecoder
from priors.weights.card import Card, read_card
from priors.weights.networks import load_implicit_decoder
from recon.errors import input_errors
from recon.pictures.figures import to_bytes
from recon.pictures.planes import axial_picture
from recon.training.sources import DataPart


def load_decoder(path: Path, prior: PatchVolumePrior) -> tuple[ImplicitDecoder, Card]:
    """An implicit decoder of a prior's autoencoder, on the CPU, and its card.

    Raises:
        InputError: no such weights file, or a decoder of another autoencoder.
    """
    with input_errors("`decoder`"):
        decoder, card = load_implicit_decoder(path).eval(), read_card(path)
    with input_errors(f"`decoder` {path}"):
        decoder.check_autoencoder(prior.autoencoder)
    return decoder, card


def names_people(parts: Sequence[DataPart]) -> bool:
    """Whether the names of the data's cases may be those of people."""
    return any(find_entry(part.dataset.partition(":")[0]).names_people for part in parts)


def look_at(
    wanted: Wanted, facts: Mapping[str, Any], out: Path, announce: Announce, anonymous: bool = False
) -> list[ScaleRow]:
    """Measure, and write ``spacing.json`` and ``spacing.png``.

    Args:
        wanted: what is measured.
        facts: entries of the JSON file beside the figures.
        out: the folder to write to.
        announce: called with one line about progress.
        anonymous: whether numbers take the place of the volumes' names, since the report may travel.

    Raises:
        InputError: as :func:`benchmarks.quality.spacing.measure`.
    """
    rows, pictures = measure(wanted, announce)
    if anonymous:
        numbers = {name: f"volume {number}" for number, (name, _) in enumerate(pictures, 1)}
        rows = [replace(row, case=numbers[row.case]) for row in rows]
        pictures = [(numbers[name], picture) for name, picture in pictures]
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / "spacing.json") as temporary:
        temporary.write_text(json_text(rows, facts) + "\n", encoding="utf-8")
    finest = min(wanted.scales)
    images = [(f"{name}, scale {finest:g}: {', '.join(picture)}", _beside(picture)) for name, picture in pictures]
    with whole_file(out / "spacing.png") as temporary:
        Image.fromarray(montage(images)).save(temporary, format="PNG")
    return rows


def json_text(rows: Sequence[ScaleRow], facts: Mapping[str, Any]) -> str:
    """The figures as JSON."""
    return json.dumps({**facts, **as_dict(rows)}, indent=2)


def _beside(picture: Picture) -> np.ndarray:
    """The middle of the slices side by side, magnified to see single voxels; the truth is the first."""
    order = ("truth", *WAYS)
    return np.concatenate([_magnified(picture[name].numpy()) for name in order], axis=1)


def _magnified(image: np.ndarray, shown: int = 96, times: int = 3) -> np.ndarray:
    """The middle ``shown`` pixels of a slice (X, Y) as grey values, each ``times`` pixels wide."""
    corner = [max(0, (size - shown) // 2) for size in image.shape]
    part = image[corner[0] : corner[0] + shown, corner[1] : corner[1] + shown]
    grey = to_bytes(axial_picture(np.ascontiguousarray(part.T)), -1, 1)
    return np.ascontiguousarray(grey).repeat(times, 0).repeat(times, 1)
