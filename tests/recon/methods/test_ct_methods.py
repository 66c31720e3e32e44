"""The classical CT methods on real anatomy, with and without noise: order, stopping, traces, slabs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from operators import Weighting
from torch import Tensor

from datasets import sample
from physics.ct.fbp import fbp
from physics.ct.geometry import FanBeam, ImageGrid, circular_angles
from physics.ct.projector import CTProjector
from physics.noise import TransmissionNoise
from recon.acquisition.ct import simulate_ct
from recon.methods import get_method, method_names, parse_options
from recon.metrics import evaluate
from recon.scan.measurement import Measurement, ProgressEvent, Reconstruction, RunContext
from recon.scan.units import attenuation_to_hu
from recon.scan.volume import Volume

METHODS = ["cgls", "fbp", "os-sirt", "sart", "sirt", "tv"]
ITERATIVE = ["cgls", "os-sirt", "sart", "sirt", "tv"]


def run(measurement: Measurement, name: str, context: RunContext | None = None, **options: object) -> Reconstruction:
    method = get_method("CT", name)
    return method.run(measurement, method.options(**options), context or RunContext())


@pytest.fixture(scope="module")
def body() -> Volume:
    """Four middle slices of the shipped case, RAS+, at every second pixel's resolution."""
    image = nib.as_closest_canonical(nib.Nifti1Image.from_filename(sample.path("ct")))
    hu = torch.from_numpy(np.asarray(image.dataobj[:, :, 30:34], np.float32).transpose(2, 1, 0).copy())
    halved = torch.nn.functional.avg_pool2d(hu[None], 2)[0]
    return Volume(halved, image.affine @ np.diag([2.0, 2.0, 1.0, 1.0]), "CT")


@pytest.fixture(scope="module")
def clean(body: Volume) -> Measurement:
    return simulate_ct(body, "paper40")


@pytest.fixture(scope="module")
def noisy(body: Volume, clean: Measurement) -> Measurement:
    y, sigma = TransmissionNoise(1e4).apply(clean.y, torch.Generator().manual_seed(0))
    return replace(clean, y=y, sigma=sigma)


def psnr(body: Volume, reconstruction: Reconstruction) -> float:
    value = evaluate(body.data.numpy(), attenuation_to_hu(reconstruction.mean).numpy(), "CT")["psnr"]
    assert value is not None
    return value


@pytest.fixture
def tiny() -> Measurement:
    """Three consistent, noise-free slices of 16 × 12 pixels."""
    projector = CTProjector(FanBeam(circular_angles(12), 4.0), ImageGrid((16, 12), (3.0, 4.0)), slices=3)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 16), torch.linspace(-1, 1, 12), indexing="ij")
    image = torch.stack([0.02 * ((x - c) ** 2 + y**2 < 0.5).float() for c in (-0.2, 0.0, 0.3)])
    return Measurement(projector(image), projector, None, (5.0, 3.0, 4.0))


def test_these_are_the_methods() -> None:
    assert set(METHODS) <= set(method_names("CT"))


def test_order_without_noise(body: Volume, clean: Measurement) -> None:
    values = {name: psnr(body, run(clean, name)) for name in METHODS}
    assert values["fbp"] + 3 < values["sirt"] < min(values["os-sirt"], values["sart"]) + 0.2
    assert values["fbp"] + 3 < values["cgls"] < values["tv"] - 1


def test_order_at_ten_thousand_photons(body: Volume, noisy: Measurement) -> None:
    values = {name: psnr(body, run(noisy, name)) for name in METHODS}
    assert values["tv"] > 1 + max(*(values[name] for name in METHODS if name != "tv"))


def test_knowing_the_noise_helps(body: Volume, noisy: Measurement) -> None:
    """TV that takes noisy data for noise-free ones, or every ray for equally noisy, is worse."""
    weighted = psnr(body, run(noisy, "tv"))
    assert isinstance(noisy.sigma, Tensor)
    uniform = float(noisy.sigma.square().mean().sqrt())
    assert weighted > psnr(body, run(replace(noisy, sigma=uniform), "tv"))
    assert weighted > 2 + psnr(body, run(replace(noisy, sigma=None), "tv"))


@pytest.mark.parametrize("name", METHODS)
def test_what_every_method_keeps(tiny: Measurement, name: str) -> None:
    before = tiny.y.clone()
    result, again = run(tiny, name), run(tiny, name)
    assert result.mean.shape == (3, 16, 12)
    assert result.mean.dtype == torch.float32
    assert torch.equal(tiny.y, before), "the data are not overwritten"
    assert torch.equal(result.mean, again.mean)
    if name in ("os-sirt", "sart", "sirt", "tv"):
        assert (result.mean >= 0).all()


