"""Latents of a training set, encoded once and kept on disk, for BiFlowNet, ControlNet heads and the joint decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from datasets.cache import Cache
from priors.networks.autoencoder import PatchVolumeAutoencoder
from priors.networks.patient import UNKNOWN, Patient
from priors.networks.patient_embedding import Patients
from priors.training.batches import Sample
from recon.scan.padding import AIR, grown, pad_to_multiple
from recon.training.pairs import StoredPair
from recon.training.prepared import Prepared

Size = tuple[int, int, int]


@dataclass(frozen=True)
class StoredLatent:
    """Latents of one volume or scan, memory-mapped.

    Attributes:
        latents: (n · C, Z, X, Y) float16, in about [-1, 1]: the target's, or the conditions' and then the target's.
        class_index: the class index of the anatomy.
        patient: age and sex of the person that they show, as far as they are known.
    """

    latents: np.ndarray
    class_index: int
    patient: Patient = UNKNOWN


@dataclass(frozen=True)
class Encoding:
    """Encodes images with one autoencoder, which its weights' hash names in the cache.

    Attributes:
        autoencoder: the frozen autoencoder, on its device.
        sha256: the hash of its weights.
        cache: the cache that keeps the latents.
        volume_wise: the encoder sees volumes whole, for the paper's ablation (Table VIII), and not patch by patch.
        least: (z, x, y) voxels that every image is grown to, such that crops of latents fit in.
    """

    autoencoder: PatchVolumeAutoencoder
    sha256: str
    cache: Cache
    volume_wise: bool = False
    least: Size = (1, 1, 1)

    @property
    def _device(self) -> torch.device:
        return next(self.autoencoder.parameters()).device

    @torch.no_grad()
    def latent(self, image: Tensor) -> Tensor:
        """(Z, X, Y) in the network range, padded to whole patches, to (C, z, x, y) in about [-1, 1]."""
        encode = self.autoencoder.encode if self.volume_wise else self.autoencoder.patch_encode
        z = encode(self.padded(image)[None, None].to(self._device))
        return self.autoencoder.normalise(z)[0]

    @property
    def settings(self) -> dict[str, object]:
        """What latents depend on beside the image, for the cache."""
        return {"autoencoder": self.sha256, "least": list(self.least), "volume_wise": self.volume_wise}

    @torch.no_grad()
    def codes(self, image: Tensor) -> Tensor:
        """Indices (z, x, y) of the padded image's codes."""
        z = self.autoencoder.patch_encode(self.padded(image)[None, None].to(self._device))
        return self.autoencoder.codebook.nearest(z)[0]

    def volume_codes(self, volume: Prepared, *, flip: bool) -> np.ndarray:
        """Code indices (z, x, y) int32 of a volume, or of its mirror image; memory-mapped."""

        def make() -> tuple[np.ndarray, dict[str, object]]:
            image = volume.network()
            return self.codes(image.flip(1) if flip else image).to(torch.int32).cpu().numpy(), {}

        settings = {"autoencoder": self.sha256, "flip": flip, "least": list(self.least)}
        return self.cache.entry(volume.case, "codes-3", settings, make).array

    def padded(self, image: Tensor, air: float = AIR) -> Tensor:
        """The image, grown to ``least`` and to whole patches; with a map's background in place of air, a map."""
        return pad_to_multiple(grown(image, self.least, air), self.autoencoder.config.patch, air)

    def padded_axis(self, size: int, least: int) -> tuple[int, int]:
        """Voxels that :meth:`padded` puts before an axis, and the axis' length then."""
        wanted, patch = max(size, least), self.autoencoder.config.patch
        length = -(-wanted // patch) * patch
        return (wanted - size) // 2 + (length - wanted) // 2, length

    def padded_region(self, volume: Prepared, region: Sequence[slice], *, flip: bool) -> Tensor:
        """A region of the padded volume, or of its mirror image, without reading all of it."""
        depth = volume.data.shape[0]
        below, _ = self.padded_axis(depth, self.least[0])
        slices = (torch.arange(region[0].start, region[0].stop) - below).clamp(0, depth - 1)
        inside, air = [slice(int(slices[0]), int(slices[-1]) + 1)], []
        for axis in (1, 2):
            part, size = region[axis], volume.data.shape[axis]
            before, _ = self.padded_axis(size, self.least[axis])
            kept = range(size)[max(part.start - before, 0) : max(part.stop - before, 0)]
            ahead = min(max(before - part.start, 0), part.stop - part.start)
            air.append((ahead, part.stop - part.start - ahead - len(kept)))
            first, last = kept.start, kept.start + len(kept)
            inside.append(slice(size - last, size - first) if flip and axis == 1 else slice(first, last))
        image = volume.network((inside[0], inside[1], inside[2]))[slices - slices[0]]
        return functional.pad(image.flip(1) if flip else image, [n for pair in reversed(air) for n in pair], value=-1.0)

    def volume_latent(self, volume: Prepared, class_index: int, *, flip: bool) -> StoredLatent:
        """The latent of a volume, or of its mirror image (left and right)."""

        def make() -> tuple[np.ndarray, dict[str, object]]:
            image = volume.network()
            return _half(self.latent(image.flip(1) if flip else image)), {}

        settings = self.settings | {"flip": flip}
        return StoredLatent(self.cache.entry(volume.case, "latent-2", settings, make).array, class_index)

    def pair_latent(self, pair: StoredPair, class_index: int) -> StoredLatent:
        """The latents of a scan's conditions and of its target, stacked along the channels."""

        def make() -> tuple[np.ndarray, dict[str, object]]:
            images = torch.from_numpy(np.array(pair.images, dtype=np.float32))
            return _half(torch.cat([self.latent(image) for image in images])), {}

        settings = self.settings | {"pair": pair.key}
        return StoredLatent(self.cache.entry(pair.case, "pair-latent-2", settings, make).array, class_index)


def _half(latent: Tensor) -> np.ndarray:
    return latent.to(torch.float16).cpu().numpy()


class LatentSource:
    """Crops of latents: ``latent`` (C, z, x, y), ``class`` (), ``hint`` where there are conditions, and ``age`` and
    ``sex`` where they are asked for.

    Args:
        stored: latents of volumes, or of scans.
        crop: (z, x, y) of the crop, a multiple of the noise estimator's; smaller latents are refused.
        channels: C of one latent; what comes before the last C channels is the hint.
        per_volume: crops of one latent in an epoch.
        told_patient: whether samples say age and sex; see :func:`patient_sample`.

    Raises:
        ValueError: a latent is smaller than the crop.
    """

    def __init__(
        self,
        stored: Sequence[StoredLatent],
        crop: Size,
        channels: int,
        per_volume: int = 1,
        *,
        told_patient: bool = False,
    ):
        self._stored, self._crop, self._channels, self._per_volume = stored, crop, channels, per_volume
        self._told_patient = told_patient
        for each in stored:
            if any(size < want for size, want in zip(each.latents.shape[1:], crop, strict=True)):
                raise ValueError(
                    f"a latent of {each.latents.shape[1:]} is smaller than the crop {crop}; make it smaller"
                )

    def __len__(self) -> int:
        return len(self._stored) * self._per_volume

    def sample(self, item: int, seed: int) -> Sample:
        """One crop."""
        stored, region = self.place(item, seed)
        crop = torch.from_numpy(np.array(stored.latents[region], dtype=np.float32))
        hint, latent = crop[: -self._channels], crop[-self._channels :]
        sample = {"latent": latent, "class": torch.tensor(stored.class_index)}
        sample |= patient_sample(stored.patient) if self._told_patient else {}
        return sample | ({"hint": hint} if len(hint) else {})

    def place(self, item: int, seed: int) -> tuple[StoredLatent, tuple[slice, ...]]:
        """What an item is a crop of, and the crop, all channels first."""
        stored = self._stored[item % len(self._stored)]
        random = torch.Generator().manual_seed(seed)
        region = [slice(None)]
        for size, edge in zip(stored.latents.shape[1:], self._crop, strict=True):
            first = int(torch.randint(size - edge + 1, (), generator=random))
            region.append(slice(first, first + edge))
        return stored, tuple(region)


def patient_sample(patient: Patient) -> Sample:
    """Age and sex as a sample holds them: ``age`` () years, NaN where it is unknown, and ``sex`` (), an index."""
    told = Patients.of([patient])
    return {"age": told.age[0], "sex": told.sex[0]}


class CodeSource:
    """Whole patches of volumes with the codes of their patch-wise encoding, for the joint decoder.

    Samples: ``image`` (1, Z, X, Y) and ``codes`` (z, x, y).

    Args:
        volumes: prepared.
        encoding: the encoding by the frozen encoder and codebook; it grows every volume to the crop at least.
        crop: (z, x, y) voxels of a sample, multiples of the patch.
        per_volume: crops of one volume in an epoch.
        mirror: also mirror images.

    Raises:
        ValueError: a crop that is no whole number of patches, or larger than what volumes are grown to.
    """

    def __init__(
        self, volumes: Sequence[Prepared], encoding: Encoding, crop: Size, per_volume: int, *, mirror: bool = True
    ):
        patch = encoding.autoencoder.config.patch
        if any(edge % patch for edge in crop):
            raise ValueError(f"the crop {crop} is no whole number of patches of {patch}")
        if any(edge > least for edge, least in zip(crop, encoding.least, strict=True)):
            raise ValueError(f"the crop {crop} is larger than {encoding.least}, to which volumes are grown")
        flips = (False, True) if mirror else (False,)
        self._items = [(volume, flip, encoding.volume_codes(volume, flip=flip)) for volume in volumes for flip in flips]
        self._encoding, self._patch, self._per_volume = encoding, patch, per_volume
        self._crop = crop

    def __len__(self) -> int:
        return len(self._items) * self._per_volume

    def sample(self, item: int, seed: int) -> Sample:
        """One crop on the grid of patches."""
        volume, flip, codes = self._items[item % len(self._items)]
        random = torch.Generator().manual_seed(seed)
        factor = self._encoding.autoencoder.compression
        fine, coarse = [], []
        for length, edge in zip((factor * n for n in codes.shape), self._crop, strict=True):
            first = self._patch * int(torch.randint((length - edge) // self._patch + 1, (), generator=random))
            fine.append(slice(first, first + edge))
            coarse.append(slice(first // factor, (first + edge) // factor))
        picked = torch.from_numpy(np.array(codes[tuple(coarse)])).long()
        return {"image": self._encoding.padded_region(volume, fine, flip=flip)[None].contiguous(), "codes": picked}
