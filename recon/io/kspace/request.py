"""What the user says of a k-space file besides its path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recon.errors import InputError

AVERAGE: Literal["average"] = "average"
"""In place of the number of a repetition: all of them, averaged."""


@dataclass(frozen=True)
class KSpaceRequest:
    """What the user says of a k-space file; every field None: what the file itself says.

    Attributes:
        axes: axis order of an .npy, .npz or MATLAB array, such as ``"cyx"``.
        trajectory: file of the coordinates that the samples were taken at.
        matrix: (y, x) voxels of the image of samples along a trajectory.
        contrast: number of the contrast (echo) to read, as the file counts them from 0.
        repetition: number of the repetition to read, from 0; or ``"average"`` for the average of all.
    """

    axes: str | None = None
    trajectory: Path | None = None
    matrix: tuple[int, int] | None = None
    contrast: int | None = None
    repetition: int | Literal["average"] | None = None

    def refuse_series(self, path: Path) -> None:
        """``InputError`` where a contrast or repetition of a file was asked for that counts none."""
        for name, value in (("contrast", self.contrast), ("repetition", self.repetition)):
            if value is not None:
                raise InputError(f"`{name}` {value}: {path} counts no {name}s; leave it out")

    def wanted_of(self, path: Path, counted: Mapping[str, Iterable[int]]) -> dict[str, int]:
        """The number to read of each counter that is to be told apart, by the name of the counter.

        Args:
            path: the file, for messages.
            counted: the numbers that the readouts have of each counter, ``contrast`` and ``repetition`` among them.

        Raises:
            InputError: several numbers of which none was chosen, or one that is not there.
        """
        chosen: Mapping[str, int | str | None] = {"contrast": self.contrast, "repetition": self.repetition}
        wanted = {}
        for counter, numbers in counted.items():
            there, choice = sorted(set(numbers)), chosen.get(counter)
            if choice == AVERAGE:
                continue
            if choice is None and len(there) > 1:
                raise InputError(f"{path}: {len(there)} different values of {counter}; {_advice(counter, there)}")
            number = there[0] if choice is None else int(choice)
            if number not in there:
                raise InputError(f"`{counter}` {number}: {path} has {', '.join(map(str, there[:8]))}")
            wanted[counter] = number
        return wanted


def _advice(counter: str, there: list[int]) -> str:
    """What to do about several values of a counter."""
    if counter not in ("contrast", "repetition"):
        return "extract one image series first"
    average = ", or average" if counter == "repetition" else ""
    return f"choose one with `{counter}`: {', '.join(map(str, there[:8]))}{average}"
