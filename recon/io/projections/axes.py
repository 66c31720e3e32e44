"""Which axis of stored projections is which: detector rows (z), views (v), cells (c)."""

from __future__ import annotations

import numpy as np

from recon.errors import InputError

_ORDER = "zvc"


def ordered(
    data: np.ndarray, axes: str | None, views: int, cells: int | None, name: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Projections as (z, views, cells), and what was assumed to get there.

    Args:
        data: 2D or 3D projections.
        axes: their axes, such as ``vc`` or ``vzc``; None takes those that the number of views allows, cells last.
        views: number of views of the geometry.
        cells: number of cells of the geometry; None where it leaves that open.
        name: name of the array, for messages.

    Raises:
        InputError: axes that do not fit the array, the views or the cells, or several that would.
    """
    if data.ndim not in (2, 3):
        raise InputError(f"{name}: an array of shape {data.shape}; projections have 2 or 3 axes")
    notices: tuple[str, ...] = ()
    if axes is None:
        axes = _assumed(data.shape, views, cells, name)
        notices = (f"the axes of {name}, {data.shape}, are taken as {_words(axes)}",)
    _check(data.shape, axes, name)
    whole = data if "z" in axes else data[None]
    order = axes if "z" in axes else f"z{axes}"
    turned = np.transpose(whole, [order.index(axis) for axis in _ORDER])
    if turned.shape[1] != views:
        raise InputError(
            f"{name}: {turned.shape[1]} views along axis v of its shape {data.shape}, but there are {views} view "
            "angles; state the `axes`, or other `angles`"
        )
    if cells is not None and turned.shape[2] != cells:
        raise InputError(f"{name}: {turned.shape[2]} cells, but the geometry has {cells}; state the `axes`")
    return turned, notices


def _assumed(shape: tuple[int, ...], views: int, cells: int | None, name: str) -> str:
    """The axes with cells last; refused where that cannot be, or where it is not the only way."""
    usual = ("vc",) if len(shape) == 2 else ("zvc", "vzc")
    fitting = [axes for axes in usual if shape[axes.index("v")] == views and cells in (None, shape[-1])]
    if len(fitting) == 1:
        return fitting[0]
    if len(fitting) > 1:
        raise InputError(f"{name}: both first axes of {shape} have {views} entries; state the `axes`: zvc or vzc")
    if views in shape:
        turned = "cv" if len(shape) == 2 else "zcv" if shape[2] == views else "one of its six orders, such as vcz"
        raise InputError(
            f"{name}: its shape {shape} looks transposed: cells must be the last axis, and there are {views} views"
            + (f" of {cells} cells" if cells else "")
            + f"; if it is, state the `axes`: {turned}"
        )
    raise InputError(f"{name}: no axis of its shape {shape} has as many entries as there are view angles, {views}")


def _check(shape: tuple[int, ...], axes: str, name: str) -> None:
    wanted = "vc" if len(shape) == 2 else "zvc"
    if sorted(axes) != sorted(wanted):
        raise InputError(
            f"`axes` {axes}: must name the {len(shape)} axes of {name}, {shape}: "
            + ("v (views) and c (cells)" if wanted == "vc" else "z (detector rows), v (views) and c (cells)")
        )


def _words(axes: str) -> str:
    names = {"z": "rows", "v": "views", "c": "cells"}
    return "(" + ", ".join(names[axis] for axis in axes) + ")"
