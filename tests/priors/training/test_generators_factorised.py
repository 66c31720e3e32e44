"""The learners of Medical Diffusion and MedSyn: a batch is overfitted, and each trains what it should alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.medicaldiffusion.config import FactorisedUNetConfig, VQGANConfig
from priors.networks.medicaldiffusion.unet import FactorisedUNet
from priors.networks.medicaldiffusion.vqgan import VQGAN
from priors.networks.medsyn.config import MedSynConfig, MedSynSRConfig
from priors.networks.medsyn.finer import MedSynSR
from priors.networks.medsyn.low import MedSynLow
from priors.training.autoencoder_learner import DISCRIMINATOR, GENERATOR
from priors.training.batches import Sample
from priors.training.generators.medicaldiffusion import LatentNoiseLearner, VQGANLearner
from priors.training.generators.medsyn import MedSynLearner, MedSynSRLearner
from priors.training.learner import Learner

VQ = VQGANConfig(width=4, latent_channels=4, codes=16, norm_groups=4, judge_channels=4, judge_layers=2)
UNET = FactorisedUNetConfig(width=16, multipliers=(1, 2), channels=4, heads=2, head_width=8, norm_groups=4)
LOW = MedSynConfig(
    width=16, multipliers=(1, 2), channels=1, heads=2, norm_groups=4, init_kernel=3, text_tokens=2, text_width=6
)
SR = MedSynSRConfig(width=16, multipliers=(1, 2), channels=1, heads=2, norm_groups=4, init_kernel=3, ratio=2)


@pytest.fixture(autouse=True)
def _fixed() -> None:
    torch.manual_seed(0)


def balls(edge: int = 16) -> Sample:
    """Two phantoms: a bright ball of another size each, in air."""
    axis = torch.linspace(-1, 1, edge)
    distance = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt()
    images = torch.stack([torch.tanh(8 * (radius - distance)) * 0.8 for radius in (0.5, 0.8)])
    return {"image": images[:, None], "class": torch.ones(2, dtype=torch.long), "seed": torch.tensor([5, 6])}


def overfit(learner: Learner, batch: Sample, steps: int, lr: float = 3e-3) -> list[float]:
    """The loss over steps on one batch with one noise."""
    optimizers = {name: torch.optim.Adam(list(group), lr) for name, group in learner.phases().items()}
    learner.train()
    losses = []
    for step in range(steps):
        phase = learner.phase(step)
        loss = learner(batch, phase, step)["total"]
        optimizers[phase].zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(list(learner.phases()[phase]), 1.0)
        optimizers[phase].step()
        losses.append(float(loss.detach()))
    return losses


def changed(network: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}


def copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def test_the_vqgan_overfits_one_batch() -> None:
    net = VQGAN(replace(VQ, codes=64))
    net.codebook.restart_below = 0.01
    losses = overfit(VQGANLearner(net, adversarial_start=None), balls(8), 40, 4e-3)
    assert min(losses[-10:]) < 0.5 * losses[0]


def test_the_noise_estimator_overfits_one_batch() -> None:
    vqgan = VQGAN(VQ)
    vqgan.train()(balls()["image"])
    learner = LatentNoiseLearner(FactorisedUNet(UNET), vqgan, GaussianDiffusion(300))
    losses = overfit(learner, balls(), 30, 1e-2)
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("reduction", ["mean", "nearest"])
def test_small_volumes_are_overfitted(reduction: str) -> None:
    learner = MedSynLearner(MedSynLow(LOW), ratio=2, reduction=reduction)  # type: ignore[arg-type]
    losses = overfit(learner, balls(8), 30, 1e-2)
    assert losses[-1] < 0.3 * losses[0]


def test_the_finer_grid_is_overfitted_in_columns() -> None:
    learner = MedSynSRLearner(MedSynSR(SR), "mean", column=(6, 4, 4))
    losses = overfit(learner, balls(8), 30, 1e-2)
    assert losses[-1] < 0.3 * losses[0]


def test_discriminators_join_after_their_start_and_take_every_other_step() -> None:
    learner, batch = VQGANLearner(VQGAN(VQ), adversarial_start=3), balls()
    assert [learner.phase(step) for step in range(7)] == [GENERATOR] * 3 + [DISCRIMINATOR, GENERATOR] * 2
    assert "adversarial" not in learner(batch, GENERATOR, 2)
    later = learner(batch, GENERATOR, 4)
    assert {"adversarial", "feature_matching"} <= later.keys()
    parts = [later[name] for name in ("reconstruction", "commitment", "adversarial", "feature_matching")]
    torch.testing.assert_close(torch.stack(parts).sum(), later["total"])


def test_each_phase_trains_its_own_networks_alone() -> None:
    learner, batch = VQGANLearner(VQGAN(VQ), adversarial_start=0), balls()
    learner.train()(batch, GENERATOR, 0)
    groups = learner.phases()
    assert {id(p) for group in groups.values() for p in group} == {id(p) for p in learner.parameters()}
    for phase, others in ((GENERATOR, DISCRIMINATOR), (DISCRIMINATOR, GENERATOR)):
        before = copied(learner.net.codebook)
        learner.zero_grad(set_to_none=True)
        learner(batch, phase, 4)["total"].backward()
        assert all(parameter.grad is None for parameter in groups[others])
        assert any(parameter.grad is not None for parameter in groups[phase])
        assert bool(changed(learner.net.codebook, before)) == (phase == GENERATOR)


def test_the_vqgan_learns_from_parts_where_it_is_told_to() -> None:
    learner, batch = VQGANLearner(VQGAN(VQ), adversarial_start=None, crop=(8, 8, 8)).eval(), balls()
    others = batch | {"seed": torch.tensor([50, 60])}
    first, second = (learner(each, GENERATOR, 0)["total"].detach() for each in (batch, others))
    assert not torch.equal(first, second)


def test_the_noise_estimator_alone_is_trained_and_kept() -> None:
    vqgan = VQGAN(VQ)
    vqgan.train()(balls()["image"])
    before = copied(vqgan)
    learner = LatentNoiseLearner(FactorisedUNet(UNET), vqgan, GaussianDiffusion(300))
    overfit(learner, balls(), 2)
    assert not changed(vqgan, before)
    assert learner.state().keys() == learner.net.state_dict().keys()
    assert learner.card()["extra"] == {"timesteps": 300}
    other = LatentNoiseLearner(FactorisedUNet(UNET), vqgan, GaussianDiffusion(300))
    other.load_state(learner.state())
    batch = balls()
    assert torch.equal(other.eval()(batch, "", 0)["total"], learner.eval()(batch, "", 0)["total"])


def test_texts_reach_the_network_and_are_dropped_as_often_as_asked() -> None:
    batch = balls() | {"text": torch.randn(2, 2, 6)}
    net = MedSynLow(LOW).eval()

    def loss(sample: Sample, dropped: float) -> float:
        return float(MedSynLearner(net, 2, "mean", dropped)(sample, "", 0)["total"])

    assert loss(batch, 1.0) == pytest.approx(loss(balls(), 0.0), abs=1e-6)
    assert loss(batch, 0.0) != pytest.approx(loss(balls(), 0.0), abs=1e-6)


def test_a_samples_noise_follows_from_its_own_seed() -> None:
    net, both = MedSynSR(SR).eval(), balls()
    one = {name: value[:1] for name, value in both.items()}
    two = {name: value[1:] for name, value in both.items()}
    learner = MedSynSRLearner(net, "mean", column=(6, 8, 8))
    apart = [float(learner(each, "", 0)["total"]) for each in (one, two)]
    assert float(learner(both, "", 0)["total"]) == pytest.approx(sum(apart) / 2, abs=1e-5)
