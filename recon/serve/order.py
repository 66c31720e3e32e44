"""What a client may ask for: checked before anything is computed, and without a path on the server's disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from recon.errors import InputError
from recon.run.choose import AUTO
from recon.scan.volume import Modality

SUFFIXES = (".nii.gz", ".nii", ".h5", ".hdf5", ".mrd", ".npy", ".npz", ".mat", ".dat")
"""Ends of names of uploads; the readers look at the content."""

PATHS = ("weights", "prior")
"""Options of methods that name files, which a client must not choose."""

ORDER = "order.json"
RESULT = "result"
"""In a job's folder: the file with the order, and the folder that :func:`recon.save` writes."""


@dataclass(frozen=True)
class Order:
    """A reconstruction that a client asks for.

    Attributes:
        modality: CT or MR.
        file: the name of the upload in the job's folder.
        method: the name of the method, or ``auto``.
        settings: options of the method, key to text or number.
        seed: the seed of all randomness.
        axes: the axis order of an array, such as ``zcyx``; "" where the file states it.
        mask: the kind of the mask that undersamples MR; "" for none.
        accel: the nominal acceleration of that mask; None: the usual one.
        geometry: the name of the geometry of a simulated CT scan; "" for the usual one.
        views: the number of its views; None: the geometry's own.
    """

    modality: Modality
    file: str
    method: str = AUTO
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    axes: str = ""
    mask: str = ""
    accel: float | None = None
    geometry: str = ""
    views: int | None = None

    def check(self) -> None:
        """:class:`InputError` for a method, an option or a scan that cannot be, or that would name a file."""
        from physics.ct.protocol import preset_names
        from physics.mr.masks import MASK_KINDS
        from recon.methods import get_method, parse_options

        if self.modality not in ("CT", "MR"):
            raise InputError(f"`modality` {self.modality}: must be CT or MR")
        for key in self.settings:
            if key.replace("-", "_") in PATHS:
                raise InputError(f"`{key}`: names a file of the server, which a client cannot choose; leave it out")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"`seed` {self.seed}: must be from 0 to {2**32 - 1}")
        if self.mask and self.mask not in MASK_KINDS:
            raise InputError(f"`mask` {self.mask}: must be one of {', '.join(MASK_KINDS)}")
        if self.geometry and self.geometry not in preset_names():
            raise InputError(f"`geometry` {self.geometry}: must be one of {', '.join(preset_names())}")
        if self.method != AUTO:
            parse_options(get_method(self.modality, self.method), self.settings)

    def write(self, folder: Path) -> None:
        """Write the order into a job's folder."""
        path = folder / ORDER
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Order:
        """The order of a job's folder."""
        return cls(**json.loads((folder / ORDER).read_text(encoding="utf-8")))


def file_name(name: str) -> str:
    """The name under which an upload is kept: nothing of the client's name but its end.

    Raises:
        InputError: an end that no reader knows.
    """
    suffix = next((each for each in SUFFIXES if name.lower().endswith(each)), None)
    if suffix is None:
        raise InputError(f"`name`: must end in one of {', '.join(SUFFIXES)}; a DICOM series goes as .nii.gz")
    return f"input{suffix}"
