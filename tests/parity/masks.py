"""Sampling masks of the packages that they come from: how this suite makes them, and hashes of the official ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from parity.formula import sha256
from physics.mr.masks import Mask, make_mask
from physics.mr.poisson_disc import poisson_disc

RECORDINGS = ("dds_masks", "fastmri_masks", "sigpy_poisson")

_FASTMRI_KINDS = {"random": "random", "equispaced": "equispaced-legacy", "equispaced_fraction": "equispaced"}
"""Our names of fastMRI's kinds."""


def ours(recording: str, key: str) -> np.ndarray:
    """This suite's mask for a recorded key, boolean."""
    if recording == "sigpy_poisson":
        _, size, accel, calib, _, seed = key.split("_")
        rows, columns = map(int, size.split("x"))
        return poisson_disc((rows, columns), int(accel[3:]), int(calib[3:]), int(seed[4:]))
    parts = key.split("__")
    if recording == "dds_masks":
        calib = int(320 * float(parts[2][2:]))
        return columns_of(make_mask("gauss1d-legacy", (320, 320), int(parts[1][3:]), calib, int(parts[4][4:])))
    columns = int(parts[3][1:])
    calib = round(columns * float(parts[1][2:]))
    return columns_of(make_mask(_FASTMRI_KINDS[parts[0]], (4, columns), int(parts[2][3:]), calib, int(parts[4][1:])))


def columns_of(mask: Mask) -> np.ndarray:
    """The columns that a mask of whole columns samples."""
    rows = mask.array.numpy()
    assert (rows == rows[0]).all()
    return rows[0]


def official(recording: str, shared: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Recorded masks of the kinds that this suite makes, boolean, in the shape that it makes them in."""
    with np.load(shared / "fixtures" / "baselines" / f"{recording}.npz", allow_pickle=False) as file:
        for key, value in file.items():
            if recording == "sigpy_poisson" and "_crop1_" in key:
                rows, columns = map(int, key.split("_")[1].split("x"))
                yield key, np.unpackbits(value)[: rows * columns].reshape(rows, columns).astype(bool)
            elif recording == "dds_masks" and key.startswith("gaussian1d") and "__fix1__" in key:
                yield key, value[0].astype(bool)
            elif recording == "fastmri_masks" and key.split("__")[0] in _FASTMRI_KINDS and key[-5:] != "fname":
                yield key, value.astype(bool)


def digest(mask: np.ndarray) -> str:
    """The first 16 digits of the SHA-256 of a mask's values."""
    return sha256(mask.astype(np.uint8))[:16]
