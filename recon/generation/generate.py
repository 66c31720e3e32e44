"""From a prior to volumes in patient space, and their files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from priors.diffusion.anatomy import Anatomy, Size
from priors.diffusion.prior import Prior, WarmStart, decode_latents, sample_latents, sampling_steps
from priors.diffusion.samplers import Spacing
from priors.networks.inference import Acceleration
from recon.errors import InputError, RunError
from recon.run import provenance
from recon.run.devices import describe_device
from recon.scan.measurement import Progress, ProgressEvent, no_progress
from recon.scan.units import CT_WINDOW, network_to_hu, network_to_magnitude
from recon.scan.volume import Volume

Start = Literal["average", "noise"]

_GAP = 4  # pixels between the planes of a preview


@dataclass(frozen=True)
class Request:
    """What to generate.

    Attributes:
        anatomy: the class.
        size: (z, x, y) voxels.
        spacing: (z, x, y) mm; a label only, the networks know sizes alone.
        sampler: ``ddim``, ``ddpm`` or ``dpm++``.
        steps: of the sampler.
        timesteps: which steps of the diffusion; None is the sampler's usual choice.
        start: from the noised ``average`` of the class where the prior knows one, or from ``noise`` alone.
        seeds: one for each volume.
        batch: volumes that are sampled together; 1 gives a seed the same file whatever the other seeds.
    """

    anatomy: Anatomy
    size: Size
    spacing: tuple[float, float, float]
    sampler: str = "ddim"
    steps: int = 50
    timesteps: Spacing | None = None
    seeds: tuple[int, ...] = (0,)
    batch: int = 1
    start: Start = "average"

    def begins(self, prior: Prior) -> WarmStart | None:
        """Where the sampler begins; None is at noise."""
        return prior.average_start(self.anatomy, self.size) if self.start == "average" else None

    def times(self, prior: Prior) -> list[int]:
        """The steps of the diffusion that it visits.

        Raises:
            ValueError: more of them than there are.
        """
        first = self.begins(prior)
        return sampling_steps(prior, self.sampler, self.steps, self.timesteps, first.step if first else None).tolist()


@dataclass(frozen=True)
class Files:
    """Where one volume goes: beside ``volume.nii.gz`` lie ``volume.json`` and, if wanted, ``volume.png``."""

    volume: Path
    result: Path
    preview: Path | None

    def all(self) -> list[Path]:
        """Every file."""
        return [path for path in (self.volume, self.result, self.preview) if path]


def output_files(path: Path, seeds: tuple[int, ...], preview: bool) -> list[Files]:
    """The files of each seed; with several seeds, ``-seedN`` goes before the suffix.

    Raises:
        InputError: not a name of a NIfTI file.
    """
    suffix = next((end for end in (".nii.gz", ".nii") if path.name.endswith(end)), "")
    stem = path.name.removesuffix(suffix)
    if not suffix or not stem:
        raise InputError(f"`output` {path}: the name of a NIfTI file must end in .nii.gz or .nii")
    stems = [stem] if len(seeds) == 1 else [f"{stem}-seed{seed}" for seed in seeds]
    return [
        Files(
            path.with_name(stem + suffix),
            path.with_name(f"{stem}.json"),
            path.with_name(f"{stem}.png") if preview else None,
        )
        for stem in stems
    ]


def check_request(prior: Prior, request: Request) -> None:
    """Refuse, before any work, what these networks cannot do.

    Raises:
        InputError: a class, size or number of steps that they do not have; the message names the option.
    """
    classes = prior.biflownet.config.classes
    if request.anatomy.index >= classes:
        raise InputError(
            f"`class` {request.anatomy.name}: this prior knows only the first {classes} of the seven classes; "
            "choose another class or `prior`"
        )
    if prior.classes and request.anatomy.name not in prior.classes:
        raise InputError(
            f"`class` {request.anatomy.name}: this prior learned {', '.join(prior.classes)} alone; "
            "choose one of them or another `prior`"
        )
    try:
        prior.latent_size(request.size)
    except ValueError as error:
        raise InputError(f"`size`: {error}") from error
    try:
        request.times(prior)
    except ValueError as error:
        raise InputError(f"`steps`: {error}") from error


def generate_volumes(
    prior: Prior, request: Request, acceleration: Acceleration, on_progress: Progress = no_progress
) -> Iterator[Volume]:
    """The volumes of a request in the order of its seeds, each made when it is asked for."""
    for first in range(0, len(request.seeds), request.batch):
        seeds = request.seeds[first : first + request.batch]
        title = f"seed {', '.join(map(str, seeds))}: steps"
        latents = sample_latents(
            prior,
            request.anatomy.index,
            request.size,
            steps=request.steps,
            sampler=request.sampler,
            seeds=seeds,
            spacing=request.timesteps,
            start=request.begins(prior),
            acceleration=acceleration,
            on_step=lambda done, total, z, x0, title=title: on_progress(ProgressEvent(title, done, total)),  # type: ignore[misc]
        )
        for seed, z in zip(seeds, latents, strict=True):
            image = decode_latents(prior, z[None], _percent(f"seed {seed}: decoding, %", on_progress))
            yield to_volume(image[0, 0].cpu(), request)


def _percent(title: str, on_progress: Progress) -> Callable[[float], None]:
    return lambda share: on_progress(ProgressEvent(title, round(100 * share), 100))


def to_volume(image: Tensor, request: Request) -> Volume:
    """A (Z, X, Y) network image in about [-1, 1] as a volume: HU, or magnitude from 0 to 1.

    What overshoots [-1, 1] is clipped: no training image lay there. The networks' X runs to the right, Y to the
    anterior, Z to the superior; voxel 0 is the origin.

    Raises:
        RunError: NaN or infinity in it.
    """
    if not torch.isfinite(image).all():
        raise RunError("generation ended in NaN or infinity; another `dtype`, or more `steps`, may help")
    image = image.clamp(-1, 1).transpose(1, 2)
    data = network_to_hu(image) if request.anatomy.modality == "CT" else network_to_magnitude(image)
    dz, dx, dy = request.spacing
    return Volume(data.contiguous(), np.diag([dx, dy, dz, 1.0]), request.anatomy.modality)


def preview(volume: Volume) -> np.ndarray:
    """The middle axial, coronal and sagittal plane side by side, (h, w) uint8, square pixels, radiological view.

    CT is shown from -1000 to 1000 HU, MR from 0 to 1.
    """
    from PIL import Image

    from recon.report.figures import to_bytes
    from recon.report.planes import PLANES

    low, high = CT_WINDOW if volume.modality == "CT" else (0.0, 1.0)
    data, pixel = volume.data.numpy(), min(volume.spacing)
    pictures = []
    for plane in PLANES:
        grey = to_bytes(plane.picture(data, data.shape[plane.axis] // 2), low, high)
        height, width = (round(data.shape[axis] * volume.spacing[axis] / pixel) for axis in (plane.rows, plane.columns))
        image = Image.fromarray(np.ascontiguousarray(grey))
        pictures.append(np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)))
    canvas = np.zeros((max(p.shape[0] for p in pictures), sum(p.shape[1] + _GAP for p in pictures) - _GAP), np.uint8)
    left = 0
    for picture in pictures:
        canvas[: picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + _GAP
    return canvas


def save_volumes(
    prior: Prior,
    request: Request,
    files: list[Files],
    acceleration: Acceleration,
    *,
    overwrite: bool = False,
    on_progress: Progress = no_progress,
) -> list[dict[str, Any]]:
    """Generate and write every volume of a request; files appear when all are done, or not at all.

    Returns:
        The content of each volume's JSON file.

    Raises:
        InputError: an output exists.
        RunError: NaN, or no space left.
    """
    from recon.io.atomic import output_file
    from recon.io.nifti import write_volume

    results = []
    with ExitStack() as stack:
        temporary = {path: stack.enter_context(output_file(path, overwrite)) for each in files for path in each.all()}
        started = time.perf_counter()
        volumes = generate_volumes(prior, request, acceleration, on_progress)
        for each, seed, volume in zip(files, request.seeds, volumes, strict=True):
            result = result_json(prior, request, acceleration, seed, each, time.perf_counter() - started)
            write_volume(temporary[each.volume], volume)
            temporary[each.result].write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
            if each.preview:
                _write_png(temporary[each.preview], preview(volume))
            results.append(result)
            started = time.perf_counter()
    return results


def _write_png(path: Path, pixels: np.ndarray) -> None:
    from PIL import Image

    Image.fromarray(pixels).save(path, format="PNG")


def result_json(
    prior: Prior, request: Request, acceleration: Acceleration, seed: int, files: Files, seconds: float
) -> dict[str, Any]:
    """What a volume's JSON file says: how it was made, such that it can be made again. Sizes are (z, y, x)."""
    (z, x, y), (dz, dx, dy) = request.size, request.spacing
    return {
        "task": "generate",
        "class": request.anatomy.name,
        "modality": request.anatomy.modality,
        "unit": "HU" if request.anatomy.modality == "CT" else "magnitude, 0 to 1",
        "output": str(files.volume),
        "preview": str(files.preview) if files.preview else None,
        "shape": [z, y, x],
        "spacing_mm": [dz, dy, dx],
        "sampler": request.sampler,
        "steps": request.steps,
        "timesteps": request.times(prior),
        "start": "average" if request.begins(prior) else "noise",
        "seed": seed,
        "batch": request.batch,
        "prior": prior.name or None,
        "weights_sha256": dict(prior.sha256),
        "dtype": str(acceleration.dtype).removeprefix("torch."),
        "seconds": round(seconds, 3),
        "peak_rss_mb": round(provenance.peak_rss_mb(), 1),
        "device": describe_device(prior.device),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
    }