@pytest.mark.parametrize("name", METHODS)
def test_air_alone(tiny: Measurement, name: str) -> None:
    result = run(replace(tiny, y=torch.zeros_like(tiny.y)), name)
    assert torch.equal(result.mean, torch.zeros_like(result.mean))
    assert all(point.residual == 0 for point in result.trace)


@pytest.mark.parametrize("name", ITERATIVE)
def test_any_operator_of_images_will_do(tiny: Measurement, name: str) -> None:
    made = tiny.operator @ Weighting(torch.full((3, 16, 12), 2.0))
    found = run(replace(tiny, operator=made, y=2 * tiny.y), name, iterations=30).mean
    again = run(replace(tiny, operator=2 * tiny.operator, y=2 * tiny.y), name, iterations=30).mean
    torch.testing.assert_close(found, again, rtol=1e-3, atol=1e-5)
    if name != "tv":  # whose weight counts against the data
        torch.testing.assert_close(found, run(tiny, name, iterations=30).mean, rtol=1e-2, atol=1e-4)


def test_filtered_backprojection_needs_an_operator_that_knows_one() -> None:
    with pytest.raises(ValueError, match="Weighting has no filtered adjoint"):
        run(Measurement(torch.zeros(1, 3, 4), Weighting(torch.ones(1, 3, 4))), "fbp")


@pytest.mark.parametrize("name", ITERATIVE)
def test_progress_and_trace(tiny: Measurement, name: str) -> None:
    seen: list[ProgressEvent] = []
    result = run(tiny, name, RunContext(progress=seen.append), iterations=30)
    assert [point.iteration for point in result.trace] == list(range(1, len(result.trace) + 1))
    assert [event.done for event in seen] == [point.iteration for point in result.trace]
    assert {(event.stage, event.total) for event in seen} == {("iterations", 30)}
    assert [event.residual for event in seen] == pytest.approx([point.residual for point in result.trace])
    assert result.trace[-1].residual < 0.2 * result.trace[0].residual


@pytest.mark.parametrize(("name", "tolerance"), [("cgls", 1e-2), ("sirt", 1e-3), ("tv", 0.3)])
def test_the_trace_ends_with_the_residual_of_the_result(tiny: Measurement, name: str, tolerance: float) -> None:
    """Up to what over-relaxation (tv) changes at the very end."""
    result = run(tiny, name, iterations=15)
    expected = float((tiny.operator(result.mean) - tiny.y).norm() / tiny.y.norm())
    assert result.trace[-1].residual == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("name", ["cgls", "os-sirt", "sirt"])
