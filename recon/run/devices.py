"""Which device a run uses. Never a silent fallback: asking for a GPU that is not there is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recon.errors import InputError

if TYPE_CHECKING:
    import torch


def select_device(name: str) -> torch.device:
    """``cpu``, ``cuda`` (or ``cuda:1``), or ``auto``: a GPU where there is one.

    Raises:
        InputError: a GPU was asked for and there is none, or the name means nothing.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device: torch.device | None
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InputError(f"`device` {name}: not a device; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"`device` {name}: this machine has {torch.cuda.device_count()} CUDA devices; use cpu or auto")
    return device


def describe_device(device: torch.device) -> str:
    """The device as ``result.json`` names it: the GPU's model, or ``cpu`` with its number of threads."""
    import torch

    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"
