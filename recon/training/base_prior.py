"""What a network on latents takes from the prior that it builds upon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from priors.diffusion.distilled import distilled_of
from priors.networks.biflownet import BiFlowNet
from priors.networks.controlnet import ControlNet
from priors.networks.sizes import check_size
from priors.weights.card import read_card
from priors.weights.networks import load_autoencoder, load_controlnet
from priors.weights.store import AUTOENCODER
from recon.errors import InputError, input_errors
from recon.training.latents import Encoding
from recon.training.settings.parse import merged
from recon.training.settings.volumes import LatentSamples
from recon.training.workshop import Ingredients


def in_folder(folder: Path | None, name: str) -> Path:
    """A file of the prior that a training builds upon.

    Raises:
        InputError: no prior was named, or the file is not in it.
    """
    if folder is None:
        raise InputError(f"`base`: name the prior (a folder with {name}) that this network builds upon")
    path = folder / name
    if not path.is_file():
        raise InputError(f"`base` {folder}: there is no {name} in it")
    return path


def encoding_of(given: Ingredients, settings: LatentSamples) -> Encoding:
    """The encoding by the prior's autoencoder, frozen, which grows every image to the crop at least.

    Raises:
        InputError: no autoencoder, or a damaged one.
    """
    path = in_folder(given.base, AUTOENCODER)
    with input_errors("`base`"):
        autoencoder = load_autoencoder(path).eval().requires_grad_(False).to(given.device)
        z, x, y = (edge * autoencoder.compression for edge in settings.crop)
        volume_wise = settings.encoding == "volume"
        return Encoding(autoencoder, read_card(path).sha256, given.cache, volume_wise, (z, x, y))


def check_many_steps(base: Path) -> None:
    """Refuse a distilled base: a head learns at every noise level, of which a distilled base knows a few alone.

    Raises:
        InputError: such a base.
    """
    with input_errors("`base`"):
        distilled = distilled_of(base, read_card(base).extra)
    if distilled is not None:
        raise InputError(
            f"`base` {base.parent}: it was distilled to {distilled.steps} steps, and no head can be trained on it; "
            "name the prior that it was distilled from"
        )


def check_crop(settings: LatentSamples, net: BiFlowNet) -> None:
    """Refuse a crop that the noise estimator cannot take.

    Raises:
        InputError: such a crop; the message names the nearest that would do.
    """
    with input_errors("recipe: task.crop"):
        check_size(settings.crop, net.size_multiple)


def timesteps_of(base: Path, wanted: int | None) -> int:
    """The timesteps of the base's own diffusion: a head has no other.

    Raises:
        InputError: the recipe wants another number.
    """
    own = read_card(base).extra.get("timesteps")
    if own is not None and wanted not in (None, int(own)):
        raise InputError(f"recipe: task.timesteps {wanted}: the prior's diffusion has {own}, and a head has no other")
    return int(own or wanted or 1000)


def new_head(given: Ingredients, base: BiFlowNet, hint_channels: int, task: Mapping[str, Any]) -> ControlNet:
    """An untrained head, or one with the initial weights that were given.

    Args:
        given: the training's recipe and initial weights.
        base: the noise estimator that the head steers.
        hint_channels: the channels of the head's hint.
        task: what the head learns, as plain values for its card.

    Raises:
        InputError: initial weights of a head of other sizes.
    """
    with input_errors("recipe: network"):
        middle = bool(merged({"middle": True}, given.recipe.network)["middle"])
    head = ControlNet.from_base(base, hint_channels, task, middle=middle)
    if given.warm_start:
        with input_errors("`warm_start`"):
            other = load_controlnet(given.warm_start)
            if replace(other.config, task={}) != replace(head.config, task={}):
                raise ValueError("a head of other sizes; begin with one on the same base with as many conditions")
            head.load_state_dict(other.state_dict())
    return head
