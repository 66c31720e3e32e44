"""WDM in training: a batch of phantoms is learned, noise is that of the sample's seed, and cards say the diffusion."""

from __future__ import annotations

import torch
from torch import Tensor

from datasets.anatomy_phantom.render import render
from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.wdm.config import WDMConfig
from priors.networks.wdm.make import make_wdm
from priors.training.generators.wdm import WDMLearner

STEPS = 60


def phantoms() -> Tensor:
    """(2, 1, 16, 16, 16) torsos in the network range."""
    volumes = [render("torso", 0, index, (16, 16, 16), (20.0, 26.0, 26.0)) for index in range(2)]
    return torch.stack([torch.from_numpy(volume).float().div(1000).clamp(-1, 1)[None] for volume in volumes])


def learner(form: str = "unet") -> WDMLearner:
    torch.manual_seed(0)
    config = WDMConfig.from_dict(
        WDMConfig().to_dict() | {"form": form, "width": 16, "norm_groups": 8, "multipliers": [1, 2]}
    )
    return WDMLearner(make_wdm(config), GaussianDiffusion(1000, "linear"))


def loss_of(trained: WDMLearner, batch: Tensor) -> float:
    """The mean loss at the same steps and noise each time."""
    losses = [trained({"image": batch, "seed": torch.tensor([seed, seed + 9])}, "wdm", 0) for seed in range(6)]
    return float(torch.stack([each["total"] for each in losses]).mean().detach())


def test_a_few_steps_learn_a_batch_of_phantoms() -> None:
    trained, batch = learner(), phantoms()
    before = loss_of(trained, batch)
    optimizer = torch.optim.Adam(trained.parameters(), 3e-3)
    for step in range(STEPS):
        optimizer.zero_grad()
        trained({"image": batch, "seed": torch.tensor([1000 + step, 2000 + step])}, "wdm", step)["total"].backward()
        optimizer.step()
    assert loss_of(trained, batch) < before / 4


def test_the_loss_is_that_of_the_coefficients_and_of_the_seed() -> None:
    trained, batch = learner("wavunet"), phantoms()
    given = {"image": batch, "seed": torch.tensor([1, 2])}
    loss = trained(given, "wdm", 0)["total"].detach()
    assert torch.equal(loss, trained(given, "wdm", 0)["total"])
    # A new network estimates zero. The transform is orthonormal, but for the lowest band, which is divided by 3.
    assert 0 < float(loss) < float(batch.square().mean())


def test_the_card_says_what_sampling_needs() -> None:
    card = learner().card()
    assert card["extra"] == {"timesteps": 1000, "schedule": "linear"}
    assert WDMConfig.from_dict(card["config"]).width == 16
