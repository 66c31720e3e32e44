"""Generated volumes as files: NIfTI, JSON and, if wanted, a picture."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from priors.generators.generator import Generator
from priors.networks.inference import Acceleration
from priors.weights.store import IMPLICIT_DECODER
from recon.errors import InputError
from recon.generation.preview import preview
from recon.generation.request import Request
from recon.generation.volumes import generate_volumes
from recon.io.nifti.header import PROGRAM
from recon.run import provenance
from recon.run.devices import describe_device
from recon.scan.measurement import Progress, no_progress

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Files:
    """Where one volume goes: beside ``volume.nii.gz`` lie ``volume.json`` and, if wanted, ``volume.png``, and of one
    for a segmentation ``volume_mask.nii.gz``."""

    volume: Path
    result: Path
    preview: Path | None
    mask: Path | None = None

    def all(self) -> list[Path]:
        """Every file."""
        return [path for path in (self.volume, self.result, self.preview, self.mask) if path]


def output_files(path: Path, seeds: tuple[int, ...], preview: bool, mask: bool = False) -> list[Files]:
    """The files of each seed; with several seeds, ``-seedN`` goes before the suffix.

    Args:
        path: the volume's file.
        seeds: one seed for each volume.
        preview: whether a picture is written too.
        mask: whether the segmentation that the volume is generated for is written too.

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
            path.with_name(f"{stem}_mask{suffix}") if mask else None,
        )
        for stem in stems
    ]


def save_volumes(
    generator: Generator,
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
    from recon.io.label_map import write_label_map
    from recon.io.nifti.volume import write_volume

    results = []
    with ExitStack() as stack:
        temporary = {path: stack.enter_context(output_file(path, overwrite)) for each in files for path in each.all()}
        started = time.perf_counter()
        volumes = generate_volumes(generator, request, acceleration, on_progress)
        for each, seed, volume in zip(files, request.seeds, volumes, strict=True):
            result = result_json(generator, request, acceleration, seed, each, time.perf_counter() - started)
            write_volume(temporary[each.volume], volume)
            temporary[each.result].write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
            if each.mask and request.mask:
                write_label_map(temporary[each.mask], request.mask.labels)
            if each.preview:
                _write_png(temporary[each.preview], preview(volume))
            results.append(result)
            started = time.perf_counter()
    return results


def _write_png(path: Path, pixels: np.ndarray) -> None:
    from PIL import Image, PngImagePlugin

    information = PngImagePlugin.PngInfo()
    information.add_text("Software", PROGRAM)
    Image.fromarray(pixels).save(path, format="PNG", pnginfo=information)


def result_json(
    generator: Generator, request: Request, acceleration: Acceleration, seed: int, files: Files, seconds: float
) -> dict[str, Any]:
    """What a volume's JSON file says: how it was made, such that it can be made again. Sizes are (z, y, x)."""
    (z, x, y), (dz, dx, dy) = request.size, request.spacing
    plan = generator.plan(request.anatomy, request.size, request.sampling)
    mask: dict[str, Any] = {}
    sampled: dict[str, Any] = {}
    asked = request.sampling.patient
    weights = dict(generator.sha256)
    if request.mask is not None:
        (z, x, y), weights = request.mask.size, weights | {"head": request.mask.head_sha256}
        mask = {"mask": {"output": str(files.mask), **request.mask.facts()}, "sampled_shape": _patient(request.size)}
    elif request.output is not None:
        (z, x, y), (dz, dx, dy) = request.output.size, request.output.spacing
        weights = weights | {IMPLICIT_DECODER: request.output.sha256}
        sampled = {"sampled_shape": _patient(request.size), "sampled_spacing_mm": _patient(request.spacing)}
    return {
        "task": "generate",
        "class": request.anatomy.name,
        "modality": request.anatomy.modality,
        "unit": "HU" if request.anatomy.modality == "CT" else "magnitude, 0 to 1",
        "output": str(files.volume),
        "preview": str(files.preview) if files.preview else None,
        **mask,
        **sampled,
        "shape": [z, y, x],
        "spacing_mm": [dz, dy, dx],
        "age": asked.age,
        "sex": asked.sex,
        "guidance": 1.0 if request.sampling.guidance is None and asked.known else request.sampling.guidance,
        "method": generator.method,
        "sampler": plan.sampler,
        "steps": plan.steps,
        "distilled_steps": plan.distilled_steps,
        "timesteps": list(plan.times),
        "start": plan.start,
        "seed": seed,
        "batch": request.batch,
        "prior": generator.name or None,
        "weights_sha256": weights,
        "dtype": str(acceleration.dtype).removeprefix("torch."),
        "seconds": round(seconds, 3),
        "peak_rss_mb": round(provenance.peak_rss_mb(), 1),
        "device": describe_device(generator.device),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
    }


def _patient(size: tuple[Number, Number, Number]) -> list[Number]:
    """A size (z, x, y), in voxels or mm, in the order (z, y, x)."""
    z, x, y = size
    return [z, y, x]
