"""The training of classifiers of volumes, and what they say of volumes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.networks.classifier import ClassifierConfig, VolumeClassifier
from priors.training.classifier_learner import ClassifierLearner
from priors.training.loop import Validated
from priors.weights.networks import load_network
from recon.errors import input_errors
from recon.training.class_images import ClassImages, class_image
from recon.training.settings.classifier import ClassifierTask
from recon.training.settings.parse import merged, parse_task, tell_overruled
from recon.training.sources import TrainingVolume
from recon.training.validation import Validation
from recon.training.workshop import Ingredients, Workshop


def build_classifier(given: Ingredients) -> Workshop:
    """On volumes of the classes that the training names."""
    settings = parse_task(ClassifierTask, given.recipe.task)
    learner = ClassifierLearner(_network(given))
    held_out = evenly(given.val, len(given.classes))[: given.recipe.validation.cases]
    validate = _validation(given, held_out, settings) if held_out else None
    about = {"labels": list(given.classes), "size": list(settings.size), "window": list(settings.window)}
    source = ClassImages(given.train, settings, given.cache)
    return Workshop(learner, source, validate, {"classes": ",".join(given.classes)}, about)


def _network(given: Ingredients) -> VolumeClassifier:
    own = {"classes": len(given.classes)}
    if given.warm_start:
        with input_errors("`warm_start`"):
            net: VolumeClassifier = load_network(given.warm_start, "classifier")
            if net.config.classes != own["classes"]:
                raise ValueError(f"a classifier of {net.config.classes} classes, not of {own['classes']}")
        tell_overruled(net.config.to_dict(), given.recipe.network, given.announce)
        return net
    with input_errors("recipe: network"):
        settings = merged(ClassifierConfig().to_dict(), given.recipe.network)
        return VolumeClassifier(ClassifierConfig.from_dict(settings | own))


def evenly(volumes: Sequence[TrainingVolume], classes: int) -> list[TrainingVolume]:
    """Volumes in an order of which every beginning has as many of each class, as long as there are any."""
    seen = [0] * classes
    ranks = []
    for each in volumes:
        ranks.append((seen[each.class_index], each.class_index))
        seen[each.class_index] += 1
    return [volumes[place] for place in sorted(range(len(volumes)), key=lambda place: ranks[place])]


def _validation(given: Ingredients, volumes: Sequence[TrainingVolume], settings: ClassifierTask) -> Validation:
    images = [class_image(each.volume, settings, given.cache) for each in volumes]
    classes = torch.tensor([each.class_index for each in volumes])

    def validate(network: nn.Module) -> Validated:
        scores = class_scores(network, images)
        right = (scores.argmax(1) == classes).float()
        each = [float(right[classes == index].mean()) for index in classes.unique()]
        loss = float(functional.cross_entropy(scores, classes))
        figures = {"loss": loss, "accuracy": float(right.mean()), "balanced_accuracy": float(np.mean(each))}
        return Validated(figures)

    return validate


@torch.no_grad()
def class_scores(network: nn.Module, images: Sequence[np.ndarray]) -> Tensor:
    """A classifier's scores (n, classes) of images (z, x, y), one by one, on the CPU; the network is in eval mode."""
    device = next(network.parameters()).device
    scores = []
    for image in images:
        tensor = torch.from_numpy(np.array(image, dtype=np.float32)).to(device)
        scores.append(network(tensor[None, None]).float().cpu()[0])
    return torch.stack(scores)
