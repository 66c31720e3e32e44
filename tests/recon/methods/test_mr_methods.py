"""The classical MR methods on problems with known answers, and against sigpy's solvers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from operators import Weighting
from torch import Tensor

from physics.mr.cartesian import CartesianMR, simulate_kspace
from physics.mr.masks import make_mask
from physics.mr.non_cartesian import NonCartesian
from physics.mr.trajectories import radial
from physics.noise import ComplexGaussianNoise
from physics.operator import LinearOperator
from recon.methods import get_method, parse_options
from recon.methods.mr_tv import gradient, gradient_adjoint
from recon.scan.measurement import Measurement, ProgressEvent, Protocol, Reconstruction, RunContext
from recon.solvers.slabs import zero_filled
from recon.solvers.wavelets import WaveletTransform
from recon.solvers.weights import relative_to_peak

ITERATIVE = ["cg-sense", "l1-wavelet", "tv"]


def phantom(slices: int = 3, shape: tuple[int, int] = (48, 40)) -> Tensor:
    """(z, y, x) complex: piecewise constant ellipses that differ from slice to slice, with a constant phase."""
    y, x = (torch.linspace(-1, 1, n) for n in shape)
    image = torch.zeros(slices, *shape)
    for k in range(slices):
        radius = 0.8 - 0.05 * k
        image[k] += ((y / radius)[:, None] ** 2 + (x / 0.7) ** 2 < 1).float()
        image[k] -= 0.5 * (((y - 0.2) / 0.3)[:, None] ** 2 + ((x + 0.1 * k) / 0.3) ** 2 < 1).float()
    return image * torch.exp(torch.tensor(0.7j))


def coil_maps(slices: int, coils: int, shape: tuple[int, int]) -> Tensor:
    from sigpy.mri import birdcage_maps

    maps = torch.from_numpy(np.asarray(birdcage_maps((coils, *shape)), np.complex64))
    return maps.expand(slices, *maps.shape).contiguous()


def measure(image: Tensor, mask: Tensor, maps: Tensor | None = None, sigma: float = 0.0) -> Measurement:
    y = simulate_kspace(image, mask, maps, ComplexGaussianNoise(sigma), torch.Generator().manual_seed(7))
    return Measurement(y, CartesianMR(mask, maps, len(image)), sigma or None)


def solve(measurement: Measurement, name: str, **options: float) -> Reconstruction:
    method = get_method("MR", name)
    return method.run(measurement, method.options(**options), RunContext())


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().square().sum().sqrt() / b.abs().square().sum().sqrt())


@pytest.mark.parametrize("coils", [0, 4])
@pytest.mark.parametrize("name", ["zero-filled", *ITERATIVE])
def test_full_sampling_gives_the_image_back(name: str, coils: int) -> None:
    image = phantom()
    maps = coil_maps(3, coils, (48, 40)) if coils else None
    options = {} if name == "zero-filled" else {"weight": 1e-6}
    result = solve(measure(image, torch.ones(48, 40, dtype=torch.bool), maps), name, **options)
    assert result.mean.shape == image.shape
    assert relative(result.mean, image) < 2e-3


@pytest.mark.parametrize("name", ITERATIVE)
def test_slices_in_batches_are_the_slices_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = make_mask("poisson", (48, 40), 3, 12).array
    measurement = measure(phantom(), mask, coil_maps(3, 4, (48, 40)), 0.02)
    settings = {"weight": 0.01, "iterations": 20, "tolerance": 0.0}
    together = solve(measurement, name, **settings)
    monkeypatch.setattr(CartesianMR, "slab_elements", 1)
    alone = solve(measurement, name, **settings)
    assert relative(together.mean, alone.mean) < 1e-4
    np.testing.assert_allclose(
        [point.residual for point in together.trace], [point.residual for point in alone.trace], rtol=1e-3
    )


@pytest.mark.parametrize("name", ITERATIVE)
def test_the_trace_is_the_data_residual(name: str) -> None:
    seen: list[ProgressEvent] = []
    mask = make_mask("gauss1d", (48, 40), 2, 8).array
    measurement = measure(phantom(), mask, coil_maps(3, 4, (48, 40)), 0.05)
    method = get_method("MR", name)
    options = method.options(iterations=60, tolerance=1e-6)
    result = method.run(measurement, options, RunContext(progress=seen.append))
    expected = relative(measurement.operator(result.mean), measurement.y)
    assert result.trace[-1].residual == pytest.approx(expected, rel=0.02)
    assert [event.done for event in seen[:3]] == [1, 2, 3]
    assert all(event.done <= event.total and event.residual is not None and event.residual >= 0 for event in seen)


@pytest.mark.parametrize("name", ["cg-sense", "l1-wavelet"])
@pytest.mark.parametrize("sigma", [0.0, 1e-4])
def test_the_trace_is_the_data_residual_off_the_grid_too(name: str, sigma: float) -> None:
    """Data that are explained to a thousandth: inner products alone told a residual of exactly 0."""
    image, maps = phantom(1), coil_maps(1, 4, (48, 40))
    encoding = NonCartesian(radial(60, 96), (48, 40), maps)
    clean = encoding(image.to(torch.complex64))
    noise = torch.randn(clean.shape, dtype=clean.dtype, generator=torch.Generator().manual_seed(0))
    measurement = Measurement(clean + sigma * noise, encoding, sigma or None)
    for iterations in (10, 40):
        result = solve(measurement, name, weight=1e-4, iterations=iterations, tolerance=0.0)
        expected = relative(measurement.operator(result.mean), measurement.y)
        assert result.trace[-1].residual == pytest.approx(expected, rel=0.05)
    assert result.trace[-1].residual < 0.02


def test_cg_sense_solves_the_normal_equations() -> None:
    shape, weight = (6, 5), 0.1
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(1, 3, *shape, dtype=torch.complex64, generator=generator)
    mask = torch.rand(shape, generator=generator) < 0.6
    operator = CartesianMR(mask, maps)
    columns = [operator(torch.eye(30, dtype=torch.complex64)[k].reshape(1, *shape)).flatten() for k in range(30)]
    matrix = torch.stack(columns, 1)
    y = operator(torch.randn(1, *shape, dtype=torch.complex64, generator=generator))
    expected = torch.linalg.solve(matrix.mH @ matrix + weight * torch.eye(30), matrix.mH @ y.flatten()).reshape(
        1, *shape
    )
    result = solve(Measurement(y, operator), "cg-sense", weight=weight, iterations=100, tolerance=1e-7)
    assert relative(result.mean, expected) < 1e-4


def test_cg_sense_is_sigpys() -> None:
    from sigpy.mri.app import SenseRecon

    mask = make_mask("gauss1d", (48, 40), 2, 8).array
    maps = coil_maps(1, 4, (48, 40))
    measurement = measure(phantom(1), mask, maps, 0.02)
    app = SenseRecon(measurement.y.numpy()[0], maps.numpy()[0], lamda=0.01, max_iter=200, tol=1e-6, show_pbar=False)
    result = solve(measurement, "cg-sense", weight=0.01, iterations=200, tolerance=1e-6)
    assert relative(result.mean[0], torch.from_numpy(app.run())) < 1e-4


@pytest.mark.parametrize("shape", [(48, 40), (47, 33)])
def test_the_wavelet_transform_is_sigpys(shape: tuple[int, int]) -> None:
    from sigpy.linop import Wavelet

    image = torch.randn(2, *shape, dtype=torch.complex64)
    transform = WaveletTransform(shape)
    coefficients = transform.analyse(image)
    ours = torch.cat([c[..., 1].abs().flatten() for c in coefficients])
    reference = torch.from_numpy(np.abs(Wavelet(shape, wave_name="db4")(image[1].numpy()))).flatten()
    ours, reference = ours[ours > 0].sort().values, reference[reference > 0].sort().values
    torch.testing.assert_close(ours, reference, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(transform.synthesise(coefficients), image, rtol=1e-4, atol=1e-5)


def test_a_slice_smaller_than_the_wavelet() -> None:
    image = torch.randn(1, 5, 6, dtype=torch.complex64)
    transform = WaveletTransform((5, 6))
    torch.testing.assert_close(transform.synthesise(transform.analyse(image)), image)


@pytest.mark.parametrize(("kind", "coils"), [("poisson", 0), ("gauss1d", 4)])
def test_l1_wavelet_reaches_sigpys_optimum(kind: str, coils: int) -> None:
    from sigpy.mri.app import L1WaveletRecon

    shape = (48, 40)
    mask = make_mask(kind, shape, 3, 10).array
    maps = coil_maps(1, coils or 1, shape) if coils else torch.ones(1, 1, *shape, dtype=torch.complex64)
    measurement = measure(phantom(1), mask, maps if coils else None, 0.02)
    weight = 0.01 * float(zero_filled(measurement).abs().max())
    app = L1WaveletRecon(measurement.y.numpy()[0], maps.numpy()[0], weight, max_iter=600, show_pbar=False)
    reference = torch.from_numpy(app.run())[None]
    result = solve(measurement, "l1-wavelet", weight=0.01, iterations=600, tolerance=1e-6, shifts=False)

    transform = WaveletTransform(shape)

    def objective(image: Tensor) -> float:
        misfit = (measurement.operator(image) - measurement.y).abs().square().sum() / 2
        return float(misfit + weight * sum(c.abs().sum() for c in transform.analyse(image)))

    assert objective(result.mean) <= objective(reference) * (1 + 1e-4)
    assert relative(result.mean, reference) < 0.01
    assert len(result.trace) < 600  # it stopped by itself


def test_random_shifts_make_l1_wavelet_better_and_follow_from_the_seed() -> None:
    shape = (64, 56)
    y, x = (torch.linspace(-1, 1, n) for n in shape)
    discs = [
        ((y[:, None] - a) ** 2 + (x - b) ** 2 < r).float()
        for a, b, r in ((0, 0, 0.7), (0.3, 0.2, 0.1), (-0.3, -0.1, 0.05))
    ]
    image = (discs[0] - 0.6 * discs[1] + 0.8 * discs[2])[None] * torch.exp(1j * (x + y[:, None]))
    measurement = measure(image, make_mask("poisson", shape, 4, 12, 1).array, None, 0.01)
    method = get_method("MR", "l1-wavelet")

    def run(shifts: bool, seed: int = 0) -> Tensor:
        context = RunContext(torch.Generator().manual_seed(seed))
        return method.run(measurement, method.options(shifts=shifts), context).mean

    assert relative(run(True), image) < 0.85 * relative(run(False), image)
    assert torch.equal(run(True, 3), run(True, 3))
    assert not torch.equal(run(True, 3), run(True, 4))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_gradient_has_its_adjoint(dimensions: int) -> None:
    x = torch.randn(4, 5, 6, dtype=torch.complex128)
    u = torch.randn(dimensions, 4, 5, 6, dtype=torch.complex128)
    left, right = (
        torch.vdot(gradient(x, dimensions).flatten(), u.flatten()),
        torch.vdot(x.flatten(), gradient_adjoint(u).flatten()),
    )
    torch.testing.assert_close(left, right)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_tv_recovers_a_piecewise_constant_phantom(dimensions: int) -> None:
    image = phantom(3, (64, 64))
    measurement = measure(image, make_mask("poisson", (64, 64), 3, 16).array)
    result = solve(measurement, "tv", weight=1e-4, iterations=600, tolerance=1e-6, dimensions=dimensions)
    assert relative(zero_filled(measurement), image) > 0.1
    assert relative(result.mean, image) < 0.02


def test_tv_reaches_the_minimum() -> None:
    """No other method's answer, nor a perturbed one, has a lower objective."""
    measurement = measure(phantom(1), make_mask("gauss1d", (48, 40), 2, 8).array, None, 0.05)
    result = solve(measurement, "tv", weight=0.02, iterations=3000, tolerance=1e-7).mean
    weight = relative_to_peak(measurement, 0.02, 0, 0).absolute

    def objective(image: Tensor) -> float:
        total_variation = gradient(image, 2).abs().square().sum(0).sqrt().sum()
        misfit = (measurement.operator(image) - measurement.y).abs().square().sum() / 2
        return float(misfit + weight * total_variation)

    best = objective(result)
    generator = torch.Generator().manual_seed(0)
    for scale in (1e-3, 1e-2):
        noise = scale * torch.randn(result.shape, dtype=result.dtype, generator=generator)
        assert objective(result + noise) > best
    assert all(objective(result * factor) > best for factor in (0.99, 1.01))
    assert objective(zero_filled(measurement)) > best
    assert objective(phantom(1)) > best


