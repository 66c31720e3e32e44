"""MAISI's learners: their losses, and that a few steps overfit one batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

pytest.importorskip("monai", reason="MAISI's networks come with monai")

from maisi_networks import AUTOENCODER, network, unet_config

from priors.networks.maisi.config import Process
from priors.training.batches import Sample
from priors.training.generators.maisi import MaisiControlNetLearner, MaisiLearner, noised
from priors.training.generators.maisi_autoencoder import (
    DISCRIMINATOR,
    GENERATOR,
    MaisiAutoencoderLearner,
    MaisiWeights,
    divergence,
    patch_discriminator,
)
from priors.training.learner import Learner


def batch() -> Sample:
    image = -torch.ones(1, 1, 16, 16, 16)
    image[..., 4:12, 3:13, 2:14] = 0.1
    image[..., 6:9, 6:9, 5:11] = 0.8
    return {"image": image, "class": torch.tensor([1]), "seed": torch.tensor([5])}


def trained(learner: Learner, sample: Sample, steps: int, rate: float = 3e-3) -> list[float]:
    optimizers = {name: torch.optim.Adam(group, rate) for name, group in learner.phases().items()}
    losses = []
    for step in range(steps):
        phase = learner.phase(step)
        optimizers[phase].zero_grad()
        terms = learner.train()(sample, phase, step)
        terms["total"].backward()
        optimizers[phase].step()
        losses.append(float(terms.get("reconstruction", terms["total"]).detach()))
    return losses


def test_the_autoencoder_overfits_one_batch() -> None:
    losses = trained(MaisiAutoencoderLearner(network("maisi-autoencoder", AUTOENCODER)), batch(), 40)
    assert losses[-1] < 0.35 * losses[0]


def test_the_discriminator_learns_on_odd_steps_after_its_start_and_leaves_the_autoencoder_alone() -> None:
    learner = MaisiAutoencoderLearner(
        network("maisi-autoencoder", AUTOENCODER), discriminator=patch_discriminator(4, 1), adversarial_start=3
    )
    assert [learner.phase(step) for step in range(7)] == [
        *[GENERATOR] * 5,
        DISCRIMINATOR,
        GENERATOR,
    ]
    learner(batch(), DISCRIMINATOR, 5)["total"].backward()
    assert all(parameter.grad is None for parameter in learner.net.parameters())
    learner.zero_grad()
    terms = learner(batch(), GENERATOR, 6)
    terms["total"].backward()
    assert "adversarial" in terms
    assert "adversarial" not in learner(batch(), GENERATOR, 2)
    judge = learner.discriminator
    assert judge is not None
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in judge.parameters())


def test_terms_add_up_and_the_perceptual_one_sees_the_network_range() -> None:
    seen: list[torch.Tensor] = []

    class Distance(torch.nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor, random: torch.Generator) -> torch.Tensor:
            seen.append(x)
            return (x - y).abs().mean()

    learner = MaisiAutoencoderLearner(
        network("maisi-autoencoder", AUTOENCODER), MaisiWeights(perceptual=0.5), perceptual=Distance()
    )
    terms = learner(batch(), GENERATOR, 0)
    assert float(seen[0].min()) == -1
    # On [-1, 1] the mean difference is twice that on [0, 1], and half of it counts.
    torch.testing.assert_close(terms["perceptual"], terms["reconstruction"])
    torch.testing.assert_close(terms["total"], terms["perceptual"] + terms["reconstruction"] + terms["divergence"])


def test_the_divergence_of_a_standard_gaussian_is_zero() -> None:
    mean, deviation = torch.zeros(2, 3, 2, 2, 2), torch.ones(2, 3, 2, 2, 2)
    assert float(divergence(mean, deviation)) == 0
    assert float(divergence(mean + 1, deviation)) == pytest.approx(0.5 * 24), "a sum over a latent"


def test_a_crop_is_a_part_of_the_sample_and_must_fit() -> None:
    net = network("maisi-autoencoder", AUTOENCODER)
    assert MaisiAutoencoderLearner(net, crop=(8, 8, 4))(batch(), GENERATOR, 0)["total"] > 0
    with pytest.raises(ValueError, match=r"is smaller than the part \(32, 8, 8\)"):
        MaisiAutoencoderLearner(net, crop=(32, 8, 8))(batch(), GENERATOR, 0)


@pytest.mark.parametrize("process", ["ddpm", "rflow"])
def test_a_unet_overfits_one_batch_and_leaves_the_autoencoder_alone(process: Process) -> None:
    autoencoder = network("maisi-autoencoder", AUTOENCODER)
    kept = {name: tensor.clone() for name, tensor in autoencoder.state_dict().items()}
    learner = MaisiLearner(network("maisi", unet_config(process)), autoencoder, 2.0, (5.0, 5.0, 5.0))
    losses = trained(learner, batch(), 60)
    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.equal(tensor, kept[name]) for name, tensor in autoencoder.state_dict().items())
    assert set(learner.state()) == set(learner.network().state_dict()), "the autoencoder lies in its own file"
    assert learner.card()["extra"]["scale_factor"] == 2.0


@pytest.mark.parametrize("process", ["ddpm", "rflow"])
def test_a_controlnet_overfits_one_batch_on_a_frozen_base(process: Process) -> None:
    from priors.networks.maisi.controlnet import MaisiControlNet

    base = network("maisi", unet_config(process))
    learner = MaisiControlNetLearner(
        MaisiControlNet.from_base(base, 4, (8,)), base, {"CTChestAbdomen": (5.0, 5.0, 5.0)}
    )
    latent = torch.randn(1, 4, 4, 4, 8, generator=torch.Generator().manual_seed(1))
    sample = {"latent": latent, "hint": latent, "class": torch.tensor([1]), "seed": torch.tensor([5])}
    losses = trained(learner, sample, 50, 1e-2)
    assert losses[-1] < 0.9 * losses[0]
    assert all(parameter.grad is None for parameter in base.parameters())


def test_a_seed_draws_the_same_noise_alone_and_in_a_batch() -> None:
    latents = torch.zeros(2, 4, 4, 4, 4)

    def drawn(*seeds: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        random: list[torch.Generator] = [torch.Generator().manual_seed(seed) for seed in seeds]
        return noised(unet_config("rflow"), latents[: len(seeds)], random)

    together, alone = drawn(1, 2), drawn(2)
    for found, expected in zip(together, alone, strict=True):
        assert torch.equal(found[1], expected[0])


def test_times_of_the_flow_are_the_librarys() -> None:
    from monai.networks.schedulers.rectified_flow import timestep_transform

    latents = torch.zeros(1, 4, 8, 8, 16)
    random: Callable[[], list[torch.Generator]] = lambda: [torch.Generator().manual_seed(3)]  # noqa: E731
    _, time, _ = noised(unet_config("rflow"), latents, random())
    (generator,) = random()
    torch.randn(latents[0].shape, generator=generator)
    place = torch.rand((), generator=generator)
    torch.testing.assert_close(time[0], timestep_transform(1000 * place, 8 * 8 * 16))
