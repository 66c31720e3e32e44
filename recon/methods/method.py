"""What a reconstruction method is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon.scan.measurement import Measurement, Reconstruction, RunContext

DATA_STEP = "+dc"
"""After a method's name: bring its image to agree with the measurement."""


@dataclass(frozen=True)
class Method:
    """A reconstruction method.

    Attributes:
        summary: one line for ``recon methods``.
        reference: the paper or the equation it implements.
        options: a frozen dataclass; every field has a default and ``metadata={"help": ...}`` with its unit.
        run: ``run(measurement, options, context) -> Reconstruction``.
        weights: kind of the network that it needs, such as ``fbpconv``; None for methods without.
    """

    summary: str
    reference: str
    options: type
    run: Callable[[Measurement, Any, RunContext], Reconstruction]
    weights: str | None = None


@dataclass(frozen=True)
class NoOptions:
    """For methods that have nothing to set."""
