"""The perceptual term of networks from slices to slices: a frozen network, read from a file that others publish."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from priors.training.image_learner import ImageLearner
from priors.weights.perceptual_files import load_perceptual
from recon.errors import InputError, input_errors
from recon.training.settings.slices import ImageLosses


def image_learner(
    net: nn.Module, kind: str, config: dict[str, Any], settings: ImageLosses, device: torch.device
) -> ImageLearner:
    """A learner from image to image with the recipe's losses.

    Args:
        net, kind, config: the arguments of :class:`priors.training.image_learner.ImageLearner`.
        settings: the losses.
        device: the device of the training, where the perceptual network is needed.

    Raises:
        InputError: a perceptual network that cannot be read, or a weight without one.
    """
    if settings.perceptual is None:
        if "perceptual_weight" in settings.model_fields_set:
            raise InputError("recipe: task.perceptual_weight has an effect only with task.perceptual")
        return ImageLearner(net, kind, config, settings.loss)
    with input_errors("task.perceptual"):
        perceptual = load_perceptual(settings.perceptual, fraction=None).to(device)
    return ImageLearner(net, kind, config, settings.loss, perceptual.of_slices, settings.perceptual_weight)
