"""From a recipe and data to a learner with its samples and its validation, one function for each network."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets.cache import Cache
from priors.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder
from priors.biflownet import BiFlowNet, BiFlowNetConfig
from priors.controlnet import ControlNet
from priors.diffusion import GaussianDiffusion
from priors.discriminator import DiscriminatorConfig
from priors.losses import AutoencoderLoss, LossWeights
from priors.perceptual_weights import load_perceptual
from priors.prior import AUTOENCODER, BIFLOWNET
from priors.training.autoencoder_learner import AutoencoderLearner
from priors.training.batches import SampleSource
from priors.training.diffusion_learner import BiFlowNetLearner, ControlNetLearner
from priors.training.learner import Learner
from priors.training.loop import Validated
from priors.training.recipe import Recipe
from priors.weights import load_autoencoder, load_biflownet, load_controlnet, read_card
from recon.errors import InputError, input_errors
from recon.training.latents import CodeSource, Encoding, LatentSource, StoredLatent
from recon.training.pairs import simulate_pairs
from recon.training.patches import PatchSource
from recon.training.settings import AutoencoderTask, LatentTask, merged, parse_task
from recon.training.sources import TrainingVolume
from recon.training.tasks import Task
from recon.training.validation import noise_validation, round_trip_validation

Report = Callable[[str], None]


@dataclass(frozen=True)
class Ingredients:
    """What a builder works from.

    Attributes:
        recipe: see there.
        train, val: volumes of the two splits; the second may be empty.
        cache: for what is computed once.
        report: takes one line about progress.
        base: folder of the prior that the network builds upon; None where it needs none.
        warm_start: weights to begin with.
        stage: of the autoencoder.
        task: what a head or a method learns to undo.
    """

    recipe: Recipe
    train: Sequence[TrainingVolume]
    val: Sequence[TrainingVolume]
    cache: Cache
    report: Report
    base: Path | None = None
    warm_start: Path | None = None
    stage: int = 1
    task: Task | None = None


@dataclass(frozen=True)
class Workshop:
    """What the loop takes.

    Attributes:
        learner: the network in training.
        source: its samples.
        validate: takes the network; None where there is nothing to validate on.
        identity: what a checkpoint must agree on.
        extra: goes into the weights file's card.
    """

    learner: Learner
    source: SampleSource
    validate: Callable[[Any], Validated] | None
    identity: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


def build_autoencoder(given: Ingredients) -> Workshop:
    """Stage 1 from scratch (or a warm start), stage 2 from a stage-1 file."""
    settings = parse_task(AutoencoderTask, given.recipe.task)
    if given.stage == 2 and given.warm_start is None:
        raise InputError("--stage 2 goes on from stage 1: give its weights as --warm-start")
    net = _autoencoder(given)
    loss = _autoencoder_loss(net, settings, given.stage)
    volumes = [each.volume for each in given.train]
    patch = net.config.patch
    source: SampleSource
    identity = {"stage": str(given.stage)}
    if given.stage == 1:
        source = PatchSource(volumes, settings.crop or (patch,) * 3, settings.per_volume, settings.augmentation.build())
    else:
        assert given.warm_start is not None
        identity["encoder"] = read_card(given.warm_start).sha256
        encoding = Encoding(net.eval(), identity["encoder"], given.cache)
        given.report("encoding volumes")
        with input_errors("recipe: task.crop"):
            source = CodeSource(volumes, encoding, settings.crop or (2 * patch,) * 3, settings.per_volume)
    validate = round_trip_validation([each.volume for each in given.val[: given.recipe.validation.cases]])
    return Workshop(AutoencoderLearner(net, loss), source, validate, identity)


def _autoencoder(given: Ingredients) -> PatchVolumeAutoencoder:
    if given.warm_start:
        with input_errors("--warm-start"):
            return load_autoencoder(given.warm_start)
    defaults = AutoencoderConfig(discriminator=DiscriminatorConfig()).to_dict()
    with input_errors("recipe: network"):
        config = AutoencoderConfig.from_dict(merged(defaults, given.recipe.network))
    return PatchVolumeAutoencoder(config)


def _autoencoder_loss(net: PatchVolumeAutoencoder, settings: AutoencoderTask, stage: int) -> AutoencoderLoss:
    official = settings.losses == "official"
    perceptual = None
    if settings.perceptual:
        with input_errors("task.perceptual"):
            perceptual = load_perceptual(settings.perceptual, fraction=0.2 if official else None)
    judge = net.volume_discriminator if settings.adversarial else None
    weights = LossWeights.official() if official else LossWeights.paper()
    return AutoencoderLoss(judge, perceptual, weights, 2 if stage == 2 else 1, settings.adversarial_start)


def build_biflownet(given: Ingredients) -> Workshop:
    """On the latents of a trained autoencoder."""
    settings = parse_task(LatentTask, given.recipe.task)
    encoding = _encoding(given)
    flips = (False, True) if settings.mirror else (False,)

    def encoded(volumes: Sequence[TrainingVolume], flips: Sequence[bool]) -> list[StoredLatent]:
        given.report(f"encoding {len(volumes)} volumes")
        return [encoding.volume_latent(v.volume, v.class_index, flip=flip) for v in volumes for flip in flips]

    net = _biflownet(given, encoding.autoencoder.config.latent_channels)
    learner = BiFlowNetLearner(net, GaussianDiffusion(settings.timesteps), settings.loss)
    source = _latent_source(encoded(given.train, flips), settings, net.config.channels)
    held_out = encoded(given.val[: given.recipe.validation.cases], (False,))
    validate = noise_validation(learner, _latent_source(held_out, settings, net.config.channels) if held_out else None)
    return Workshop(learner, source, validate, {"autoencoder": encoding.sha256}, {"autoencoder": encoding.sha256})


def _biflownet(given: Ingredients, channels: int) -> BiFlowNet:
    if given.warm_start:
        with input_errors("--warm-start"):
            return load_biflownet(given.warm_start)
    with input_errors("recipe: network"):
        return BiFlowNet(
            BiFlowNetConfig.from_dict(merged(BiFlowNetConfig(channels=channels).to_dict(), given.recipe.network))
        )


def build_controlnet(given: Ingredients) -> Workshop:
    """A head for one task on a trained prior."""
    if given.task is None:
        raise InputError("--task: say what the head is for, svct or mri")
    settings = parse_task(LatentTask, given.recipe.task)
    encoding = _encoding(given)
    base = load_biflownet(_in_folder(given.base, BIFLOWNET))
    channels = base.config.channels

    def encoded(volumes: Sequence[TrainingVolume], variants: int) -> list[StoredLatent]:
        assert given.task is not None
        given.report(f"simulating and encoding {variants * len(volumes)} scans")
        pairs = simulate_pairs([each.volume for each in volumes], given.task, variants, given.cache)
        classes = [each.class_index for each in volumes for _ in range(variants)]
        return [encoding.pair_latent(pair, index) for pair, index in zip(pairs, classes, strict=True)]

    head = _head(given, base, channels * len(given.task.conditions))
    # The base's own schedule, whatever the recipe says: the head has no other.
    timesteps = int(read_card(_in_folder(given.base, BIFLOWNET)).extra.get("timesteps", settings.timesteps))
    learner = ControlNetLearner(head, base, GaussianDiffusion(timesteps), settings.loss)
    source = _latent_source(encoded(given.train, settings.variants), settings, channels)
    held_out = encoded(given.val[: given.recipe.validation.cases], 1)
    validate = noise_validation(learner, _latent_source(held_out, settings, channels) if held_out else None)
    identity = {"base": head.base_hash, "autoencoder": encoding.sha256, "task": json.dumps(given.task.to_dict())}
    return Workshop(learner, source, validate, identity, {"autoencoder": encoding.sha256})


def _head(given: Ingredients, base: BiFlowNet, hint_channels: int) -> ControlNet:
    assert given.task is not None
    head = ControlNet.from_base(base, hint_channels, given.task.to_dict())
    if given.warm_start:
        with input_errors("--warm-start"):
            other = load_controlnet(given.warm_start)
            if other.config.base != base.config or other.config.hint_channels != hint_channels:
                raise ValueError("a head of other sizes; warm-start from one on the same base with as many conditions")
            head.load_state_dict(other.state_dict())
    return head


def _encoding(given: Ingredients) -> Encoding:
    path = _in_folder(given.base, AUTOENCODER)
    with input_errors("--base"):
        return Encoding(load_autoencoder(path).eval().requires_grad_(False), read_card(path).sha256, given.cache)


def _in_folder(folder: Path | None, name: str) -> Path:
    if folder is None:
        raise InputError(f"--base: name the prior (a folder with {name}) that this network builds upon")
    path = folder / name
    if not path.is_file():
        raise InputError(f"--base {folder}: there is no {name} in it")
    return path


def _latent_source(stored: Sequence[StoredLatent], settings: LatentTask, channels: int) -> LatentSource:
    with input_errors("recipe: task.crop"):
        return LatentSource(stored, settings.crop, channels, settings.per_volume)


BUILDERS: dict[str, Callable[[Ingredients], Workshop]] = {
    "autoencoder": build_autoencoder,
    "biflownet": build_biflownet,
    "controlnet": build_controlnet,
}
"""By the name that ``recon train`` takes."""
