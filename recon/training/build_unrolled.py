"""The training of unrolled networks: learned primal-dual for CT, MoDL and the variational network for MR."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from priors.networks.registry import KINDS
from priors.networks.unrolled import LearnedPrimalDual, MoDL
from priors.networks.varnet import VarNet
from priors.weights.networks import load_network
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.acquisition.mr_acquisition import MRAcquisition
from recon.errors import InputError, input_errors
from recon.learned.task import Task
from recon.training.build_slices import needed_task
from recon.training.pairs import with_model_error
from recon.training.settings.parse import merged, parse_task, tell_overruled
from recon.training.settings.slices import UnrolledTask
from recon.training.stacks import StackSource
from recon.training.unrolled_learner import (
    MoDLLearner,
    PrimalDualLearner,
    UnrolledLearner,
    VarNetLearner,
    unrolled_validation,
)
from recon.training.workshop import Ingredients, Workshop

_LOOKED_AT = 8
"""Scans that the card's range of model errors is taken from, about."""


def build_primal_dual(given: Ingredients) -> Workshop:
    """Learned primal-dual iterations from one condition's image."""
    task = needed_task(given)
    if not isinstance(task.acquisition, CTAcquisition):
        raise InputError("`task` mri: primal-dual is for CT; take modl")
    settings = parse_task(UnrolledTask, given.recipe.task)
    net: LearnedPrimalDual = _network(given, "primal-dual")
    config = net.config.to_dict()
    learner = PrimalDualLearner(net, config, settings.loss, task.acquisition, task.conditions[0])
    return _workshop(given, settings, learner, task)


def build_modl(given: Ingredients) -> Workshop:
    """MoDL from one condition's image."""
    task = needed_task(given)
    if not isinstance(task.acquisition, MRAcquisition):
        raise InputError("`task` svct: modl is for MR; take primal-dual")
    settings = parse_task(UnrolledTask, given.recipe.task)
    net: MoDL = _network(given, "modl")
    config = net.config.to_dict()
    learner = MoDLLearner(net, config, settings.loss, task.acquisition, task.conditions[0])
    return _workshop(given, settings, learner, task)


def build_varnet(given: Ingredients) -> Workshop:
    """The variational network, from k-space."""
    task = needed_task(given)
    if not isinstance(task.acquisition, MRAcquisition):
        raise InputError("`task` svct: varnet is for MR; take primal-dual")
    settings = parse_task(UnrolledTask, given.recipe.task)
    net: VarNet = _network(given, "varnet")
    learner = VarNetLearner(net, net.config.to_dict(), settings.loss, task.acquisition)
    return _workshop(given, settings, learner, task)


def _network(given: Ingredients, kind: str) -> Any:
    """The network of a kind: that of the initial weights, or a new one of the recipe's sizes."""
    if given.warm_start:
        with input_errors("`warm_start`"):
            net = load_network(given.warm_start, kind)
        tell_overruled(net.config.to_dict(), given.recipe.network, given.announce)
        return net
    with input_errors("recipe: network"):
        defaults = KINDS[kind].config_class()().to_dict()
        return KINDS[kind].build(merged(defaults, given.recipe.network), {})


def _workshop(given: Ingredients, settings: UnrolledTask, learner: UnrolledLearner, task: Task) -> Workshop:
    if len(task.conditions) != 1:
        raise InputError(f"`condition`: {learner.kind} starts from one, not {', '.join(task.conditions)}")
    volumes = [each.volume for each in given.train]
    source = StackSource(volumes, settings.slices, settings.edge, settings.augmentation.build())
    held_out = [each.volume for each in given.val[: given.recipe.validation.cases]]
    validate = unrolled_validation(learner, held_out, settings.slices)
    task = with_model_error(task, _model_errors(source, learner))
    return Workshop(learner, source, validate, {"task": json.dumps(task.to_dict())}, {"task": task.to_dict()})


def _model_errors(source: StackSource, learner: UnrolledLearner) -> Iterator[float | None]:
    """Of a few scans, spread over the items of an epoch, since no scan is kept."""
    for item in range(0, len(source), max(1, len(source) // _LOOKED_AT)):
        yield learner.model_error(source.sample(item, item), item)
