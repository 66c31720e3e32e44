"""What a reconstruction method is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon.options import Options
    from recon.scan.measurement import Measurement, Reconstruction, RunContext

DATA_STEP = "+dc"
"""After a method's name: bring its image to agree with the measurement."""


@dataclass(frozen=True)
class Method:
    """A reconstruction method.

    Attributes:
        summary: the method in one line, for ``recon methods``.
        citation: the paper or equation that the method implements.
        options: model of its options, see :mod:`recon.options`.
        run: ``run(measurement, options, context) -> Reconstruction``.
        weights: kind of the trained network that the method needs, such as ``fbpconv``; None for methods without one.
        slices: whether the method works slice by slice alone, so that it cannot take a cone beam.
        crossing: whether the method is for rays that cross the slices alone, as those of a cone beam.
        moved: what to say of options that the method had and has no more, by key.
    """

    summary: str
    citation: str
    options: type[Options]
    run: Callable[[Measurement, Any, RunContext], Reconstruction]
    weights: str | None = None
    slices: bool = False
    crossing: bool = False
    moved: Mapping[str, str] = field(default_factory=dict)


def method_label(name: str) -> str:
    """A method's name as a heading: short names are abbreviations."""
    return name.upper() if len(name) <= 4 else name
