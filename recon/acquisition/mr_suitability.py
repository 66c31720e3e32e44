"""Whether an MR scan is one of those that a network was trained on; every reason is one line.

A mask counts by what it samples: its density along one axis or both, its fully sampled centre, and its acceleration.
The kind of a drawn mask states its density; that of a file is judged by its samples (:mod:`physics.mr.sampling`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from physics.mr.masks import ALONG_BOTH_AXES, default_calibration
from recon.acquisition.ct_suitability import number_range

SMALLER_CALIBRATIONS = (20, 16, 12, 8, 4)
"""Widths of the fully sampled centre that are tried where the image is too small for the usual one, descending."""

_DENSITIES = {"gauss1d-legacy": "gauss1d", "equispaced-legacy": "equispaced"}
"""Kinds that sample with the density of another."""

_CENTRE = 0.5
"""Least width of the fully sampled centre over the one that was learned."""

_SAME_ACCELERATION = 0.01
_SAME_TRUE_ACCELERATION = 0.03
"""Fraction by which an acceleration may lie beyond those that were learned: a nominal one, and the true one of a file,
which drawn masks meet within about so much."""


def mask_kind(mask: Mapping[str, Any]) -> str | None:
    """The kind of mask that a scan's mask samples like; None where it is like none."""
    kind = mask.get("samples_like") if mask.get("kind") == "file" else mask.get("kind")
    return None if kind is None else str(kind)


def why_other_mask(
    masks: Sequence[str], accel: tuple[float, float], mask: Mapping[str, Any], shape: tuple[int, int] | None
) -> str | None:
    """Why a mask is not one of those that were learned; None if it is.

    Args:
        masks: kinds of masks of the training.
        accel: least and largest nominal acceleration of the training.
        mask: the scan's mask as its protocol states it.
        shape: (y, x) of the scan's k-space; None where it is not known yet, and the centre is not compared.
    """
    kind = mask_kind(mask)
    if kind is None or _density(kind) not in map(_density, masks):
        found = _in_words(mask, kind)
        return f"it was trained for the masks {', '.join(masks)}, the scan has {found}"
    low, high = accel
    scan = float(mask.get("accel") or 0.0)
    tolerance = _SAME_TRUE_ACCELERATION if mask.get("kind") == "file" else _SAME_ACCELERATION
    if not low * (1 - tolerance) <= scan <= high * (1 + tolerance):
        return f"it was trained for acceleration {number_range(low, high)}, the scan has {scan:.4g}"
    width = mask.get("calib")
    if shape is None or width is None:
        return None
    learned = usual_calibration(kind, shape, min(max(scan, low), high))
    if int(width) < _CENTRE * learned:
        return f"it was trained for a fully sampled centre {learned} samples wide, the scan's is {int(width)} wide"
    return None


def usual_calibration(kind: str, shape: tuple[int, int], accel: float) -> int:
    """The width of the fully sampled centre that masks of a kind have in training, smaller where the image is small."""
    usual = default_calibration(kind, shape, accel)
    both = kind in ALONG_BOTH_AXES
    places = shape[0] * shape[1] if both else shape[1]
    for width in (usual, *(each for each in SMALLER_CALIBRATIONS if each < usual)):
        if (width**2 if both else width) <= round(places / accel):
            return width
    return 0


def _density(kind: str) -> str:
    return _DENSITIES.get(kind, kind)


def _in_words(mask: Mapping[str, Any], kind: str | None) -> str:
    if not mask:
        return "samples along a trajectory"
    if mask.get("kind") != "file":
        return str(mask.get("kind"))
    return f"a mask that samples like {kind}" if kind else "a mask whose samples lie like those of no known kind"