def test_slabs_are_the_volume(tiny: Measurement, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    together = run(tiny, name, iterations=10)
    seen: list[ProgressEvent] = []
    monkeypatch.setattr(CTProjector, "slab_elements", 2 * tiny.y[0].numel())
    apart = run(tiny, name, RunContext(progress=seen.append), iterations=10)
    torch.testing.assert_close(apart.mean, together.mean, rtol=1e-4, atol=1e-7)
    assert [(event.done, event.total) for event in seen] == [(k, 20) for k in range(1, 21)]
    for one, other in zip(apart.trace, together.trace, strict=True):  # conjugate gradients magnify rounding
        assert one.residual == pytest.approx(other.residual, rel=1e-2 if name == "cgls" else 1e-3)


@pytest.mark.parametrize("name", ["cgls", "os-sirt", "sart", "sirt"])
def test_noisy_data_stop_at_the_discrepancy(noisy: Measurement, name: str) -> None:
    """The first iteration whose residual is not above that of the truth, √Σσ², is the last."""
    assert isinstance(noisy.sigma, Tensor)
    result = run(noisy, name, iterations=200)
    limit = float(noisy.sigma.norm() / noisy.y.norm())
    assert len(result.trace) < 200
    assert result.trace[-1].residual <= limit
    assert all(point.residual > limit for point in result.trace[:-1])


def test_slabs_stop_each_for_itself(noisy: Measurement, monkeypatch: pytest.MonkeyPatch) -> None:
    """The joined curve holds a stopped slab's last residual, so that it never rises."""
    assert isinstance(noisy.sigma, Tensor)
    sigma = noisy.sigma * torch.tensor([0.7, 1.0, 2.0, 4.0])[:, None, None]
    monkeypatch.setattr(CTProjector, "slab_elements", 1)
    result = run(replace(noisy, sigma=sigma), "sirt", iterations=100)
    alone = [run(replace(noisy, sigma=sigma).slices(slice(k, k + 1)), "sirt", iterations=100) for k in range(4)]
    torch.testing.assert_close(result.mean, torch.cat([each.mean for each in alone]))
    lengths = [len(each.trace) for each in alone]
    assert len(set(lengths)) > 1
    assert len(result.trace) == max(lengths)
    assert all(after.residual <= before.residual * (1 + 1e-6) for before, after in pairwise(result.trace))
    power = sum((each.trace[-1].residual * float(noisy.y[k].norm())) ** 2 for k, each in enumerate(alone))
    assert result.trace[-1].residual == pytest.approx(power**0.5 / float(noisy.y.norm()), rel=1e-4)


def test_a_single_sigma_stops_too(noisy: Measurement) -> None:
    sigma = 0.05
    result = run(replace(noisy, sigma=sigma), "cgls")
    limit = sigma * noisy.y.numel() ** 0.5 / float(noisy.y.norm())
    assert result.trace[-1].residual <= limit < result.trace[-2].residual


def test_fbp_is_the_filter_with_the_window(tiny: Measurement) -> None:
    projector = tiny.operator
    assert isinstance(projector, CTProjector)
    for window in ("hann", "ram-lak"):
        expected = fbp(tiny.y, projector.geometry, projector.grid, window)
        assert torch.equal(run(tiny, "fbp", window=window).mean, expected)
    assert torch.equal(run(tiny, "fbp").mean, run(tiny, "fbp", window="hann").mean)
    assert run(tiny, "fbp").trace == ()


def test_damping_shrinks(tiny: Measurement) -> None:
    free, damped = run(tiny, "cgls"), run(tiny, "cgls", damping=1e5)
    assert float(damped.mean.norm()) < 0.5 * float(free.mean.norm())


def test_tv_stops_when_nothing_changes(tiny: Measurement) -> None:
    loose, tight = run(tiny, "tv", tolerance=1e-2, iterations=300), run(tiny, "tv", tolerance=0.0, iterations=300)
    assert 20 < len(loose.trace) < 300
    assert len(tight.trace) == 300


def test_tvs_weight_follows_the_pixel(tiny: Measurement) -> None:
    automatic = run(tiny, "tv", iterations=30).mean
    assert torch.equal(automatic, run(tiny, "tv", iterations=30, weight=190.0 * 3.0).mean)
    assert not torch.equal(automatic, run(tiny, "tv", iterations=30, weight=190.0).mean)


def test_tv_couples_thin_slices_more(tiny: Measurement) -> None:
    """Differences count per mm: neighbours 50 mm apart are nearly independent, 3 mm apart they are not."""
    options: dict[str, Any] = {"weight": 1e6, "iterations": 300, "tolerance": 0.0}
    steps = {
        z: float((run(replace(tiny, spacing=(z, 3.0, 4.0)), "tv", **options).mean.diff(dim=0)).norm())
        for z in (3.0, 50.0)
    }
    assert steps[3.0] < 0.8 * steps[50.0]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("cgls", {"iterations": "0"}, "`iterations`=0: must be an integer of 1 or more"),
        ("cgls", {"damping": "-1"}, "`damping`=-1: must be a number of 0 or more in mm²"),
        ("sirt", {"iterations": "-3"}, "`iterations`=-3: must be"),
        ("tv", {"iterations": "0"}, "`iterations`=0: must be"),
        ("tv", {"weight": "0"}, "`weight`=0: must be a number above 0 in mm, or auto"),
        ("fbp", {"window": "box"}, "`window`=box: must be one of ram-lak, shepp-logan, cosine, hann"),
    ],
)
def test_impossible_options_are_refused(name: str, settings: dict[str, str], message: str) -> None:
    from recon.errors import InputError

    with pytest.raises(InputError, match=message):
        parse_options(get_method("CT", name), settings)


def test_tv_is_no_worse_the_more_photons_there_are() -> None:
    """Iterations are limited, so what the data weigh must not outgrow them."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 48), torch.linspace(-1, 1, 48), indexing="ij")
    hu = torch.where(x**2 + y**2 < 0.6, 20.0, -1000.0)
    hu[(x - 0.3) ** 2 + (y + 0.2) ** 2 < 0.06] = 700
    disc = Volume(hu[None], np.diag([4.0, 4.0, 4.0, 1.0]), "CT")
    exact = simulate_ct(disc, "paper40")
    found = []
    for photons in (1e6, 1e8, 1e11):
        data, sigma = TransmissionNoise(photons).apply(exact.y, torch.Generator().manual_seed(0))
        found.append(psnr(disc, run(replace(exact, y=data, sigma=sigma), "tv")))
    assert found == sorted(found)
    assert found[-1] > found[0] + 3
