"""The training of WDM on cubes of volumes."""

from __future__ import annotations

from priors.diffusion.schedule import GaussianDiffusion
from priors.generators.wdm import SCHEDULE
from priors.networks.sizes import check_size
from priors.networks.wdm.make import WDMNetwork
from priors.training.generators.wdm import WDMLearner
from recon.errors import input_errors
from recon.training.generators.cube_workshop import cubes, diffusion_workshop
from recon.training.generators.stages import check_one_class, new_network
from recon.training.settings.parse import parse_task
from recon.training.settings.wdm import WDMTask
from recon.training.workshop import Ingredients, Workshop


def build_wdm(given: Ingredients) -> Workshop:
    """From scratch, or from initial weights."""
    settings = parse_task(WDMTask, given.recipe.task)
    net: WDMNetwork = new_network(given, "wdm")
    with input_errors("recipe: task.size"):
        check_size(settings.size, net.config.size_multiple)
    learner = WDMLearner(net, GaussianDiffusion(settings.timesteps, SCHEDULE))
    found = cubes(given, settings)
    check_one_class("WDM", found)
    return diffusion_workshop(learner, found)
