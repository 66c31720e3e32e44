"""What follows from a measurement alone is computed once and kept beside it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from recon.scan.measurement import Measurement

Answer = TypeVar("Answer")


def once_per_measurement(function: Callable[[Measurement], Answer]) -> Callable[[Measurement], Answer]:
    """The function, with its answer kept for as long as the measurement lives.

    Nobody may change an answer in place, and an answer must not refer to its measurement, which would then never go.
    """
    known: WeakKeyDictionary[Measurement, Answer] = WeakKeyDictionary()

    @wraps(function)
    def kept(measurement: Measurement) -> Answer:
        if measurement not in known:
            known[measurement] = function(measurement)
        return known[measurement]

    return kept
