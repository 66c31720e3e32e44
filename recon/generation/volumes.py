"""From a generator to volumes in patient space."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from priors.generators.generator import Generator
from priors.networks.inference import Acceleration
from recon.acquisition.network_scale import patient_axes
from recon.errors import RunError
from recon.generation.request import Request
from recon.scan.measurement import Progress, ProgressEvent, no_progress
from recon.scan.units import network_to_hu, network_to_magnitude
from recon.scan.volume import Volume


def generate_volumes(
    generator: Generator, request: Request, acceleration: Acceleration, on_progress: Progress = no_progress
) -> Iterator[Volume]:
    """The volumes of a request in the order of its seeds, each made when it is asked for."""
    for first in range(0, len(request.seeds), request.batch):
        images = generator.generate(
            request.anatomy,
            request.size,
            request.seeds[first : first + request.batch],
            request.sampling,
            voxel_size=request.spacing,
            acceleration=acceleration,
            on_progress=lambda stage, done, total: on_progress(ProgressEvent(stage, done, total)),
        )
        yield from (to_volume(image, request) for image in images)


def to_volume(image: Tensor, request: Request) -> Volume:
    """A (Z, X, Y) network image in about [-1, 1] as a volume: HU, or magnitude from 0 to 1.

    What overshoots [-1, 1] is clipped: no training image lay there. The networks' X runs to the right, Y to the
    anterior, Z to the superior; voxel 0 is the origin. A volume for a segmentation lies on the segmentation's grid, one
    that was decoded on a grid of its own where the sampled volume would lie.

    Raises:
        RunError: NaN or infinity in it.
    """
    if not torch.isfinite(image).all():
        raise RunError("generation ended in NaN or infinity; another `dtype`, or more `steps`, may help")
    if request.mask is not None:
        image = request.mask.cut(image)
    image = patient_axes(image.clamp(-1, 1))
    data = network_to_hu(image) if request.anatomy.modality == "CT" else network_to_magnitude(image)
    if request.mask is not None:
        return Volume(data.contiguous(), request.mask.labels.affine, "CT", request.mask.labels.source)
    if request.output is not None:
        return Volume(data.contiguous(), request.output.affine, request.anatomy.modality)
    dz, dx, dy = request.spacing
    return Volume(data.contiguous(), np.diag([dx, dy, dz, 1.0]), request.anatomy.modality)
