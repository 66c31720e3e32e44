"""Sizes that networks can take, and what to say of others."""

from __future__ import annotations

from collections.abc import Sequence

AXES = ("Z", "X", "Y")


def check_size(size: Sequence[int], multiple: int, axes: Sequence[str] = AXES) -> None:
    """Refuse a size with an axis that is no multiple of what a network needs.

    Args:
        size: (z, x, y), or what ``axes`` names.
        multiple: the number of voxels or pixels that every edge is a multiple of.
        axes: their names, for the message.

    Raises:
        ValueError: names every such axis and the nearest sizes that would do.
    """
    unit = "voxels" if set(axes) <= set(AXES) else "pixels"
    wrong = [
        f"{axis} is {voxels} {unit}, which is no multiple of {multiple}; {_nearest(voxels, multiple)} would do"
        for axis, voxels in zip(axes, size, strict=True)
        if voxels < 1 or voxels % multiple
    ]
    if wrong:
        raise ValueError("; ".join(wrong))


def _nearest(voxels: int, multiple: int) -> str:
    below = voxels // multiple * multiple
    return f"{below} or {below + multiple}" if below > 0 else str(multiple)
