"""Are these numbers Hounsfield units? What to do when a CT file holds something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from recon.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from recon.scan.volume import Volume

Intensity = Literal["auto", "hu", "unit", "byte"]

NaNs = Literal["refuse", "air"]
"""What becomes of voxels that are NaN: an error, or background."""

AIR_HU = -1024.0
"""What voxels outside the scanner's field of view become; no attenuation, like every value below -1000 HU."""

PADDING_HU = (-2000.0, -2048.0, -3024.0, -3071.0, -3072.0, -32768.0)
"""Values that scanners and converters write outside the field of view: round numbers, 1024 below them, 2¹⁵."""

LOWEST_HU, HIGHEST_HU = -5000.0, 40000.0
"""No CT goes beyond: artefacts beside metal reach about -3000, the extended scale ends at 30710 or 32767 HU."""

WINDOW_HU = (-1000.0, 1000.0)
"""The window that ``unit`` and ``byte`` images are taken to show."""


@dataclass(frozen=True)
class _Range:
    low: float
    high: float

    def within(self, low: float, high: float) -> bool:
        return low <= self.low and self.high <= high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


def check_hu(volume: Volume, intensity: Intensity = "auto") -> tuple[Volume, list[str]]:
    """The volume in HU, and what the user should know about how it came to be.

    Args:
        volume: a CT volume as read.
        intensity: ``hu`` takes the values as they are, ``unit`` maps [0, 1] and ``byte`` [0, 255] to the window
            [-1000, 1000] HU; ``auto`` takes them as HU too, but looks whether that can be.

    Raises:
        InputError: values that the stated (or any) scale cannot hold.
    """
    values = _range(volume.data)
    if intensity in ("unit", "byte"):
        return _from_window(volume, values, 1.0 if intensity == "unit" else 255.0, intensity)
    data, notes = _padding_to_air(volume.data, values)
    if intensity == "auto":
        notes += _doubts(_subject(volume), _range(data))
    return volume.like(data), notes


def _from_window(volume: Volume, values: _Range, top: float, intensity: str) -> tuple[Volume, list[str]]:
    if not values.within(-0.01 * top, 1.01 * top):
        raise InputError(
            f"{_subject(volume)}: values {values} do not fit `intensity` {intensity} (0 to {top:g}); "
            "is it HU? then give `intensity` hu"
        )
    low, high = WINDOW_HU
    note = f"values 0 to {top:g} were mapped to {low:g} to {high:g} HU (`intensity` {intensity})"
    return volume.like(volume.data * ((high - low) / top) + low), [note]


def _padding_to_air(data: Tensor, values: _Range) -> tuple[Tensor, list[str]]:
    if values.low not in PADDING_HU:
        return data, []
    padding = data == values.low
    note = f"{int(padding.sum())} voxels of {values.low:g} (padding outside the field of view) were taken as air"
    return data.masked_fill(padding, AIR_HU), [note]


def _doubts(subject: str, values: _Range) -> list[str]:
    """Warnings about values that are hardly HU; :class:`InputError` for values that cannot be."""
    if not values.within(LOWEST_HU, HIGHEST_HU):
        raise InputError(
            f"{subject}: values {values} cannot be HU ({LOWEST_HU:g} to {HIGHEST_HU:g}); "
            "rescale the file to HU, or give `intensity` hu to use them as they are"
        )
    if values.within(0, 1):
        return [f"{subject}: values {values} look like [0, 1], not HU; if so, give `intensity` unit"]
    if values.within(-1, 1):
        return [f"{subject}: values {values} look like [-1, 1], not HU; rescale the file to HU"]
    if values.within(0, 255):
        return [f"{subject}: values {values} look like [0, 255], not HU; if so, give `intensity` byte"]
    if values.low >= 0:
        return [
            f"{subject}: no value is below 0 HU, not even air; "
            "if the rescale intercept (often -1024) is missing, apply it"
        ]
    return []


def _range(data: Tensor) -> _Range:
    low, high = data.aminmax()
    return _Range(float(low), float(high))


def _subject(volume: Volume) -> str:
    return str(volume.source.path) if volume.source else "the volume"
