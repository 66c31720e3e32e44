"""From the arrays in a k-space file to a checked :class:`recon.scan.kspace.KSpace`, whatever the format."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.errors import InputError
from recon.io.checks import check_values
from recon.io.kspace.support import Support, support_of

if TYPE_CHECKING:
    from torch import Tensor

    from recon.scan.kspace import KSpace


@dataclass(frozen=True)
class RawKSpace:
    """What a reader found.

    Attributes:
        path: the file.
        format: the format, a field of :class:`recon.scan.volume.Source`.
        data: (z, coils, y, x) complex64.
        affine, reference, calibration, noise_readouts, image_shape: the fields of :class:`recon.scan.kspace.KSpace`.
        mask: what the file states, (x,), (1, x) or (y, x); None where it states none.
        columns: the columns between the padding, if the file states them.
        transformed: whether the slices come of a Fourier transform across them, so that all are sampled alike, and
            those beside the object have zeros at samples that were acquired.
        meta: what else the file says; ``spacing_known`` and ``orientation_known`` among it where they are not.
        notices: what the reader of a result must know.
    """

    path: Path
    format: str
    data: np.ndarray
    affine: np.ndarray
    mask: np.ndarray | None = None
    image_shape: tuple[int, int] | None = None
    reference: np.ndarray | None = None
    calibration: np.ndarray | None = None
    noise_readouts: np.ndarray | None = None
    columns: slice | None = None
    transformed: bool = False
    meta: dict[str, Any] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


def checked_kspace(raw: RawKSpace) -> KSpace:
    """The k-space, its mask made (y, x), samples outside the mask set to 0, the reference cropped to the image.

    A file without a mask whose samples are zero in places gets the mask that this shows; zeros at the edges are
    padding, or the missing side of partial Fourier.

    Raises:
        InputError: NaN, infinity, nothing but zeros, slices or coils that are sampled at different places, or a mask
            or reference of another shape.
    """
    import torch

    from recon.scan.kspace import KSpace
    from recon.scan.volume import Source

    _check_data(raw.path, raw.data)
    rows, columns = raw.data.shape[-2:]
    stated = None if raw.mask is None else _expanded(raw.path, raw.mask, (rows, columns))
    outside = 0 if stated is None else int(np.count_nonzero((raw.data != 0).any(axis=(0, 1)) & ~stated))
    data = raw.data if stated is None else raw.data * stated
    _check_some_signal(raw.path, data)
    support = support_of(raw.path, data, stated, raw.columns, alike=raw.transformed)
    image_shape = _image_shape(raw, (rows, columns))
    y, x = image_shape or (rows, columns)
    meta = {"spacing_known": True} | raw.meta | _mask_notes(support, stated is not None, outside)
    source = Source(
        raw.path,
        raw.format,
        raw.affine,
        (x, y, raw.data.shape[0]),
        spacing_known=bool(meta["spacing_known"]),
        orientation_known=bool(meta.get("orientation_known", True)),
    )
    return KSpace(
        data=torch.from_numpy(np.ascontiguousarray(data, np.complex64)),
        affine=raw.affine,
        mask=_tensor(support.mask),
        acquired=_tensor(support.acquired),
        partial_fourier=support.partial,
        calibration=_tensor(raw.calibration),
        noise_readouts=_tensor(raw.noise_readouts),
        image_shape=image_shape,
        reference=_reference(raw, (y, x)),
        meta=meta,
        source=source,
        notices=(*raw.notices, *unknown_geometry(source), *support.notices),
    )


def _tensor(array: np.ndarray | None) -> Tensor | None:
    import torch

    return None if array is None else torch.from_numpy(np.ascontiguousarray(array))


def unknown_geometry(source: Any) -> tuple[str, ...]:
    """Notices on what the file leaves open; results leave it open too."""
    if not source.spacing_known:
        return ("the file states neither voxel size nor orientation: both are unknown, in the results too",)
    if not source.orientation_known:
        return ("the file does not state the orientation: where the patient's sides are is unknown",)
    return ()


def _check_data(path: Path, data: np.ndarray) -> None:
    if data.ndim != 4 or data.size == 0:
        raise InputError(f"{path}: k-space of shape {data.shape}; slices, coils and two image axes are needed")
    _check_some_signal(path, data)
    check_values(path, data, "k-space")


def _check_some_signal(path: Path, data: np.ndarray) -> None:
    if not data.any():
        raise InputError(f"{path}: the k-space is zero everywhere that was sampled: there is nothing in it")


def _mask_notes(support: Support, stated: bool, outside: int) -> dict[str, Any]:
    """Where the mask came from."""
    if support.mask is None:
        return {}
    if not stated:
        return {"mask_from": "samples that are zero"}
    return {"mask_from": "file"} | ({"positions_outside_mask_set_to_zero": outside} if outside else {})


def _expanded(path: Path, mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
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
