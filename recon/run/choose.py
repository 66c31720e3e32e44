"""Which method reconstructs a scan where the user leaves the choice open."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon.scan.measurement import Measurement, Protocol
    from recon.scan.volume import Modality

AUTO = "auto"
"""Stands for the method that is chosen once the scan is known."""

FLAGSHIP = "meddiffusion"
"""The method that ``auto`` takes where an installed head is known to be better than TV on such scans."""

FALLBACK = "tv"
"""The method that ``auto`` takes elsewhere."""

DIRECT = "fdk"
"""The method that ``auto`` takes of cone beams that are too large to iterate on."""

_MOST_WORK = 3e9
"""Voxels times views of a cone beam above which it is too large: an iteration on two cores takes about 10 s."""

_SETTINGS_OF_A_HEAD = ("weights", "prior")


def _cone_work(scan: Measurement | Protocol) -> float:
    """Voxels times views of a cone-beam measurement; 0 of other scans, and where there are no data yet."""
    operator = getattr(scan, "operator", None)
    if operator is None or operator.separable or operator.dtype.is_complex:
        return 0.0
    return float(math.prod(operator.domain) * operator.range[1])


def choose_method(
    method: str, scan: Measurement | Protocol, modality: Modality, settings: Mapping[str, Any]
) -> tuple[str, tuple[str, ...]]:
    """The method itself, or for ``auto`` the one for a scan; and a notice why that is not the flagship, if so.

    Args:
        method: name of a method, or ``auto``.
        scan: the scan, or how its data will come to be.
        modality: CT or MR.
        settings: options that the user sets. ``auto`` with `weights` or `prior`, which name a head or its prior, is
            the flagship.
    """
    if method != AUTO:
        return method, ()
    if any(settings.get(key) for key in _SETTINGS_OF_A_HEAD):
        return FLAGSHIP, ()
    from recon.diffusion.controlnet_head import find_head

    path, reason = find_head(scan, modality, proven=True)
    work = _cone_work(scan)
    if path is None and work > _MOST_WORK:
        many = f"{work:.2g} voxels x views are many to iterate on"
        return DIRECT, (f"`method` {DIRECT} was taken, not {FALLBACK}: {many}; `method` {FALLBACK} takes hours",)
    return (FLAGSHIP, ()) if path else (FALLBACK, (f"`method` {FALLBACK} was taken, not {FLAGSHIP}: {reason}",))


def check_weights(method: str, modality: Modality, settings: Mapping[str, Any]) -> None:
    """Refuse, before a scan takes long, a method whose network is not installed.

    Args:
        method: name of a method, not ``auto``.
        modality: CT or MR.
        settings: options that the user sets.

    Raises:
        InputError: no weights are named, and none of the method's kind are installed.
    """
    from recon.diffusion.controlnet_head import check_installed
    from recon.learned.trained import weights_path
    from recon.methods import get_method

    kind = get_method(modality, method).weights
    if kind is None or settings.get("weights"):
        return
    if kind == "controlnet":
        check_installed(modality)
    else:
        weights_path(kind, "", modality)
