"""DDS, DDNM, DiffPIR and DOLCE as methods: units, phases, randomness, refusals.

In place of a trained network stands the exact noise estimate for pixels drawn from a normal distribution.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from physics.ct.geometry import FanBeam, circular_angles
from physics.mr.masks import make_mask
from physics.noise import TransmissionNoise
from priors.diffusion.image_prior import EpsilonModel
from priors.networks.adm_config import ADMConfig
from priors.networks.adm_unet import ADMUNet
from priors.weights.card import Card, save_weights
from recon.acquisition.ct import simulate_ct
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.acquisition.mr import simulate_mr
from recon.diffusion.slice_prior import image_problem
from recon.errors import InputError
from recon.learned.task import Task
from recon.methods import get_method, parse_options
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.scan.units import ATTENUATION_UNIT, hu_to_attenuation
from recon.scan.volume import Volume

GEOMETRY = FanBeam(circular_angles(60), pitch=2.0)
METHODS = [("CT", "dds"), ("CT", "ddnm"), ("CT", "diffpir"), ("CT", "dolce"), ("MR", "dds"), ("MR", "diffpir")]


def volume(modality: str) -> Volume:
    """Of odd sizes, so that padding has something to do."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (5, 43, 38)), indexing="ij")
    inside = x**2 + y**2 + 0.1 * z**2 < 0.6
    levels = {"CT": (50 + 100 * np.sin(5 * x), -1000), "MR": (700 + 200 * np.sin(5 * x), 5)}[modality]
    return Volume(torch.from_numpy(np.where(inside, *levels)).float(), np.diag([6.0, 6.0, 5.0, 1.0]), modality)  # type: ignore[arg-type]


def scan(modality: str, noise: bool = False) -> Measurement:
    if modality == "CT":
        return simulate_ct(volume("CT"), GEOMETRY, None, TransmissionNoise(1e5) if noise else None)
    mask = make_mask("poisson", (43, 38), 3.0, 12)
    return simulate_mr(volume("MR"), mask, noise=0.01 if noise else 0.0)


@pytest.fixture(autouse=True)
def known_prior(monkeypatch):
    def eps(self: EpsilonModel, x: torch.Tensor, t: int, condition: torch.Tensor | None = None) -> torch.Tensor:
        now = self.diffusion.alpha_bar(int(t))
        mean = 0.0 if self.net.config.channels == 2 else -0.5
        return (1 - now) ** 0.5 * (x - now**0.5 * mean) / (now * 0.5**2 + 1 - now)

    monkeypatch.setattr(EpsilonModel, "eps", eps)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A folder with a prior for each method, and a complex one."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")

    def write(name: str, kind: str, channels: int = 1, conditions: int = 0, **extra: object) -> None:
        config = ADMConfig(
            channels=channels,
            in_channels=channels + conditions,
            width=32,
            multipliers=(1, 1),
            attention=(2,),
            head_width=32,
        )
        facts = {"timesteps": 100, "schedule": "linear", "image_range": [-1, 1]} | extra
        state = ADMUNet(config).state_dict()
        save_weights(folder / f"{name}.safetensors", state, Card(kind, config.to_dict(), extra=facts))

    write("adm-CT", "adm", modality="CT")
    write("adm-MR", "adm", modality="MR")
    write("complex", "adm", channels=2, modality="MR")
    write("dolce-CT", "dolce", conditions=1, task=Task(CTAcquisition(GEOMETRY), ("fbp",)).to_dict())
    return folder


def run(
    modality: str, method: str, measurement: Measurement, path: Path, seed: int = 0, **settings: str
) -> Reconstruction:
    chosen = get_method(modality, method)  # type: ignore[arg-type]
    options = parse_options(chosen, {"weights": str(path), "steps": "10"} | settings)
    return chosen.run(measurement, options, RunContext(torch.Generator().manual_seed(seed)))


