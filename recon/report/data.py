"""What a report is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

import numpy as np

from recon.pictures.glance import is_like_a_body

TRUTH, STD, BASELINE = "truth", "std", "baseline"


class ResidualSpread(Protocol):
    """The distribution of (Ax − y)/σ, see :class:`recon.run.residual.Residual`."""

    @property
    def deviations(self) -> float | None:
        """Root mean square."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of data in bins of equal width from -5 to 5; the first and the last hold what lies beyond."""


@dataclass(frozen=True)
class ReportData:
    """Everything a report shows, already computed; the report itself measures nothing but picture scales.

    Attributes:
        title: heading of the page.
        case: label to text: file, shape, spacing, orientation, …
        protocol: sentences, the protocol in words.
        notices: what the reader must know ("simulated from magnitude", "sample data", warnings).
        modality: ``"CT"`` or ``"MR"``.
        images: ordered, key to (z, y, x) float32 in canonical RAS+ orientation; CT in HU, MR in the ground truth's
            unit. ``"truth"`` is absent for measured data; ``"std"`` is optional; every other key
            (``"baseline"``, ``"result"``) is a reconstruction.
        labels: key of ``images`` to caption, such as ``{"baseline": "FBP", "result": "TV"}``.
        spacing: voxel size (z, y, x) in mm.
        metrics: row label to metric name to value, the baseline's row first; None where not known.
        data_picture: sinogram (views, cells), or log magnitude of k-space (y, x), or None.
        projection: one view (rows, cells) of a cone beam, the first row at the bottom; None of other scans.
        mask: (y, x) bool, sampled positions in k-space, or None.
        trace: (iteration, relative data residual) pairs; empty for direct methods.
        provenance: label to text: version, command, seed, time, …
        sides_known: whether it is known where the patient's sides are; where not, pictures carry no letters.
        residuals: label of a method to the residual of its image, for methods whose data have a known deviation.
        ct_unit: unit of CT images: HU, 1/cm, or "" for values without one.
        sizes_known: whether ``spacing`` is that of the patient, and not 1 for want of a better one.

    Raises:
        ValueError: no reconstruction, images of different shapes, a spacing that is not positive.
    """

    title: str
    case: dict[str, str]
    protocol: list[str]
    notices: list[str]
    modality: Literal["CT", "MR"]
    images: dict[str, np.ndarray]
    labels: dict[str, str]
    spacing: tuple[float, float, float]
    metrics: dict[str, dict[str, float | None]]
    data_picture: np.ndarray | None
    mask: np.ndarray | None
    trace: list[tuple[int, float]]
    provenance: dict[str, str]
    residuals: Mapping[str, ResidualSpread] = field(default_factory=dict)
    ct_unit: str = "HU"
    sides_known: bool = True
    sizes_known: bool = True
    projection: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not self.reconstructions:
            raise ValueError("a report needs at least one reconstruction among its images")
        shapes = {key: image.shape for key, image in self.images.items()}
        if len(set(shapes.values())) > 1 or len(self.shape) != 3 or 0 in self.shape:
            raise ValueError(f"the report's images must be (z, y, x) of one shape, they are {shapes}")
        if not all(np.isfinite(size) and size > 0 for size in self.spacing):
            raise ValueError(f"the report's spacing must be positive, it is {self.spacing}")

    @property
    def shape(self) -> tuple[int, ...]:
        """(z, y, x) of every image."""
        return self.images[self.reconstructions[0]].shape

    @property
    def reconstructions(self) -> list[str]:
        """Keys of the images that are neither the ground truth nor a standard deviation."""
        return [key for key in self.images if key not in (TRUTH, STD)]

    @property
    def grey_scale_key(self) -> str:
        """Key of the image that sets the grey scale: the ground truth, or else the last reconstruction (the result)."""
        return TRUTH if TRUTH in self.images else self.reconstructions[-1]

    @property
    def unit(self) -> str:
        """Unit of the images; empty for MR, whose magnitudes are in arbitrary units."""
        return self.ct_unit if self.modality == "CT" else ""

    @cached_property
    def shows_body(self) -> bool:
        """Whether the images are CT in HU of what looks like a body, for which the windows of CT consoles are made."""
        if self.modality != "CT" or self.ct_unit != "HU":
            return False
        return is_like_a_body(self.images[self.grey_scale_key])

    @property
    def flip_key(self) -> str | None:
        """Key of the image that one keystroke shows in place of the others: the ground truth, or the first image."""
        if TRUTH in self.images:
            return TRUTH
        return self.reconstructions[0] if len(self.reconstructions) > 1 else None

    def label(self, key: str) -> str:
        """The caption of an image."""
        return self.labels.get(key, key.capitalize())
