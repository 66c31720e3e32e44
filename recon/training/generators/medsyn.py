"""The trainings of MedSyn: small volumes, then the finer grid beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from priors.diffusion.anatomy import CLASSES
from priors.generators.medsyn import LOW_FILE, LOW_KIND, SR_KIND
from priors.networks.medsyn.finer import MedSynSR
from priors.networks.medsyn.low import MedSynLow
from priors.networks.sizes import check_size
from priors.training.batches import Sample
from priors.training.generators.medsyn import MedSynLearner, MedSynSRLearner
from priors.weights.card import read_card
from recon.errors import InputError, input_errors
from recon.training.base_prior import in_folder
from recon.training.cubes import CubeSource
from recon.training.generators.cube_workshop import Cubes, cubes, diffusion_workshop
from recon.training.generators.stages import check_one_class, check_part, new_network
from recon.training.settings.medsyn import MedSynSRTask, MedSynTask
from recon.training.settings.parse import parse_task
from recon.training.validation import noise_validation
from recon.training.workshop import Ingredients, Workshop


class Told:
    """Cubes with the ``text`` (tokens, channels) of their case or, where it has none, of their class.

    Args:
        cubes: the samples.
        texts: embeddings by the name of a case or of a class.

    Raises:
        InputError: a case without a text.
    """

    def __init__(self, cubes: CubeSource, texts: Mapping[str, Tensor]) -> None:
        self._cubes, self._texts = cubes, []
        for each in cubes.volumes:
            name = CLASSES[each.class_index].name
            found = texts.get(each.volume.case.id, texts.get(name))
            if found is None:
                raise InputError(f"recipe: task.texts: no text named {each.volume.case.id} or {name} in the file")
            self._texts.append(found)

    def __len__(self) -> int:
        return len(self._cubes)

    def sample(self, item: int, seed: int) -> Sample:
        """One cube with its text."""
        return self._cubes.sample(item, seed) | {"text": self._texts[item % len(self._texts)]}


def build_medsyn(given: Ingredients) -> Workshop:
    """The model of small volumes, from scratch or from initial weights."""
    settings = parse_task(MedSynTask, given.recipe.task)
    texts = _texts(settings.texts)
    classes = tuple(name for name in (anatomy.name for anatomy in CLASSES) if name in texts)
    net: MedSynLow = new_network(given, LOW_KIND, {"text_classes": list(classes)} if classes else None)
    _check_channels(net.config.channels)
    with input_errors("recipe: task.texts"):
        _keep_texts(net, texts)
    with input_errors("recipe: task.size"):
        check_size(settings.size[:1], settings.ratio, ("Z",))
        check_size(settings.size[1:], settings.ratio * net.size_multiple, ("X", "Y"))
    learner = MedSynLearner(net, settings.ratio, settings.reduction, settings.text_dropped)
    found = cubes(given, settings)
    if not texts:
        check_one_class("medsyn without task.texts", found)
        return diffusion_workshop(learner, found)
    validate = noise_validation(learner, Told(found.val, texts) if found.val else None)
    return diffusion_workshop(learner, found, source=Told(found.train, texts), validate=validate)


def _texts(path: str | None) -> dict[str, Tensor]:
    if path is None:
        return {}
    try:
        return {name: tensor.float() for name, tensor in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise InputError(f"recipe: task.texts {path}: no safetensors file with embeddings, or damaged") from error


def _keep_texts(net: MedSynLow, texts: Mapping[str, Tensor]) -> None:
    """Give a network the texts of its classes; ``ValueError`` for one of another shape than it takes."""
    wanted = (net.config.text_tokens, net.config.text_width)
    for name, text in texts.items():
        if tuple(text.shape) != wanted:
            raise ValueError(f"{name} has the shape {tuple(text.shape)}; {wanted} is wanted, as the network has it")
    for place, name in enumerate(net.config.text_classes):
        if name in texts:
            net.class_texts[place] = texts[name]


def _check_channels(channels: int) -> None:
    if channels != 1:
        raise InputError(
            f"recipe: network.channels {channels}: training data here have the image alone; 1 is wanted (the published "
            "network learned lobes, airways and vessels too)"
        )


def build_medsyn_sr(given: Ingredients) -> Workshop:
    """The model of the finer grid, for the small volumes of a trained one."""
    settings = parse_task(MedSynSRTask, given.recipe.task)
    path = in_folder(given.base, LOW_FILE)
    with input_errors("`base`"):
        card = read_card(path)
    ratio, reduction = _of_small_volumes(card.extra, str(path))
    net: MedSynSR = new_network(given, SR_KIND, {"ratio": ratio})
    _check_channels(net.config.channels)
    _check_part(settings, net)
    found = cubes(given, settings)
    if not card.config.get("text_classes"):
        check_one_class("medsyn without task.texts", found)
    _check_same_cubes(found, card.extra, str(path))
    return diffusion_workshop(MedSynSRLearner(net, reduction, settings.column), found, {LOW_KIND: card.sha256})


def _of_small_volumes(extra: Mapping[str, Any], path: str) -> tuple[int, Any]:
    """Ratio and reduction that a model of small volumes was trained with."""
    ratio, reduction = extra.get("ratio"), extra.get("reduction")
    if type(ratio) is not int or ratio < 1 or reduction not in ("mean", "nearest"):
        raise InputError(f"`base` {path}: its card does not say of which grid its small volumes are")
    return ratio, reduction


def _check_part(settings: MedSynSRTask, net: MedSynSR) -> None:
    with input_errors("recipe: task.size"):
        check_size(settings.size, net.config.ratio)
        check_size(settings.size[1:], net.size_multiple, ("X", "Y"))
    check_part("task.column", settings.column, settings.size)
    with input_errors("recipe: task.column"):
        check_size((settings.column or settings.size)[1:], net.size_multiple, ("X", "Y"))


def _check_same_cubes(found: Cubes, extra: Mapping[str, Any], path: str) -> None:
    if list(extra.get("size", found.grid.size)) != list(found.grid.size):
        raise InputError(f"recipe: task.size {list(found.grid.size)}: {path} was trained on {extra['size']}")
