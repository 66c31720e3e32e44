"""Which method reconstructs a scan where the user leaves the choice open."""

from __future__ import annotations

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

_SETTINGS_OF_A_HEAD = ("weights", "prior")


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
    return (FLAGSHIP, ()) if path else (FALLBACK, (f"`method` {FALLBACK} was taken, not {FLAGSHIP}: {reason}",))
