"""The autoencoder's losses: the official values, who gets gradients, when the adversarial terms join."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from skimage.metrics import structural_similarity
from torch import nn

from priors.networks.discriminator import DiscriminatorConfig, VolumeDiscriminator
from priors.training.losses import (
    AutoencoderLoss,
    LossWeights,
    feature_matching_loss,
    hinge_loss,
    structural_dissimilarity,
    vanilla_loss,
)

CLOSE = {"atol": 1e-4, "rtol": 0}
PREFIX = "volume_discriminator."
ADVERSARIAL = {"adversarial", "feature_matching"}


@pytest.fixture(scope="module")
def tensors(shared):
    return load_file(shared / "fixtures/meddiffusion/autoencoder_tiny4x_tensors.safetensors")


@pytest.fixture
def official(shared):
    """The official discriminator, in the training mode in which the losses were recorded."""
    weights = load_file(shared / "fixtures/meddiffusion/autoencoder_tiny4x_weights.safetensors")
    discriminator = VolumeDiscriminator(DiscriminatorConfig(channels=4, layers=2))
    ours = {name.removeprefix(PREFIX): value for name, value in weights.items() if name.startswith(PREFIX)}
    discriminator.load_state_dict(ours, strict=True)
    return discriminator.train()


@pytest.fixture
def small():
    torch.manual_seed(0)
    return VolumeDiscriminator(DiscriminatorConfig(channels=2, layers=1))


class Doubling(nn.Module):
    """An autoencoder and a perceptual distance small enough to know their gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x