@pytest.mark.parametrize("name", ITERATIVE)
def test_the_default_weight_follows_the_noise(name: str) -> None:
    image = phantom()
    mask = make_mask("poisson", (48, 40), 2, 12).array
    maps = coil_maps(3, 4, (48, 40))
    measurement = measure(image, mask, maps, 0.2)
    blind = Measurement(measurement.y, measurement.operator, None, protocol=Protocol(simulation="ideal"))
    assert relative(solve(measurement, name).mean, image) < 0.9 * relative(solve(blind, name).mean, image)


@pytest.mark.parametrize("name", ITERATIVE)
def test_no_signal_gives_zeros(name: str) -> None:
    measurement = measure(torch.zeros(2, 16, 16), torch.ones(16, 16, dtype=torch.bool))
    assert not solve(measurement, name).mean.any()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tv", {"weight": 0.0}),
        ("tv", {"dimensions": 1}),
        ("tv", {"iterations": 0}),
        ("l1-wavelet", {"weight": -1.0}),
        ("l1-wavelet", {"wavelet": "nonsense"}),
        ("l1-wavelet", {"iterations": 0}),
        ("cg-sense", {"weight": -1.0}),
        ("cg-sense", {"iterations": 0}),
    ],
)
def test_bad_options(name: str, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        get_method("MR", name).options(**options)


def test_options_from_text() -> None:
    options = parse_options(get_method("MR", "tv"), {"weight": "auto", "dimensions": "3"})
    assert options.weight is None
    assert options.dimensions == 3


@pytest.mark.parametrize("name", ["zero-filled", *ITERATIVE])
def test_any_operator_of_images_will_do(name: str) -> None:
    """One that is made of others, and one that couples its slices."""
    mask = make_mask("gauss1d", (24, 20), 2, 6).array
    plain = measure(phantom(3, (24, 20)), mask, coil_maps(3, 2, (24, 20)))
    settings = {} if name == "zero-filled" else {"iterations": 10}
    expected = solve(plain, name, **settings).mean
    made = plain.operator @ Weighting(torch.ones(3, 24, 20))
    found = solve(replace(plain, operator=made), name, **settings).mean
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    coupled = plain.operator.H @ plain.operator @ CoupledHalf((3, 24, 20))
    together = solve(Measurement(coupled(phantom(3, (24, 20))), coupled), name, **settings)
    assert together.mean.shape == (3, 24, 20)
    assert together.mean.isfinite().all()


class CoupledHalf(LinearOperator):
    """Means of neighbouring slices (z, y, x)."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.domain = self.range = shape
        self.dtype = torch.complex64

    def _forward(self, x: Tensor) -> Tensor:
        return (x + x.roll(1, -3)) / 2

    def _adjoint(self, y: Tensor) -> Tensor:
        return (y + y.roll(-1, -3)) / 2
