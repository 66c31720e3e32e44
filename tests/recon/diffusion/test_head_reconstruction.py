"""Latent diffusion that consults the measurement again: what it keeps of its base image, that it agrees with data."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_prior import GEOMETRY, body, changed, make_head

from priors.diffusion.samplers import corrected, ddim, spaced_timesteps
from priors.diffusion.schedule import GaussianDiffusion
from priors.networks import inference
from priors.networks.unet2d import UNet2D, UNetConfig
from recon.acquisition.ct import simulate_ct
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.acquisition.mr import simulate_mr
from recon.acquisition.mr_acquisition import MRAcquisition
from recon.errors import InputError
from recon.learned.refiner import Refiner
from recon.learned.task import Task
from recon.methods import get_method
from recon.methods.conditions import condition
from recon.methods.head_options import HeadOptions
from recon.methods.meddiffusion import MedDiffusionOptions
from recon.methods.meddiffusion_paper import PaperOptions
from recon.options import options_from
from recon.scan.measurement import Measurement, RunContext
from recon.solvers.data_consistency import agreeing


def residual(measurement: Measurement, image: torch.Tensor) -> float:
    return float((measurement.operator(image) - measurement.y).norm() / measurement.y.norm())


def run(measurement: Measurement, options: HeadOptions, modality: str = "CT", seed: int = 3):
    name = "meddiffusion-paper" if isinstance(options, PaperOptions) else "meddiffusion"
    return get_method(modality, name).run(  # type: ignore[arg-type]
        measurement, options, RunContext(torch.Generator().manual_seed(seed))
    )


@pytest.fixture
def ct(prior: Path, tmp_path: Path) -> tuple[Measurement, MedDiffusionOptions]:
    head = make_head(prior, tmp_path, Task(CTAcquisition(GEOMETRY), ("fbp", "sirt")))
    return simulate_ct(body(), GEOMETRY), MedDiffusionOptions(weights=str(head), prior=str(prior), steps=2)


def test_it_agrees_with_the_data_where_the_papers_way_does_not(ct):
    measurement, options = ct
    full = run(measurement, options)
    paper = run(measurement, PaperOptions(weights=options.weights, prior=options.prior, steps=2))
    assert full.mean.shape == (11, 40, 36)
    assert residual(measurement, full.mean) < 0.3 * residual(measurement, paper.mean)
    assert float(full.mean.min()) >= 0
    again = run(measurement, options)
    assert torch.equal(full.mean, again.mean)


def test_without_a_change_it_is_the_reference_that_agrees_with_the_data(ct):
    measurement, options = ct
    kept = run(measurement, changed(options, gain=0.0)).mean
    torch.testing.assert_close(kept, agreeing(measurement, condition("CT", "sirt", measurement).mean))


def test_the_last_data_step_can_be_left_out(ct):
    measurement, options = ct
    kept = run(measurement, changed(options, gain=0.0, agree=False)).mean
    torch.testing.assert_close(kept, condition("CT", "sirt", measurement).mean.clamp_min(0))


def test_samples_spread(ct):
    measurement, options = ct
    found = run(measurement, changed(options, samples=3, start=0.5))
    assert found.std is not None
    assert found.std.shape == (11, 40, 36)
    assert 0 < float(found.std.mean()) < 0.02, "1/mm"


def test_data_within_sampling_change_the_result(ct):
    measurement, options = ct
    once, often = (run(measurement, changed(options, start=1.0, steps=4, within=within)).mean for within in (0, 2))
    assert not torch.equal(once, often)
    assert residual(measurement, often) < 0.1


def test_what_the_autoencoder_loses_is_kept_on_request(ct):
    measurement, options = ct
    kept, lost = (run(measurement, changed(options, start=0.01, detail=detail)).mean for detail in (True, False))
    base_image = condition("CT", "sirt", measurement).mean
    assert float((kept - base_image).norm()) < float((lost - base_image).norm())


def test_mr_keeps_the_phase_and_the_unit(prior, tmp_path):
    head = make_head(prior, tmp_path, Task(MRAcquisition(("equispaced",), (2.0, 4.0)), ("zero-filled",)))
    options = MedDiffusionOptions(weights=str(head), prior=str(prior), steps=2)
    one = body("MR")
    phase = torch.full(one.data.shape, 0.8)
    measurement, louder = (
        simulate_mr(volume, "equispaced", 2.0, phase=phase) for volume in (one, one.like(one.data * 10))
    )
    image, other = (run(each, options, "MR").mean for each in (measurement, louder))
    assert image.is_complex()
    assert residual(measurement, image) < 0.02
    bright = one.data > 500
    assert float((image[bright].angle() - 0.8).abs().mean()) < 0.3
    assert float((other - 10 * image).abs().max()) < 0.05 * float(other.abs().max())


def test_bfloat16_changes_little_and_is_taken_where_the_processor_computes_in_it(ct, monkeypatch):
    measurement, options = ct
    exact, half = (run(measurement, changed(options, precision=name)).mean for name in ("float32", "bfloat16"))
    assert 0 < float((exact - half).norm()) < 0.1 * float(exact.norm())  # other codes, here and there
    for computes, same in ((False, exact), (True, half)):
        monkeypatch.setattr(inference, "computes_in_bfloat16", lambda device, computes=computes: computes)
        assert torch.equal(run(measurement, options).mean, same)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"precision": "float8"}, "`precision`=float8: must be one of auto, float32, bfloat16"),
        ({"start": 0.0}, "`start`=0.0: must be a number above 0 and at most 1"),
        ({"within": -1}, "`within`=-1: must be an integer of 0 or more"),
        ({"rounds": 2, "agree": False}, "`rounds`: has an effect only with `agree`=yes"),
    ],
)
def test_wrong_options_and_those_without_effect_are_refused(given, line):
    with pytest.raises(InputError, match=line):
        options_from(MedDiffusionOptions, given)


@pytest.mark.parametrize(
    ("options", "has", "line"),
    [
        ({"detail": False}, True, "`detail`: has no effect with a refiner; leave it out, or set `refiner`=none"),
        ({"detail": True}, True, "`detail`: has no effect with a refiner"),
        ({"rounds": 2}, False, "`rounds`: has no effect without a refiner"),
        ({"within": 5}, False, "`within` 5: the sampler takes 4 steps; at most 4 has an effect"),
        ({"within": 13}, True, "`within` 13: the sampler takes 12 steps; at most 12 has an effect"),
    ],
)
def test_what_has_no_effect_with_or_without_a_refiner_is_refused(options, has, line):
    network = UNet2D(UNetConfig(in_channels=2, chans=2, pool_layers=1, residual=True))
    refiner = Refiner(network, "", start=0.6) if has else None
    with pytest.raises(InputError, match=line):
        MedDiffusionOptions(**options).check(refiner)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"anatomy": 9}, "`anatomy` 9: the prior has the classes 0 to 6"),
        ({"steps": 6000}, "`steps` 6000: 1200 would be run; the prior's diffusion has 1000"),
    ],
)
def test_what_the_prior_does_not_have_is_one_line(ct, settings, line):
    measurement, options = ct
    with pytest.raises(InputError, match=line):
        run(measurement, changed(options, **settings))


def test_a_corrected_estimate_leads_the_sampler_to_the_correction():
    diffusion = GaussianDiffusion(100)
    wanted = torch.full((1, 1, 2, 2, 2), 0.3)
    z = torch.randn(1, 1, 2, 2, 2, generator=torch.Generator().manual_seed(0))
    times = spaced_timesteps(100, 10)
    towards = corrected(lambda z, t: torch.zeros_like(z), diffusion, lambda z0, step: wanted)
    torch.testing.assert_close(ddim(towards, z, diffusion, times), wanted, atol=1e-4, rtol=0)
    plain = ddim(lambda z, t: 0.1 * z, z, diffusion, times)
    same = ddim(corrected(lambda z, t: 0.1 * z, diffusion, lambda z0, step: z0), z, diffusion, times)
    assert torch.equal(plain, same)