def of(weights: Path, modality: str, method: str) -> Path:
    return weights / f"{'dolce' if method == 'dolce' else 'adm'}-{modality}.safetensors"


def residual(measurement: Measurement, image: torch.Tensor) -> float:
    y = measurement.y
    return float((measurement.operator(image.to(y.dtype)) - y).norm() / y.norm())


@pytest.mark.parametrize(("modality", "method"), METHODS)
def test_the_data_are_met_in_the_units_of_the_scan_and_a_seed_repeats(weights, modality, method):
    measurement, path = scan(modality), of(weights, modality, method)
    settings = {"lam": "0.05"} if method == "dolce" else {}  # or the prior, which knows no anatomy, pulls it down
    one, again, other = (run(modality, method, measurement, path, seed, **settings) for seed in (1, 1, 2))
    assert one.mean.shape == volume(modality).data.shape
    assert torch.equal(one.mean, again.mean)
    assert not torch.equal(one.mean, other.mean)
    assert set(one.weights or {}) == {"network"}
    # nothing is known but the data, and they say how bright the image is
    truth = hu_to_attenuation(volume("CT").data) if modality == "CT" else volume("MR").data
    inside = truth > truth.max() / 2
    assert float(one.mean.abs()[inside].mean()) == pytest.approx(float(truth[inside].mean()), rel=0.35)


@pytest.mark.parametrize(("modality", "method"), [("CT", "ddnm"), ("MR", "ddnm"), ("CT", "dds"), ("MR", "dds")])
def test_without_noise_more_iterations_meet_the_data_better(weights, modality, method):
    measurement, path = scan(modality), of(weights, modality, method)
    settings = {"mode": "2d"} if method == "dds" else {}
    few, many = (run(modality, method, measurement, path, iterations=n, **settings) for n in ("2", "30"))
    assert residual(measurement, many.mean) <= residual(measurement, few.mean), "one is enough for a mask in k-space"
    assert residual(measurement, many.mean) < 0.05


@pytest.mark.parametrize(("modality", "method"), METHODS)
def test_noisy_data_are_taken_too(weights, modality, method):
    other = {"allow-other": "yes"} if method == "dolce" else {}  # its network was trained for noise-free data
    answer = run(modality, method, scan(modality, noise=True), of(weights, modality, method), **other)
    assert bool(torch.view_as_real(answer.mean.to(torch.complex64)).isfinite().all())


def test_several_samples_of_dolce_give_a_mean_and_a_spread(weights):
    answer = run("CT", "dolce", scan("CT"), weights / "dolce-CT.safetensors", samples="3")
    assert answer.std is not None
    assert answer.std.shape == answer.mean.shape
    assert float(answer.std.mean()) > 0


def test_a_complex_prior_takes_k_space_as_it_is(weights):
    answer = run("MR", "dds", scan("MR"), weights / "complex.safetensors", mode="2d", iterations="20")
    assert answer.mean.is_complex()
    assert residual(scan("MR"), answer.mean) < 0.05


