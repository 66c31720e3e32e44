"""Encodings that couple the slices: stacks of stars, and 3D Cartesian k-space with any mask."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from operators import assert_adjoint, assert_linear, assert_norm_bound, assert_transforms, double_pair

from physics.mr.cartesian import CartesianMR
from physics.mr.cartesian_3d import Cartesian3D, separated
from physics.mr.non_cartesian import NonCartesian
from physics.mr.stack_of_stars import StackOfStars, ifft1c
from physics.mr.trajectories import radial
from physics.operator import LinearOperator


@st.composite
def encodings(draw: st.DrawFn) -> StackOfStars | Cartesian3D:
    """Drawn sizes of either parity, sampling and coil counts."""
    z, y, x = (draw(st.integers(3, 9)) for _ in range(3))
    coils = draw(st.integers(0, 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    maps = torch.randn(z, coils, y, x, dtype=torch.complex128, generator=generator) if coils else None
    if draw(st.booleans()):
        mask = torch.rand(z, y, x, generator=generator) < 0.6
        mask[0, 0, 0] = True
        return Cartesian3D(mask, maps)
    planes = (z,) if draw(st.booleans()) else ()
    trajectory = torch.rand(*planes, draw(st.integers(1, 4)), draw(st.integers(2, 6)), 2, generator=generator) - 0.5
    measured = torch.rand(z, generator=generator) < 0.6
    measured[z // 2] = True
    return StackOfStars(trajectory.double(), (y, x), measured, maps)


@settings(deadline=None, max_examples=25)
@given(encodings(), st.integers(0, 2**16))
def test_they_are_linear_with_their_adjoints_and_grams(encoding: LinearOperator, seed: int) -> None:
    assert_adjoint(encoding, seed)
    assert_adjoint(encoding, seed, (2,))
    assert_linear(encoding, seed)
    assert_norm_bound(encoding)
    x, _ = double_pair(encoding, seed)
    expected = encoding.adjoint(encoding(x))
    assert float((encoding.gram(x) - expected).norm()) <= 1e-4 * float(expected.norm())
    assert encoding.gram.norm_bound == pytest.approx(encoding.norm_bound**2)
    with pytest.raises(ValueError, match="couples its slices"):
        encoding.slices(slice(0, 1))


def test_they_go_through_torchs_transforms() -> None:
    maps = torch.randn(4, 2, 5, 6, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    assert_transforms(StackOfStars(radial(3, 8), (5, 6), torch.tensor([True, False, True, True]), maps))
    assert_transforms(Cartesian3D(torch.rand(4, 5, 6, generator=torch.Generator().manual_seed(1)) < 0.5, maps))


@pytest.mark.parametrize("depth", [4, 5])
def test_a_whole_stack_is_slices_after_a_transform_along_kz(depth: int) -> None:
    maps = torch.randn(depth, 2, 8, 9, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    stack = StackOfStars(radial(5, 16), (8, 9), torch.ones(depth, dtype=torch.bool), maps)
    slices = NonCartesian(radial(5, 16), (8, 9), maps)
    x, _ = double_pair(stack, 3)
    torch.testing.assert_close(ifft1c(stack(x), -4), slices(x), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(stack.direct(stack(x)), slices.direct(slices(x)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_axis_that_is_sampled_in_full_separates(axis: int) -> None:
    generator = torch.Generator().manual_seed(axis)
    shape = (4, 5, 6)
    plane = torch.rand([n for k, n in enumerate(shape) if k != axis], generator=generator) < 0.5
    mask = plane.unsqueeze(axis).expand(shape)
    assert separated(mask) == axis
    x, _ = double_pair(Cartesian3D(mask), 1)
    volume = Cartesian3D(mask)(x)[:, 0]
    along = ifft1c(volume, axis).movedim(axis, 0)[:, None]
    torch.testing.assert_close(along, CartesianMR(plane, slices=shape[axis])(x.movedim(axis, 0)))


def test_a_mask_that_varies_along_every_axis_does_not_separate() -> None:
    mask = torch.rand(4, 5, 6, generator=torch.Generator().manual_seed(0)) < 0.5
    assert separated(mask) is None
    rhs = torch.randn(4, 5, 6, dtype=torch.complex128)
    operator = Cartesian3D(mask)
    found = operator.solve_normal(rhs, 0.1)
    assert found is not None
    torch.testing.assert_close(operator.gram(found) + 0.1 * found, rhs)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cartesian3D(torch.zeros(2, 3, 4, dtype=torch.bool)), "samples nothing"),
        (lambda: Cartesian3D(torch.ones(3, 4, dtype=torch.bool)), "kz, ky, kx"),
        (lambda: StackOfStars(radial(2, 4), (4, 4), torch.zeros(3, dtype=torch.bool)), "one at least"),
        (lambda: StackOfStars(radial(2, 4).expand(2, 2, 4, 2), (4, 4), torch.ones(3, dtype=torch.bool)), "2 traj"),
    ],
)
def test_what_cannot_be_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
