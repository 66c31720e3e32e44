"""The windows that a derived series offers to viewers (DICOM PS3.3, C.11.2: the VOI LUT)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from recon.scan.volume import Modality

_BRIGHTEST = 99.5
"""Percentile of a volume's values that is drawn white where its values have no fixed meaning."""


@dataclass(frozen=True)
class Window:
    """A preset of a viewer.

    Attributes:
        centre: the middle of the values that are shown, after the rescale.
        width: the difference between the values that are drawn white and black.
        explanation: the name that a viewer lists.
    """

    centre: float
    width: float
    explanation: str


CT_WINDOWS = (
    Window(40.0, 400.0, "SOFT TISSUE"),
    Window(-600.0, 1500.0, "LUNG"),
    Window(400.0, 1800.0, "BONE"),
)
"""The usual windows of body CT in HU; the first is the one that viewers open with."""


def windows_of(values: np.ndarray, modality: Modality) -> tuple[Window, ...]:
    """The presets of a volume: fixed ones in HU for CT, one from its values for MR."""
    return CT_WINDOWS if modality == "CT" else (window_from_zero(values),)


def window_from_zero(values: np.ndarray) -> Window:
    """A window from 0 to nearly the largest value, for magnitudes and deviations; one window for all slices."""
    top = float(np.percentile(values, _BRIGHTEST))
    if not top > 0:
        top = float(values.max())
    if not top > 0:
        top = 1.0
    return Window(top / 2, top, "WHOLE VOLUME")


def set_windows(dataset: Any, windows: Sequence[Window]) -> None:
    """Put the presets into a data set, or into the item of a functional group, in place of those it had."""
    dataset.WindowCenter = [f"{window.centre:.8g}" for window in windows]
    dataset.WindowWidth = [f"{window.width:.8g}" for window in windows]
    dataset.WindowCenterWidthExplanation = [window.explanation for window in windows]
    if "VOILUTFunction" in dataset:  # the source's own, such as SIGMOID: it does not go with other windows
        del dataset.VOILUTFunction
