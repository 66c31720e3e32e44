"""The autoencoder's training, stage 1 and stage 2."""

from __future__ import annotations

from dataclasses import replace

from priors.networks.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder
from priors.networks.discriminator import DiscriminatorConfig
from priors.training.autoencoder_learner import AutoencoderLearner
from priors.training.autoencoder_start import start_as_averages
from priors.training.batches import SampleSource
from priors.training.losses import AutoencoderLoss, LossWeights
from priors.weights.card import read_card
from priors.weights.networks import load_autoencoder
from priors.weights.perceptual_files import load_perceptual
from recon.errors import InputError, input_errors
from recon.training.generators.cube_workshop import with_cubes
from recon.training.latents import CodeSource, Encoding
from recon.training.patches import PatchSource
from recon.training.settings.parse import merged, parse_task, tell_overruled
from recon.training.settings.volumes import AutoencoderTask
from recon.training.validation import round_trip_validation
from recon.training.workshop import Ingredients, Workshop


def build_autoencoder(given: Ingredients) -> Workshop:
    """Stage 1 from scratch or from initial weights, stage 2 from a stage-1 file."""
    settings = parse_task(AutoencoderTask, given.recipe.task)
    given = with_cubes(given, settings.cubes)
    if given.stage == 2 and given.warm_start is None:
        raise InputError("`stage` 2 continues stage 1: give its weights as `warm_start`")
    net = _autoencoder(given, settings.adversarial)
    if settings.start == "averages" and given.warm_start is None:
        with input_errors("recipe: task.start"):
            start_as_averages(net)
    net.codebook.decay, net.codebook.restart_below = settings.code_decay, settings.restart_below
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
        z, x, y = settings.patches
        crop = settings.crop or (z * patch, x * patch, y * patch)
        encoding = Encoding(net.eval().to(given.device), identity["encoder"], given.cache, least=crop)
        given.announce("encoding volumes")
        with input_errors("recipe: task.crop"):
            source = CodeSource(volumes, encoding, crop, settings.per_volume)
    held_out = [each.volume for each in given.val[: given.recipe.validation.cases]]
    validate = round_trip_validation(held_out, joint=given.stage == 2)
    return Workshop(AutoencoderLearner(net, loss, settings.quantise_after), source, validate, identity)


def _autoencoder(given: Ingredients, adversarial: bool) -> PatchVolumeAutoencoder:
    """A new network of the recipe's size, or that of the initial weights.

    That one gets the recipe's discriminator if it had none, and its decoder's middle as the recipe has it, if it does.
    """
    defaults = AutoencoderConfig(discriminator=DiscriminatorConfig()).to_dict()
    with input_errors("recipe: network"):
        config = AutoencoderConfig.from_dict(merged(defaults, given.recipe.network))
    if not given.warm_start:
        return PatchVolumeAutoencoder(config)
    with input_errors("`warm_start`"):
        net = load_autoencoder(given.warm_start)
    tell_overruled(net.config.to_dict(), given.recipe.network, given.announce, free=("patch_middle", "discriminator"))
    net = with_middle(net, bool(given.recipe.network.get("patch_middle", net.config.patch_middle)))
    return with_discriminator(net, config.discriminator) if adversarial else net


def with_middle(net: PatchVolumeAutoencoder, by_patches: bool) -> PatchVolumeAutoencoder:
    """The network, whose decoder now computes its middle in each patch on its own, or in whole volumes."""
    net.config = replace(net.config, patch_middle=by_patches)
    net.decoder.middle_edge = net.config.middle_edge
    return net


def with_discriminator(net: PatchVolumeAutoencoder, judge: DiscriminatorConfig | None) -> PatchVolumeAutoencoder:
    """``net`` as it is if it has a discriminator, else with an untrained one."""
    if net.config.discriminator is not None or judge is None:
        return net
    judged = PatchVolumeAutoencoder(replace(net.config, discriminator=judge))
    judged.load_state_dict(net.state_dict(), strict=False)
    return judged


def _autoencoder_loss(net: PatchVolumeAutoencoder, settings: AutoencoderTask, stage: int) -> AutoencoderLoss:
    official = settings.losses == "official"
    perceptual = None
    if settings.perceptual:
        with input_errors("task.perceptual"):
            perceptual = load_perceptual(settings.perceptual, fraction=0.2 if official else None)
    if settings.adversarial and net.config.discriminator is None:
        raise InputError("recipe: task.adversarial needs a discriminator, and network.discriminator is null")
    judge = net.volume_discriminator if settings.adversarial else None
    weights = LossWeights.official() if official else LossWeights.paper()
    weights = replace(weights, square=settings.square, structure=settings.structure)
    return AutoencoderLoss(judge, perceptual, weights, 2 if stage == 2 else 1, settings.adversarial_start)
