"""A weights file's facts as a model card, and files made small for handing on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from priors.networks.registry import KINDS
from priors.weights.card import SHOWN_WEIGHTS, Card, count_numbers, read_card, read_tensors, save_weights
from priors.weights.seen import BEFORE, SALT, without_names

_SHOWN = "Networks of the images shown"

_FULL_PRECISION = "codebook."
"""Codes lie closer together than half precision resolves."""


def export(path: Path, to: Path, *, half: bool = False, note: str = "", licence: str = "") -> Card:
    """Write a weights file anew; names of people in its card become salted hashes.

    Args:
        path: a weights file of this suite.
        to: the new file.
        half: store floating-point tensors in 16 bits, codebooks excepted.
        note: goes into the card, such as what the training fell short of.
        licence: replaces the file's own.

    Returns:
        The card as written; it names the hash of the tensors that it was made from.

    Raises:
        ValueError: damaged, no weights file, or numbers that do not fit 16 bits.
        OSError: the file cannot be written.
    """
    card, tensors = read_card(path), read_tensors(path)
    if half:
        tensors = {name: _halved(name, tensor) for name, tensor in tensors.items()}
    extra = (
        without_names(card.extra)
        | ({"made_from_sha256": card.sha256} if half else {})
        | ({"note": note} if note else {})
    )
    return save_weights(to, tensors, replace(card, extra=extra, licence=licence or card.licence))


def _halved(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if not tensor.is_floating_point() or name.startswith(_FULL_PRECISION):
        return tensor
    stored = tensor.half()
    if bool(tensor.isfinite().all()) and not bool(stored.isfinite().all()):
        raise ValueError(f"{name} has numbers too large for 16 bits; export it in full precision")
    return stored


def model_card(path: Path, title: str = "") -> str:
    """What a weights file says of itself, in Markdown: use, data, training, validation, limits.

    Raises:
        ValueError: damaged, or no weights file of this suite.
    """
    card = read_card(path)
    extra = card.extra
    size = f"{count_numbers(path) / 1e6:.2f} million numbers, {path.stat().st_size / 1e6:.1f} MB"
    lines = [
        f"# {title or path.stem}",
        "",
        f"Network of kind `{card.kind}`: {KINDS[card.kind].use if card.kind in KINDS else 'see the kind'}.",
        "",
    ]
    rows: dict[str, Any] = {"Size": size, "SHA-256 of the tensors": f"`{card.sha256}`"}
    rows |= {"Settings": _plain(card.config), "Source": card.source, "Licence": card.licence or "not stated"}
    rows |= _distilled_rows(extra) | _task_rows(extra) | _mask_rows(card) | _shown_rows(card) | _training_rows(extra)
    lines += ["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows.items() if value)]
    if extra.get("note"):
        lines += ["", str(extra["note"])]
    lines += ["", "Not a medical device. Not for diagnosis, nor for any decision about a patient.", ""]
    return "\n".join(lines)


def _distilled_rows(extra: Mapping[str, Any]) -> dict[str, str]:
    """Of a noise estimator that was distilled, for how many sampling steps, and from what."""
    found = extra.get("distilled")
    if not isinstance(found, Mapping):
        return {}
    teacher = str(found.get("teacher", ""))[:12]
    return {
        "Sampling steps": f"{found.get('steps')}, in place of {found.get('teacher_steps')} of the teacher {teacher}"
    }


def _task_rows(extra: Mapping[str, Any]) -> dict[str, str]:
    task = extra.get("task")
    if not task:
        return {"Modality": str(extra.get("modality", ""))}
    return {"Task": _plain({name: _short(value) for name, value in task.items() if value is not None})}


def _mask_rows(card: Card) -> dict[str, str]:
    """Of a head for segmentations, its labels, and that it is for no scan."""
    task = card.config.get("task")
    if not isinstance(task, Mapping) or task.get("task") != "mask":
        return {}
    labels = _plain(task.get("labels", {}))
    return {"Task": f"generates volumes for segmentations with the labels {labels}; it reconstructs nothing"}


def _shown_rows(card: Card) -> dict[str, str]:
    """Of heads and refiners, the networks whose images their training was shown."""
    if card.kind not in KINDS or KINDS[card.kind].place != "head":
        return {}
    shown = card.extra.get(SHOWN_WEIGHTS)
    if not isinstance(shown, Mapping):
        return {_SHOWN: "not recorded"}
    return {_SHOWN: ", ".join(f"{name} {sha256[:12]}" for name, sha256 in shown.items()) or "none took part"}


def _training_rows(extra: Mapping[str, Any]) -> dict[str, str]:
    recipe = extra.get("recipe") or {}
    rows = {}
    if recipe:
        samples = f"{extra.get('step', recipe['steps'])} steps of {recipe['batch']} samples"
        settings = _plain(recipe.get("task", {}))
        rows["Training"] = f"{samples}, {_plain(recipe['optimizer'])}; {settings}"
    if "seconds_of_last_session" in extra:
        rows["Time"] = f"{extra['seconds_of_last_session'] / 60:.0f} minutes in its last run, on {extra.get('device')}"
    if extra.get("validation"):
        rows["Validation"] = _plain({name: f"{value:.3f}" for name, value in extra["validation"].items()})
    if extra.get("cases"):
        rows["Data"] = _data(extra)
    return rows


def _data(extra: Mapping[str, Any]) -> str:
    """How much a network was trained on; the names themselves where they are plain, as in cards of published data."""
    count = f"{len(extra['cases'])} volumes"
    if not extra.get(SALT):
        return f"{count}: {', '.join(extra['cases'])}"
    begun = f"; the networks before it were trained on {len(extra[BEFORE])} more data sets" if extra.get(BEFORE) else ""
    return f"{count} of {len(extra.get('subjects', ()))} subjects, whose names are held as salted hashes{begun}"


def _short(value: Any) -> Any:
    """A geometry's angles as a count; everything else as it is."""
    if isinstance(value, Mapping):
        return _plain({k: f"{len(v)}" if k == "angles" else v for k, v in value.items() if v is not None})
    return value


def _plain(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_text(value)}" for name, value in values.items() if value is not None)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({_plain(value)})"
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return str(value)