class SquaredDistance(nn.Module):
    def forward(self, x: torch.Tensor, reconstruction: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        return (x - reconstruction).square().mean() * torch.rand((), generator=generator)


def patches(seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 1, 8, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def expected(tensors: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    return tensors[f"loss_{name}"].squeeze()


def test_adversarial_terms_match_the_official_ones(official, tensors):
    loss = AutoencoderLoss(official, weights=LossWeights.official(), adversarial_start=10)
    commitment = tensors["patch_commitment_loss"].squeeze()
    terms = loss.generator_terms(tensors["patch_x"], tensors["patch_recon"], commitment, step=11)
    torch.testing.assert_close(terms["adversarial"], 2 * expected(tensors, "g"), **CLOSE)
    torch.testing.assert_close(terms["feature_matching"], 4 * expected(tensors, "feat_match"), **CLOSE)


def test_terms_before_the_adversarial_start_match_the_official_ones(official, tensors):
    loss = AutoencoderLoss(official, adversarial_start=10)
    commitment = tensors["patch_commitment_loss"].squeeze()
    terms = loss.generator_terms(tensors["patch_x"], tensors["patch_recon"], commitment, step=10)
    torch.testing.assert_close(terms["reconstruction"], expected(tensors, "recon_weighted"), **CLOSE)
    torch.testing.assert_close(terms["total"], expected(tensors, "stage1_noGAN"), **CLOSE)


@pytest.mark.parametrize("kind", ["hinge", "vanilla"])
def test_the_discriminator_s_loss_matches_the_official_one(official, tensors, kind):
    loss = AutoencoderLoss(official, gan=kind)
    terms = loss.discriminator_terms(tensors["patch_x"], tensors["patch_recon"])
    torch.testing.assert_close(terms["total"], 2 * expected(tensors, f"{kind}_d"), **CLOSE)
    assert terms["discriminator"] is terms["total"]


LOGITS = st.lists(st.floats(-30, 30), min_size=1, max_size=8)


@settings(deadline=None, max_examples=50)
@given(real=LOGITS, fake=LOGITS)
def test_discriminator_losses_by_their_definitions(real, fake):
    hinge = [[max(0, 1 - value) for value in real], [max(0, 1 + value) for value in fake]]
    log_likelihood = [[math.log1p(math.exp(-value)) for value in real], [math.log1p(math.exp(value)) for value in fake]]
    for function, terms in ((hinge_loss, hinge), (vanilla_loss, log_likelihood)):
        by_hand = sum(sum(values) / len(values) for values in terms) / 2
        ours = function(torch.tensor(real, dtype=torch.float64), torch.tensor(fake, dtype=torch.float64))
        assert ours.item() == pytest.approx(by_hand, abs=1e-9)


def test_feature_matching_sums_over_layers_and_leaves_real_features_alone():
    real = [torch.zeros(2, 3, requires_grad=True), torch.zeros(1, 4, requires_grad=True)]
    fake = [torch.full((2, 3), 0.5, requires_grad=True), torch.full((1, 4), -2.0, requires_grad=True)]
    loss = feature_matching_loss(real, fake)
    loss.backward()
    assert loss.item() == 2.5
    assert all(feature.grad is None for feature in real)
    assert all(feature.grad is not None for feature in fake)


def test_the_generator_s_loss_sends_no_gradient_into_the_discriminator(small):
    autoencoder = Doubling()
    x = patches()
    loss = AutoencoderLoss(small, SquaredDistance(), weights=LossWeights(reconstruction=0, perceptual=0))
    loss.generator_terms(x, autoencoder(x), torch.zeros(()), step=1)["total"].backward()
    assert autoencoder.factor.grad.abs() > 0  # through the discriminator alone
    assert all(parameter.grad is None for parameter in small.parameters())
    assert all(parameter.requires_grad for parameter in small.parameters())


def test_the_discriminator_s_loss_sends_no_gradient_into_the_autoencoder(small):
    autoencoder = Doubling()
    x = patches().requires_grad_()
    AutoencoderLoss(small).discriminator_terms(x, autoencoder(x))["total"].backward()
    assert autoencoder.factor.grad is None
    assert x.grad is None
    assert all(parameter.grad is not None for parameter in small.parameters())


def test_both_losses_of_one_reconstruction_can_be_differentiated(small):
    autoencoder = Doubling()
    x = patches()
    reconstruction = autoencoder(x)
    loss = AutoencoderLoss(small)
    generator = loss.generator_terms(x, reconstruction, torch.zeros(()), step=1)["total"]
    loss.discriminator_terms(x, reconstruction)["total"].backward()
    generator.backward()
    assert autoencoder.factor.grad is not None


def test_the_adversarial_gradient_is_that_of_the_plain_formula(small):
    small.eval()
    x, reconstruction = patches(0), patches(1).requires_grad_()
    terms = AutoencoderLoss(small).generator_terms(x, reconstruction, torch.zeros(()), step=1)
    (ours,) = torch.autograd.grad(terms["adversarial"] + terms["feature_matching"], reconstruction)
    logits, fake = small(reconstruction)
    _, real = small(x)
    plain = -2 * logits.mean() + 4 * sum((a - b.detach()).abs().mean() for a, b in zip(fake, real, strict=True))
    (by_hand,) = torch.autograd.grad(plain, reconstruction)
    torch.testing.assert_close(ours, by_hand)


@settings(deadline=None, max_examples=25)
@given(start=st.integers(0, 20000), step=st.integers(0, 40000))
def test_adversarial_terms_are_zero_until_their_start(start, step):
    discriminator = VolumeDiscriminator(DiscriminatorConfig(channels=1, layers=1))
    loss = AutoencoderLoss(discriminator, adversarial_start=start)
    terms = loss.generator_terms(patches(0), patches(1), torch.zeros(()), step)
    assert terms.keys() >= ADVERSARIAL
    assert all((terms[name] != 0) == (step > start) for name in ADVERSARIAL)


def test_the_discriminator_is_not_run_before_its_start(small):
    runs: list[int] = []
    small.register_forward_hook(lambda *_: runs.append(1))
    loss = AutoencoderLoss(small, adversarial_start=5)
    loss.generator_terms(patches(0), patches(1), torch.zeros(()), step=5)
    assert not runs
    loss.generator_terms(patches(0), patches(1), torch.zeros(()), step=6)
    assert runs


@pytest.mark.parametrize("weights", [LossWeights.official(), LossWeights.paper()])
def test_the_total_is_the_sum_of_the_weighted_terms(small, weights):
    x, reconstruction = patches(0), patches(1)
    loss = AutoencoderLoss(small, SquaredDistance(), weights)
    random = torch.Generator().manual_seed(3)
    terms = loss.generator_terms(x, reconstruction, torch.tensor(0.125), step=1, generator=random)
    total = terms.pop("total")
    torch.testing.assert_close(total, sum(terms.values()))
    mean_error = (x - reconstruction).abs().mean()
    torch.testing.assert_close(terms["reconstruction"], weights.reconstruction * mean_error)
    assert terms["commitment"] == weights.commitment * 0.125
    distance = SquaredDistance()(x, reconstruction, torch.Generator().manual_seed(3))
    torch.testing.assert_close(terms["perceptual"], weights.perceptual * distance)


def test_the_two_settings():
    assert LossWeights.official() == LossWeights(4.0, 1.0, 2.0, 4.0, 2.0, 2.0)
    paper = LossWeights.paper()
    assert (paper.adversarial, paper.perceptual, paper.reconstruction, paper.feature_matching) == (2, 4, 1, 0)
    assert 0.25 * paper.commitment == 1  # the codebook's own factor is undone


def test_the_second_stage_has_no_commitment_term(small):
    terms = AutoencoderLoss(small, stage=2).generator_terms(patches(0), patches(1), torch.tensor(5.0), step=1)
    assert "commitment" not in terms


def test_terms_of_absent_networks_are_left_out():
    loss = AutoencoderLoss()
    terms = loss.generator_terms(patches(0), patches(1), torch.tensor(0.5), step=1)
    assert terms.keys() == {"reconstruction", "commitment", "total"}
    with pytest.raises(ValueError, match="without a discriminator"):
        loss.discriminator_terms(patches(0), patches(1))


@pytest.mark.parametrize("setting", [{"stage": 3}, {"gan": "wasserstein"}])
def test_unknown_settings_are_refused(setting):
    with pytest.raises(ValueError, match=str(next(iter(setting.values())))):
        AutoencoderLoss(**setting)


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.5])
def test_structural_dissimilarity_is_that_of_the_metrics(noise):
    random = torch.Generator().manual_seed(1)
    truth = torch.rand(3, 1, 20, 31, generator=random) * 2 - 1
    image = truth + noise * torch.randn(truth.shape, generator=random)
    expected = [
        structural_similarity(t, i, data_range=2.0)
        for t, i in zip(truth[:, 0].numpy(), image[:, 0].numpy(), strict=True)
    ]
    assert float(structural_dissimilarity(image, truth, 2.0)) == pytest.approx(1 - np.mean(expected), abs=1e-5)


def test_structural_dissimilarity_falls_along_its_gradient():
    truth = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    image = truth.flip(2).requires_grad_()
    before = structural_dissimilarity(image, truth, 2.0)
    before.backward()
    assert structural_dissimilarity(image.detach() - image.grad, truth, 2.0) < before.detach()


@given(seed=st.integers(0, 2**16), depth=st.integers(1, 3), edge=st.integers(7, 12))
@settings(max_examples=20, deadline=None)
def test_terms_for_psnr_and_ssim_are_what_they_are_measured_by(seed, depth, edge):
    x, other = torch.rand(
        (2, 2, 1, depth, edge, edge), generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    terms = AutoencoderLoss(weights=LossWeights(square=3.0, structure=0.5), stage=2).generator_terms(
        x, other, x.new_zeros(()), 0
    )
    of_slices = [
        structural_similarity(a.numpy(), b.numpy(), data_range=2.0)
        for a, b in zip(x.flatten(0, 2), other.flatten(0, 2), strict=True)
    ]
    assert terms["square"] == pytest.approx(3 * float((x - other).square().mean()), rel=1e-6)
    assert terms["structure"] == pytest.approx(0.5 * (1 - np.mean(of_slices)), abs=1e-4)
    assert float(terms["total"]) == pytest.approx(sum(float(terms[n]) for n in terms if n != "total"))


def test_terms_without_a_weight_are_not_there():
    x = torch.zeros(1, 1, 4, 8, 8)
    assert set(AutoencoderLoss(stage=2).generator_terms(x, x, x.new_zeros(()), 0)) == {"reconstruction", "total"}
