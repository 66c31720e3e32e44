"""The training of a MAISI ControlNet that is shown images of a scan, as the suite's own heads are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from datasets.cache import Cache
from priors.diffusion.anatomy import CLASSES, Size
from priors.diffusion.maisi import UNET_FILE, MaisiPrior, load_maisi
from priors.diffusion.prior import VoxelSize
from priors.networks.sizes import check_size
from priors.weights.card import SHOWN_WEIGHTS
from priors.weights.networks import load_network
from recon.diffusion.head_sampling import grid
from recon.errors import InputError, input_errors
from recon.methods.conditions import weights_of_task
from recon.scan.padding import grown, pad_to_multiple
from recon.training.base_prior import in_folder
from recon.training.excerpts import Excerpts
from recon.training.generators.cube_workshop import with_cubes
from recon.training.latents import LatentSource, StoredLatent
from recon.training.pairs import StoredPair, simulate_pairs, with_model_error
from recon.training.settings.maisi import MaisiControlNetTask
from recon.training.settings.parse import parse_task
from recon.training.sources import TrainingVolume
from recon.training.validation import Validation, noise_validation
from recon.training.validation_images import head_reconstruction, reconstruction_validation, together
from recon.training.workshop import Ingredients, Workshop

if TYPE_CHECKING:
    from priors.networks.maisi.controlnet import MaisiControlNet
    from priors.training.generators.maisi import MaisiControlNetLearner


@dataclass(frozen=True)
class ScanEncoding:
    """Encodes the images of simulated scans with MAISI's autoencoder, once.

    Attributes:
        prior: the prior with the autoencoder.
        cache: the cache that keeps the latents.
        least: the size (z, x, y) in voxels that every image is grown to.
    """

    prior: MaisiPrior
    cache: Cache
    least: Size

    def latent(self, pair: StoredPair, class_index: int) -> StoredLatent:
        """The latents of a scan's conditions and of its target, stacked along the channels."""

        def make() -> tuple[np.ndarray, dict[str, object]]:
            images = torch.from_numpy(np.array(pair.images, dtype=np.float32))
            whole = (pad_to_multiple(grown(image, self.least), grid(self.prior)) for image in images)
            latents = torch.cat([self.prior.encode(image[None, None])[0] for image in whole])
            return latents.to(torch.float16).cpu().numpy(), {}

        weights = dict(self.prior.sha256)
        settings = {"weights": weights, "scale": self.prior.scale, "least": list(self.least), "pair": pair.key}
        return StoredLatent(self.cache.entry(pair.case, "maisi-pair-1", settings, make).array, class_index)


def build_maisi_controlnet(given: Ingredients) -> Workshop:
    """A ControlNet for one task on a trained MAISI prior."""
    asked = given.task
    if asked is None:
        raise InputError("`task`: say what maisi-controlnet shall learn to undo, svct or mri")
    settings = parse_task(MaisiControlNetTask, given.recipe.task)
    in_folder(given.base, UNET_FILE)
    assert given.base is not None
    with input_errors("`base`"):
        prior = load_maisi(given.base).to(given.device)
    from priors.networks.maisi.controlnet import MaisiControlNet
    from priors.training.generators.maisi import MaisiControlNetLearner

    given = with_cubes(given, settings.cubes)
    with input_errors("recipe: task.crop"):
        check_size(settings.crop, prior.unet.config.size_multiple)
    encoding = ScanEncoding(prior, given.cache, prior.image_size(settings.crop))
    source, pairs = _encoded(given, given.train, settings, encoding, settings.excerpts, settings.variants)
    task = with_model_error(asked, (pair.model_error for pair in pairs))
    shown = prior.channels * len(task.conditions)
    head = MaisiControlNet.from_base(prior.unet, shown, prior.unet.config.widths[:1], task.to_dict())
    _warm(given, head)
    learner = MaisiControlNetLearner(head.cpu(), prior.unet.cpu(), _voxel_sizes(given.train))
    held_out = given.val[: given.recipe.validation.cases]
    validate = _validation(given, held_out, settings, encoding, learner) if held_out else None
    identity = {"base": head.base_hash, "task": json.dumps(task.to_dict())} | dict(prior.sha256)
    return Workshop(
        learner, source, validate, identity, {"prior": dict(prior.sha256), SHOWN_WEIGHTS: weights_of_task(task)}
    )


def _warm(given: Ingredients, head: MaisiControlNet) -> None:
    """Take the initial weights, which are another head's on the same U-Net."""
    if given.warm_start is None:
        return
    with input_errors("`warm_start`"):
        other = load_network(given.warm_start, "maisi-controlnet")
        if (other.config.base, other.config.hint_channels) != (head.config.base, head.config.hint_channels):
            raise ValueError("a head of other sizes; begin with one on the same base with as many conditions")
        head.load_state_dict(other.state_dict())


def _encoded(
    given: Ingredients,
    volumes: Sequence[TrainingVolume],
    settings: MaisiControlNetTask,
    encoding: ScanEncoding,
    excerpts: Excerpts,
    variants: int,
) -> tuple[LatentSource, list[StoredPair]]:
    """Simulated scans, and their latents as samples."""
    assert given.task is not None
    given.announce(f"simulating and encoding {variants * len(volumes)} scans")
    images = [each.volume for each in volumes]
    pairs = simulate_pairs(images, given.task, variants, given.cache, device=given.device, excerpts=excerpts)
    classes = [each.class_index for each in volumes for _ in range(variants)]
    stored = [encoding.latent(pair, index) for pair, index in zip(pairs, classes, strict=True)]
    with input_errors("recipe: task.crop"):
        return LatentSource(stored, settings.crop, encoding.prior.channels, settings.per_volume), pairs


def _validation(
    given: Ingredients,
    volumes: Sequence[TrainingVolume],
    settings: MaisiControlNetTask,
    encoding: ScanEncoding,
    learner: MaisiControlNetLearner,
) -> Validation | None:
    """The loss on held-out scans, and what the head makes of them."""
    source, pairs = _encoded(given, volumes, settings, encoding, settings.held_out, 1)
    loss = noise_validation(learner, source)
    if not settings.sampling_steps:
        return loss
    reconstruct = head_reconstruction(encoding.prior, volumes[0].class_index, settings.sampling_steps)
    return together(loss, reconstruction_validation(pairs, reconstruct))


def _voxel_sizes(volumes: Sequence[TrainingVolume]) -> dict[str, VoxelSize]:
    """The median voxel size of each class's volumes in mm, which the U-Net is told."""
    found: dict[str, VoxelSize] = {}
    for index in sorted({each.class_index for each in volumes}):
        sizes = [each.volume.spacing for each in volumes if each.class_index == index]
        z, x, y = np.median(sizes, 0).tolist()
        found[CLASSES[index].name] = (z, x, y)
    return found
