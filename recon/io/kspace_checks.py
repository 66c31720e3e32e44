"""From the arrays in a k-space file to a checked :class:`recon.scan.kspace.KSpace`, whatever the format."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.errors import InputError
from recon.io.checks import check_values

if TYPE_CHECKING:
    from recon.scan.kspace import KSpace


@dataclass(frozen=True)
class RawKSpace:
    """What a reader found: ``data`` (z, coils, y, x) complex64; the rest as in :class:`recon.scan.kspace.KSpace`."""

    path: Path
    format: str
    data: np.ndarray
    affine: np.ndarray
    mask: np.ndarray | None = None
    image_shape: tuple[int, int] | None = None
    reference: np.ndarray | None = None
    meta: dict[str, Any] = field(default_factory=dict)


def checked_kspace(raw: RawKSpace) -> KSpace:
    """The k-space, its mask made (y, x), samples outside the mask set to 0, the reference cropped to the image.

    A file without a mask whose samples are zero in places gets the mask that this shows, unless the zeros only
    pad the edges.

    Raises:
        InputError: NaN, infinity, nothing but zeros, or a mask or reference of another shape.
    """
    import torch

    from recon.scan.kspace import KSpace
    from recon.scan.volume import Source

    _check_data(raw.path, raw.data)
    rows, columns = raw.data.shape[-2:]
    mask, notes = _mask(raw, _support(raw.data))
    data = raw.data if mask is None else raw.data * mask
    _check_some_signal(raw.path, data)
    image_shape = _image_shape(raw, (rows, columns))
    y, x = image_shape or (rows, columns)
    source = Source(raw.path, raw.format, raw.affine, (x, y, raw.data.shape[0]))
    return KSpace(
        data=torch.from_numpy(np.ascontiguousarray(data, np.complex64)),
        affine=raw.affine,
        mask=None if mask is None else torch.from_numpy(mask),
        image_shape=image_shape,
        reference=_reference(raw, (y, x)),
        meta={"spacing_known": True} | raw.meta | notes,
        source=source,
    )


def _check_data(path: Path, data: np.ndarray) -> None:
    if data.ndim != 4 or data.size == 0:
        raise InputError(f"{path}: k-space of shape {data.shape}; slices, coils and two image axes are needed")
    _check_some_signal(path, data)
    check_values(path, data, "k-space")


def _check_some_signal(path: Path, data: np.ndarray) -> None:
    if not data.any():
        raise InputError(f"{path}: the k-space is zero everywhere that was sampled: there is nothing in it")


def _support(data: np.ndarray) -> np.ndarray:
    """(y, x) bool: where any slice and coil has a sample."""
    return np.asarray((data != 0).any(axis=(0, 1)))


def _mask(raw: RawKSpace, support: np.ndarray) -> tuple[np.ndarray | None, dict[str, Any]]:
    """The (y, x) mask, None when fully sampled, and notes for ``meta`` on where it came from."""
    if raw.mask is None:
        if _is_rectangle(support):  # zero padding at the edges (partial echo, matrix size): not undersampled
            return None, {}
        return support, {"mask_from": "samples that are zero"}
    mask = _expanded(raw.path, raw.mask, support.shape)
    outside = int(np.count_nonzero(support & ~mask))
    notes = {"mask_from": "file"} | ({"positions_outside_mask_set_to_zero": outside} if outside else {})
    return (None, {}) if mask.all() else (mask, notes)


def _expanded(path: Path, mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A mask (x,), (1, x) or (y, x) as (y, x) bool."""
    squeezed = mask.reshape(mask.shape[-2:]) if mask.size == np.prod(mask.shape[-2:]) else mask
    rows_fit = squeezed.ndim == 1 or (squeezed.ndim == 2 and squeezed.shape[0] in (1, shape[0]))
    if not rows_fit or squeezed.shape[-1] != shape[1]:
        raise InputError(
            f"{path}: the mask is {mask.shape}, the k-space {shape} (y, x): it must be that or ({shape[1]},)"
        )
    if not np.isin(squeezed, (0, 1)).all():
        raise InputError(f"{path}: the mask must hold 0 and 1 only")
    expanded = np.broadcast_to(squeezed.astype(bool), shape).copy()
    if not expanded.any():
        raise InputError(f"{path}: the mask is empty: it samples nothing")
    return expanded


def _is_rectangle(support: np.ndarray) -> bool:
    rows, columns = np.flatnonzero(support.any(1)), np.flatnonzero(support.any(0))
    return bool(support[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all())


def _image_shape(raw: RawKSpace, matrix: tuple[int, int]) -> tuple[int, int] | None:
    """The part of the image that is kept, at most the matrix; None when that is all of it."""
    if raw.image_shape is None:
        return None
    kept = min(raw.image_shape[0], matrix[0]), min(raw.image_shape[1], matrix[1])
    return None if kept == matrix else kept


def _reference(raw: RawKSpace, shape: tuple[int, int]) -> Any:
    """The (z, y, x) reference image, cropped about its centre like the reconstruction, as a tensor."""
    import torch

    if raw.reference is None:
        return None
    image = raw.reference
    if image.ndim != 3 or image.shape[0] != raw.data.shape[0] or image.shape[1] < shape[0] or image.shape[2] < shape[1]:
        raise InputError(
            f"{raw.path}: the reference image is {image.shape}, the k-space gives {(len(raw.data), *shape)}"
        )
    check_values(raw.path, image, "reference image")
    top, left = (image.shape[1] - shape[0]) // 2, (image.shape[2] - shape[1]) // 2
    return torch.from_numpy(np.array(image[:, top : top + shape[0], left : left + shape[1]], np.float32))
