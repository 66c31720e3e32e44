"""Non-Cartesian encoding: exact sums, adjoints, the Toeplitz form, density compensation, trajectories."""

from __future__ import annotations

import importlib.util
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from operators import assert_adjoint, assert_linear, assert_norm_bound, assert_slices, double_pair
from torch import Tensor

from physics.mr.birdcage import birdcage_maps
from physics.mr.cartesian import fft2c
from physics.mr.non_cartesian import NonCartesian
from physics.mr.nufft import Nufft
from physics.mr.trajectories import check_trajectory, make_trajectory, radial, spiral

BACK_ENDS = ["sigpy", *(["finufft"] if importlib.util.find_spec("finufft") else [])]


@st.composite
def encodings(draw: st.DrawFn) -> NonCartesian:
    """Drawn sizes of either parity, coordinates and coil counts."""
    rows, columns = draw(st.integers(4, 17)), draw(st.integers(4, 17))
    slices, coils = draw(st.integers(1, 3)), draw(st.integers(0, 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    trajectory = torch.rand(draw(st.integers(1, 4)), draw(st.integers(2, 9)), 2, generator=generator).double() - 0.5
    if draw(st.booleans()):  # a trajectory of its own for every slice
        trajectory = torch.stack([trajectory * (1 - k / 10) for k in range(slices)])
    maps = None
    if coils:
        maps = torch.randn(slices, coils, rows, columns, dtype=torch.complex128, generator=generator)
    return NonCartesian(trajectory, (rows, columns), maps, slices, draw(st.sampled_from(BACK_ENDS)))


@settings(deadline=None, max_examples=15)
@given(encodings(), st.integers(0, 2**16))
def test_the_encoding_and_its_gram_are_linear_with_their_adjoints(encoding: NonCartesian, seed: int) -> None:
    assert_adjoint(encoding, seed)
    assert_adjoint(encoding.gram, seed)
    assert_linear(encoding, seed)
    assert_norm_bound(encoding)
    assert_slices(encoding)


@settings(deadline=None, max_examples=10)
@given(encodings(), st.integers(0, 2**16))
def test_the_gram_is_the_adjoint_of_the_encoding(encoding: NonCartesian, seed: int) -> None:
    x, _ = double_pair(encoding, seed)
    expected = encoding.adjoint(encoding(x))
    assert float((encoding.gram(x) - expected).norm()) < 1e-4 * float(expected.norm())


@pytest.mark.parametrize("back_end", BACK_ENDS)
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("shape", [(24, 31), (17, 20)])
def test_samples_are_the_sums_that_define_them(shape: tuple[int, int], dtype: torch.dtype, back_end: str) -> None:
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(2, *shape, dtype=torch.complex128, generator=generator)
    points = torch.rand(40, 2, dtype=torch.float64, generator=generator) - 0.5
    y, x = (torch.arange(n, dtype=torch.float64) - n // 2 for n in shape)
    phase = points[:, 0, None, None] * y[:, None] + points[:, 1, None, None] * x
    exact = torch.einsum("nyx,pyx->np", image, torch.exp(-2j * math.pi * phase)) / math.sqrt(shape[0] * shape[1])
    found = Nufft(points, shape, back_end).forward(image.to(dtype))
    assert found.dtype == dtype
    assert float((found - exact).norm() / exact.norm()) < 1e-5


def test_coordinates_on_the_grid_are_the_fft() -> None:
    shape = (12, 15)
    y, x = ((torch.arange(n, dtype=torch.float64) - n // 2) / n for n in shape)
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1)
    image = torch.randn(1, *shape, dtype=torch.complex64)
    found = NonCartesian(grid, shape)(image)
    torch.testing.assert_close(found[0, 0], fft2c(image[0]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        NonCartesian(grid, shape).density[0, 0], torch.ones(shape, dtype=torch.float64), rtol=0.1, atol=0
    )


def disc(shape: tuple[int, int], radius: float) -> Tensor:
    """A smooth disc with a phase, (1, y, x)."""
    y, x = (torch.arange(n, dtype=torch.float64) - n // 2 for n in shape)
    body = torch.sigmoid((radius - torch.hypot(y[:, None], x)) / 2)
    return (body * torch.exp(0.02j * (x + 2 * y[:, None]))).to(torch.complex64)[None]


@pytest.mark.parametrize("coils", [0, 4])
@pytest.mark.parametrize("trajectory", [radial(100, 128), spiral(16, 600, 64 / 32)], ids=["radial", "spiral"])
def test_gridding_of_dense_samples_gives_the_image_back(trajectory: Tensor, coils: int) -> None:
    image = disc((64, 64), 20)
    maps = birdcage_maps(coils, (64, 64))[None] if coils else None
    encoding = NonCartesian(trajectory, (64, 64), maps)
    found = encoding.direct(encoding(image))
    assert float((found - image).norm() / image.norm()) < 0.05


def test_a_disc_has_the_spectrum_that_is_known() -> None:
    """That of a uniform disc of radius R is R J₁(2πRk)/k; of its pixels' means nearly so at low frequencies."""
    shape, radius, fine = (128, 128), 30.0, 8
    y = (torch.arange(shape[0] * fine, dtype=torch.float64) + 0.5) / fine - 0.5 - shape[0] // 2
    body = (torch.hypot(y[:, None], y) < radius).double()
    image = body.reshape(shape[0], fine, shape[1], fine).mean((1, 3)).to(torch.complex128)[None]
    spokes = radial(7, 64) * 0.3
    k = spokes.norm(dim=-1).clamp_min(1e-9)
    known = radius * torch.special.bessel_j1(2 * math.pi * radius * k) / k
    pixel = torch.sinc(spokes).prod(-1)
    found = NonCartesian(spokes, shape)(image)[0, 0] * 128
    assert float((found - known * pixel).abs().max()) < 2e-3 * math.pi * radius**2


def test_radial_spokes_pass_the_centre_and_spread_evenly() -> None:
    spokes = radial(55, 32)
    check_trajectory(spokes)
    assert not spokes[:, 16].any()
    angles = torch.atan2(spokes[:, 0, 0], spokes[:, 0, 1]).remainder(math.pi).sort().values
    gaps = torch.cat([angles.diff(), angles[:1] + math.pi - angles[-1:]])
    assert float(gaps.max()) < 2.7 * math.pi / 55


def test_a_spiral_is_sampled_evenly() -> None:
    arms = spiral(8, 400, 4)
    check_trajectory(arms)
    steps = arms[0].diff(dim=0).norm(dim=-1)
    assert float(steps.max() / steps.min()) < 1.1  # chords of an arc are shorter where it bends
    assert float(arms.norm(dim=-1).max()) == pytest.approx(0.5)
    assert not arms[:, 0].any()


@pytest.mark.parametrize(
    ("trajectory", "message"),
    [
        (torch.zeros(3, 4), "readouts, samples, 2"),
        (torch.full((1, 2, 2), float("nan")), "finite"),
        (torch.full((1, 2, 2), 32.0), "cycles per voxel"),
    ],
)
def test_what_is_no_trajectory_is_refused(trajectory: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NonCartesian(trajectory, (8, 8))


@pytest.mark.parametrize(
    ("kind", "readouts", "samples", "message"),
    [("rosette", 4, 8, "no trajectory 'rosette'"), ("radial", 0, 8, "`spokes` 0"), ("spiral", 4, 1, "2 or more")],
)
def test_trajectories_that_cannot_be(kind: str, readouts: int, samples: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_trajectory(kind, readouts, samples, 64)


def test_maps_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="maps must be"):
        NonCartesian(radial(4, 8), (8, 8), torch.ones(1, 2, 8, 9, dtype=torch.complex64))
    with pytest.raises(ValueError, match="`slices` 3"):
        NonCartesian(radial(4, 8), (8, 8), torch.ones(2, 2, 8, 8, dtype=torch.complex64), 3)
