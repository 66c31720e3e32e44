"""Sets of volumes that are compared: generated ones as files, each verified by a hash, and what reads any set."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datasets.whole_file import remove_partial, whole_file
from priors.diffusion.prior import VoxelSize
from recon.acquisition.network_scale import network_axes, patient_axes
from recon.scan.units import hu_to_network, magnitude_to_network, network_to_hu, network_to_magnitude
from recon.scan.volume import Modality
from recon.training.prepared import MR_UNIT

_GZIP_LEVEL = 4


@dataclass(frozen=True)
class VolumeSet:
    """Volumes of one origin.

    Attributes:
        label: the name of the method, or what says that they are real.
        names: the name of each volume, such as its seed.
        sha256: the hash of each one's values.
        read: a function from a place in the set to a volume (Z, X, Y) in the network range [-1, 1].
        groups: the subject of each volume where it is known; volumes of one subject belong together.
    """

    label: str
    names: tuple[str, ...]
    sha256: tuple[str, ...]
    read: Callable[[int], Tensor]
    groups: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Tensor]:
        return (self.read(place) for place in range(len(self)))

    def first(self, count: int) -> VolumeSet:
        """The first ``count`` volumes."""
        groups = self.groups[:count]
        return VolumeSet(self.label, self.names[:count], self.sha256[:count], self.read, groups)

    @property
    def identity(self) -> str:
        """Hash of all its volumes."""
        return hashlib.sha256("".join(self.sha256).encode()).hexdigest()


@dataclass(frozen=True)
class Made:
    """One generated volume as its file says it was made.

    Attributes:
        seed: the seed of its random numbers.
        values_sha256: the hash of its stored values.
        seconds: the seconds of the generation, without writing.
        peak_mb: the most memory that was held meanwhile, in MB: of the GPU, or of the process on a CPU.
        device: the device in words.
    """

    seed: int
    values_sha256: str
    seconds: float
    peak_mb: float
    device: str


@dataclass(frozen=True)
class VolumeFolder:
    """Generated volumes of one method and one set of settings: ``seed-N.nii.gz``, each with ``seed-N.json``.

    Values are stored as those of training volumes: int16, CT in whole HU, MR in ten-thousandths of its scale. A volume
    whose file was cut short or changed is none.

    Attributes:
        folder: the folder of the files.
        modality: CT or MR.
        spacing: the voxel size (z, x, y) in mm.
    """

    folder: Path
    modality: Modality
    spacing: VoxelSize

    def get(self, seed: int) -> Made | None:
        """What is known of a volume; None where it is not there, or not what was written."""
        try:
            made = Made(**json.loads(self._facts(seed).read_text(encoding="utf-8")))
            return made if values_sha256(self._stored(seed)) == made.values_sha256 else None
        except (OSError, EOFError, ValueError, TypeError, KeyError, RecursionError, zlib.error):
            return None

    def put(self, image: Tensor, seed: int, seconds: float, peak_mb: float, device: str) -> Made:
        """Keep a (Z, X, Y) volume in the network range; what lies beyond [-1, 1] is clipped, as no training volume did.

        Raises:
            ValueError: NaN or infinity in it.
        """
        if not bool(torch.isfinite(image).all()):
            raise ValueError(f"seed {seed}: the generated volume has NaN or infinity")
        self.folder.mkdir(parents=True, exist_ok=True)
        stored = to_stored(image, self.modality)
        made = Made(seed, values_sha256(stored), round(seconds, 4), round(peak_mb, 1), device)
        for path in (self._volume(seed), self._facts(seed)):
            remove_partial(path)
        with whole_file(self._volume(seed)) as temporary:
            temporary.write_bytes(gzip.compress(self._nifti(stored), _GZIP_LEVEL, mtime=0))
        with whole_file(self._facts(seed)) as temporary:  # the last: a volume without it is made again
            temporary.write_text(json.dumps(asdict(made)) + "\n", encoding="utf-8")
        return made

    def read(self, seed: int) -> Tensor:
        """A volume (Z, X, Y) in the network range."""
        return from_stored(self._stored(seed), self.modality)

    def as_set(self, label: str, seeds: range) -> VolumeSet:
        """The volumes of some seeds, all of which are there."""
        made = [json.loads(self._facts(seed).read_text(encoding="utf-8")) for seed in seeds]
        return VolumeSet(
            label,
            tuple(f"seed {seed}" for seed in seeds),
            tuple(each["values_sha256"] for each in made),
            lambda place: self.read(seeds[place]),
        )

    def _volume(self, seed: int) -> Path:
        return self.folder / f"seed-{seed}.nii.gz"

    def _facts(self, seed: int) -> Path:
        return self.folder / f"seed-{seed}.json"

    def _nifti(self, stored: np.ndarray) -> bytes:
        """A NIfTI file of patient axes; the networks' X runs to the right, Y to the anterior, Z to the superior."""
        import nibabel

        dz, dx, dy = self.spacing
        array = np.ascontiguousarray(patient_axes(torch.from_numpy(stored)).numpy().transpose(2, 1, 0))
        image = nibabel.Nifti1Image(array, np.diag([dx, dy, dz, 1.0]))
        image.header.set_xyzt_units("mm")
        data: bytes = image.to_bytes()
        return data

    def _stored(self, seed: int) -> np.ndarray:
        """The stored values (Z, X, Y), int16."""
        import nibabel
        from nibabel.filebasedimages import ImageFileError

        try:
            data = gzip.decompress(self._volume(seed).read_bytes())
            image = nibabel.Nifti1Image.from_stream(io.BytesIO(data))
            array = np.asarray(image.dataobj).astype(np.int16).transpose(2, 1, 0)
        except ImageFileError as error:
            raise ValueError(f"{self._volume(seed)}: damaged") from error
        return network_axes(torch.from_numpy(np.ascontiguousarray(array))).contiguous().numpy()


def to_stored(image: Tensor, modality: Modality) -> np.ndarray:
    """A network image as int16 values, as :mod:`recon.training.prepared` keeps volumes."""
    image = image.detach().cpu().float().clamp(-1, 1)
    values = network_to_hu(image) if modality == "CT" else network_to_magnitude(image) * MR_UNIT
    return values.round().to(torch.int16).numpy()


def from_stored(values: np.ndarray, modality: Modality) -> Tensor:
    """The network image of stored values."""
    tensor = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    return hu_to_network(tensor) if modality == "CT" else magnitude_to_network(tensor, MR_UNIT)


def values_sha256(values: np.ndarray) -> str:
    """Hash of a volume's size and values."""
    content = np.ascontiguousarray(values)
    return hashlib.sha256(repr((content.shape, str(content.dtype))).encode() + content.tobytes()).hexdigest()


def settings_key(facts: dict[str, Any]) -> str:
    """Hash of weights and settings, which the name of a folder of volumes ends with."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def slug(label: str) -> str:
    """A label as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-") or "method"
