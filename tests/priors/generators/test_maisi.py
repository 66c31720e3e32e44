"""MAISI as a latent prior and as a generator, both generations."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

pytest.importorskip("monai", reason="MAISI's networks come with monai")

from maisi_networks import write_maisi

from priors.diffusion.anatomy import CLASSES
from priors.diffusion.load import load_prior
from priors.diffusion.maisi import MaisiPrior, load_maisi
from priors.diffusion.prior import LatentPrior
from priors.diffusion.samplers import ddim, ddpm, spaced_timesteps
from priors.diffusion.schedule import GaussianDiffusion, flow_time
from priors.generators.generator import Generator, Sampling
from priors.generators.load import load_generator
from priors.generators.maisi import MaisiGenerator, flow_scheduler, sample_flow
from priors.networks.maisi.config import Process

CHEST = CLASSES[1]
SIZE = (16, 16, 32)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module", params=["ddpm", "rflow"])
def generator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MaisiGenerator:
    folder = tmp_path_factory.mktemp("maisi") / request.param
    facts = {"classes": {CHEST.name: [5.0, 5.0, 5.0]}, "size": list(SIZE)}
    found: Generator = load_generator(write_maisi(folder, request.param, **facts))
    assert isinstance(found, MaisiGenerator)
    return found


def test_the_folder_says_what_it_holds(generator: MaisiGenerator) -> None:
    prior: LatentPrior = generator.prior
    assert generator.method == "MAISI"
    assert set(generator.sha256) == {"maisi-autoencoder.safetensors", "maisi.safetensors"}
    assert generator.usual_sizes(CHEST) == [SIZE]
    assert generator.usual_spacing(CHEST, SIZE) == (5.0, 5.0, 5.0)
    assert prior.latent_size(SIZE) == (8, 8, 16)
    assert prior.image_size((8, 8, 16)) == SIZE
    assert prior.default_class("CT") == CHEST.index
    with pytest.raises(ValueError, match="this prior learned CTChestAbdomen alone"):
        generator.check_class(CLASSES[3])
    with pytest.raises(ValueError, match="Z is 15 voxels"):
        generator.check_size((15, 16, 16))


def test_every_sampler_makes_the_same_volume_of_a_seed_alone_or_in_a_batch(generator: MaisiGenerator) -> None:
    for sampler in generator.samplers:
        chosen = Sampling(sampler, steps=3)
        together = list(generator.generate(CHEST, SIZE, [7, 8], chosen))
        alone = next(generator.generate(CHEST, SIZE, [8], chosen))
        assert alone.shape == SIZE
        assert float(alone.abs().max()) <= 1
        torch.testing.assert_close(together[1], alone, atol=1e-4, rtol=0)
        assert not torch.allclose(together[0], alone, atol=1e-2)


def test_the_published_sampler_is_the_usual_one(generator: MaisiGenerator) -> None:
    plan = generator.plan(CHEST, SIZE, Sampling())
    if generator.prior.unet.config.process == "ddpm":
        assert (plan.sampler, plan.steps, plan.times[:2], plan.times[-1]) == ("ddpm", 1000, (999, 998), 0)
    else:
        assert (plan.sampler, plan.steps, plan.times[0], len(plan.times)) == ("rflow", 30, 1000, 30)
        with pytest.raises(ValueError, match="`timesteps` linspace: the times of a rectified flow"):
            generator.plan(CHEST, SIZE, Sampling(timesteps="linspace"))
        with pytest.raises(ValueError, match="`steps` 1001: 1 to 1000"):
            generator.plan(CHEST, SIZE, Sampling(steps=1001))
    with pytest.raises(ValueError, match="`sampler` heun: this generator has"):
        generator.plan(CHEST, SIZE, Sampling("heun"))


def test_encoding_is_scaled_and_decoding_undoes_it(generator: MaisiGenerator) -> None:
    prior = generator.prior
    image = noise(1, 1, 8, 8, 16).clamp(-1, 1)
    latent = prior.encode(image)
    assert latent.shape == (1, 4, 4, 4, 8)
    unit = MaisiPrior(prior.autoencoder, prior.unet, 1.0)
    torch.testing.assert_close(latent, 1.5 * unit.encode(image))
    torch.testing.assert_close(prior.decode(latent), unit.decode(unit.encode(image)), atol=1e-5, rtol=1e-5)
    # An axis that was turned the wrong way would give another latent of a volume that is turned.
    turned = prior.encode(image.transpose(3, 4))
    assert turned.shape == (1, 4, 4, 8, 4)


def test_the_schedule_and_a_step_of_the_first_generation_are_the_librarys() -> None:
    from monai.networks.schedulers.ddpm import DDPMScheduler

    theirs = DDPMScheduler(1000, "scaled_linear_beta", beta_start=0.0015, beta_end=0.0195, clip_sample=False)
    ours = GaussianDiffusion(1000, "scaled-linear")
    torch.testing.assert_close(ours.alphas_cumprod, theirs.alphas_cumprod, atol=1e-6, rtol=0)
    z, estimate = noise(1, 4, 2, 2, 2), noise(1, 4, 2, 2, 2, seed=1)
    expected, _ = theirs.step(estimate, 1, z, generator=torch.Generator().manual_seed(3))
    drawn = torch.randn(z.shape, generator=torch.Generator().manual_seed(3))
    steps: list[torch.Tensor] = []
    ddpm(
        lambda z, t: estimate,
        z,
        ours,
        torch.tensor([1, 0]),
        noise=lambda like: drawn,
        clip=None,
        on_step=lambda done, total, now, x0: steps.append(now),
    )
    torch.testing.assert_close(steps[0], expected, atol=1e-4, rtol=0)  # their betas are rounded to float32


def test_a_rectified_flow_is_a_diffusion_at_another_scale() -> None:
    """With a velocity known in closed form, DDIM on the diffusion and the flow itself end at the same place."""
    diffusion = GaussianDiffusion(1000, "rectified-flow")
    assert flow_time(diffusion.alpha_bar(499)) == pytest.approx(500 / 1001)
    target = noise(1, 1, 4, 4, 4)

    def noise_of_flow(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        kept = diffusion.alpha_bar(int(t[0]))
        return (z - math.sqrt(kept) * target) / math.sqrt(1 - kept)  # what the velocity to one target gives

    found = ddim(noise_of_flow, noise(1, 1, 4, 4, 4, seed=2), diffusion, spaced_timesteps(1000, 10), clip=None)
    torch.testing.assert_close(found, target, atol=1e-3, rtol=0)


def test_the_noise_that_a_flow_estimates_leads_back_to_its_clean_latent(tmp_path: Path) -> None:
    prior = load_maisi(write_maisi(tmp_path / "p", "rflow"))
    estimate = prior.estimator(CHEST.index, SIZE)
    velocity = prior.output(prior.inputs(CHEST, SIZE, 1, None))
    z, t = noise(1, 4, 8, 8, 16), torch.tensor([600])
    kept = prior.diffusion.alpha_bar(600)
    s = flow_time(kept)
    on_flow = z * (1 - s) / math.sqrt(kept)
    with torch.no_grad():
        clean = on_flow + s * velocity(on_flow, torch.tensor([1000 * s]))
        from_noise = prior.diffusion.predict_x0(z, t, estimate(z, t))
    torch.testing.assert_close(from_noise, clean, atol=1e-3, rtol=1e-3)


def test_the_flows_chain_is_the_official_one(shared: Path) -> None:
    from parity.maisi import recorded

    from priors.networks.maisi.axes import from_maisi, to_maisi

    unet, _, known = recorded("rflow", shared / "fixtures")
    inputs = {"spacing_tensor": known["spacing_tensor"], "class_labels": known["class_labels"].long()}
    z = from_maisi(known["z"])
    latent = (z.shape[2], z.shape[3], z.shape[4])
    assert torch.equal(flow_scheduler(4, latent).timesteps.float(), known["chain_timesteps"])
    found = sample_flow(lambda z, time: from_maisi(unet(to_maisi(z), time, **inputs)), z, 4)
    torch.testing.assert_close(to_maisi(found), known["chain_out"], atol=2e-4, rtol=0)


@pytest.mark.parametrize("process", ["ddpm", "rflow"])
def test_a_head_steers_it(process: Process, tmp_path: Path) -> None:
    from priors.networks.maisi.controlnet import MaisiControlNet

    prior = load_prior(write_maisi(tmp_path / "p", process))
    assert isinstance(prior, MaisiPrior)
    head = MaisiControlNet.from_base(prior.unet, 4, (8,)).eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.02)
    hint = prior.encode(noise(1, 1, *SIZE).clamp(-1, 1))
    z, t = noise(1, 4, 8, 8, 16), torch.tensor([500])
    estimates = []
    for scale in (0.0, 1.0):
        attached = prior.attach(head, hint, scale)
        with torch.no_grad():
            estimates.append(prior.estimator(CHEST.index, SIZE, heads=[attached])(z, t))
    with torch.no_grad():
        torch.testing.assert_close(estimates[0], prior.estimator(CHEST.index, SIZE)(z, t))
    assert not torch.allclose(estimates[0], estimates[1])
    with pytest.raises(ValueError, match="a head of another kind of prior"):
        prior.estimator(CHEST.index, SIZE, heads=[object()])


def test_a_folder_that_is_no_prior_is_refused(tmp_path: Path) -> None:
    folder = write_maisi(tmp_path / "p", "ddpm", classes={"CTLegs": "wide"})
    with pytest.raises(ValueError, match="its header is damaged: classes or size"):
        load_maisi(folder)
    (folder / "maisi-autoencoder.safetensors").unlink()
    with pytest.raises(ValueError, match=r"there is no maisi-autoencoder\.safetensors in it"):
        load_maisi(folder)
