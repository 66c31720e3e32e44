"""What the training of a generator took, as the cards of its weights files tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from priors.weights.card import Card, count_numbers, read_card
from priors.weights.store import SUFFIX


@dataclass(frozen=True)
class Trained:
    """The training of all networks in a folder, one after the other.

    Attributes:
        seconds: the seconds of training with validations; None where a card does not say them.
        steps: the optimiser steps of each network that says them, by its kind.
        parameters: the numbers in all weights files.
        threads: the most threads of a training on a CPU; None where a card does not say them.
        devices: the devices that trained.
        volumes: the most training volumes of a network; None where no card says them.
    """

    seconds: float | None
    steps: dict[str, int]
    parameters: int
    threads: int | None
    devices: tuple[str, ...]
    volumes: int | None


def trained(folder: Path) -> Trained:
    """The training of a generator; files that are no weights files are passed over."""
    cards: dict[Path, Card] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            cards[path] = read_card(path)
        except ValueError:
            continue
    extras = [card.extra for card in cards.values()]
    seconds = [_seconds(extra) for extra in extras]
    known = [each for each in seconds if each is not None]
    return Trained(
        round(sum(known), 3) if known and len(known) == len(seconds) else None,
        {card.kind: steps for card in cards.values() if (steps := _steps(card.extra)) is not None},
        sum(count_numbers(path) for path in cards),
        _most(extra.get("threads") for extra in extras if str(extra.get("device", "")).startswith("cpu")),
        tuple(sorted({str(extra["device"]) for extra in extras if extra.get("device")})),
        _most(len(extra["cases"]) for extra in extras if isinstance(extra.get("cases"), list)),
    )


def _seconds(extra: dict[str, Any]) -> float | None:
    """All sessions; of files that know the last one alone, that one."""
    value = extra.get("seconds", extra.get("seconds_of_last_session"))
    return float(value) if isinstance(value, int | float) else None


def _steps(extra: dict[str, Any]) -> int | None:
    """All steps of the run; of files that do not say them, those of the network that was written."""
    steps = extra.get("steps", extra.get("step"))
    return steps if isinstance(steps, int) else None


def _most(values: Iterable[Any]) -> int | None:
    return max((value for value in values if isinstance(value, int)), default=None)