@pytest.mark.parametrize(("modality", "channels"), [("CT", 1), ("MR", 1), ("MR", 2)])
def test_the_problem_in_u_is_the_scan_scaled_to_norm_one(modality, channels):
    """A*y of the truth is A*A of the truth, and the largest eigenvalue is 1."""
    measurement = scan(modality)
    problem = image_problem(measurement, modality, channels)
    truth = hu_to_attenuation(volume("CT").data) / ATTENUATION_UNIT if modality == "CT" else None
    if truth is not None:
        assert torch.allclose(problem.normal(truth[:, None]), problem.adjoint_data, atol=1e-4)
        assert torch.allclose(problem.finish(truth[:, None]), truth * ATTENUATION_UNIT, atol=1e-6)
    x = torch.randn(problem.adjoint_data.shape, generator=torch.Generator().manual_seed(0))
    y = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    assert float((problem.normal(x) * y).sum()) == pytest.approx(
        float((x * problem.normal(y)).sum()), rel=1e-3, abs=0.1
    )
    for _ in range(30):
        x = problem.normal(x / x.norm())
    assert float(x.norm()) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    ("modality", "method", "file", "settings", "line"),
    [
        ("CT", "dds", "adm-MR", {}, "trained on MR, the scan is CT"),
        ("CT", "dds", "complex", {}, "trained on MR, the scan is CT"),
        ("CT", "dolce", "adm-CT", {}, "of kind adm, where dolce is wanted"),
        ("CT", "dds", "adm-CT", {"steps": "101"}, "101 steps of 100"),
        ("CT", "dolce", "dolce-CT", {"steps": "7"}, "7 steps of 100; a divisor"),
        ("CT", "dds", "adm-CT", {"mode": "4d"}, "`mode`=4d: must be one of 3d, 2d"),
        ("CT", "dds", "adm-CT", {"rho": "0"}, "`rho`=0: must be a number above 0"),
        ("CT", "diffpir", "adm-CT", {"zeta": "2"}, "`zeta`=2: must be a number from 0 to 1"),
        ("CT", "dds", "adm-CT", {"legacy": "yes"}, "`legacy`: has an effect only with `mode`=2d"),
        ("CT", "dds", "adm-CT", {"legacy": "yes", "mode": "2d"}, "prior of complex images"),
        ("CT", "dds", "adm-CT", {"precision": "int4"}, "must be one of float32, bfloat16"),
    ],
)
def test_mistakes_are_one_line(weights, modality, method, file, settings, line):
    with pytest.raises(InputError, match=line):
        run(modality, method, scan(modality), weights / f"{file}.safetensors", **settings)


def test_dolce_refuses_another_geometry(weights):
    other = simulate_ct(volume("CT"), FanBeam(circular_angles(30), pitch=2.0))
    with pytest.raises(InputError, match="trained for 60 views, the scan has 30"):
        run("CT", "dolce", other, weights / "dolce-CT.safetensors")


def test_dolce_takes_the_accelerated_step_too(weights):
    """With the pull that grows from noisy to clean steps, and the data noised as an image would be."""
    measurement, path = scan("CT"), weights / "dolce-CT.safetensors"
    by_gradients = run("CT", "dolce", measurement, path, **{"data-step": "apgm"})
    assert not torch.equal(by_gradients.mean, run("CT", "dolce", measurement, path).mean)
    zero = run("CT", "dolce", measurement, path, **{"data-step": "apgm", "rate": "1e-6"})
    assert residual(measurement, by_gradients.mean) < residual(measurement, zero.mean)


@pytest.mark.parametrize(("modality", "channels"), [("CT", 1), ("MR", 1), ("MR", 2)])
def test_the_datas_noise_comes_back_in_the_unit_of_the_problem(modality, channels):
    """The covariance of A*n is A*A for white noise n of unit variance."""
    problem = image_problem(scan(modality), modality, channels)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(problem.adjoint_data.shape, generator=torch.Generator().manual_seed(3))

    def noise(like: torch.Tensor) -> torch.Tensor:
        real = 2**0.5 if like.is_complex() else 1.0  # complex normal noise has half its variance in each part
        return real * torch.randn(like.shape, dtype=like.dtype, generator=generator)

    found = torch.stack([(problem.adjoint_noise(noise) * x).sum() for _ in range(300)]).square().mean()
    assert float(found) == pytest.approx(float((x * problem.normal(x)).sum()), rel=0.25)


def test_the_released_step_with_its_defects_is_there_for_comparison(weights):
    measurement = scan("MR", noise=True)
    as_published, legacy = (
        run("MR", "dds", measurement, weights / "complex.safetensors", mode="2d", legacy=each) for each in ("no", "yes")
    )
    assert legacy.mean.is_complex()
    assert residual(measurement, as_published.mean) < residual(measurement, legacy.mean), "it turns the data by 45°"
