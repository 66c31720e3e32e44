"""What the user says of a k-space file besides its path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class KSpaceRequest:
    """What the user says of a k-space file; every field None: what the file itself says.

    Attributes:
        axes: axis order of an .npy, .npz or MATLAB array, such as ``"cyx"``.
        trajectory: file of the coordinates that the samples were taken at.
        matrix: (y, x) voxels of the image of samples along a trajectory.
    """

    axes: str | None = None
    trajectory: Path | None = None
    matrix: tuple[int, int] | None = None
