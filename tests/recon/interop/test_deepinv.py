"""Operators as deepinv's linear physics and back: the same maps, exact adjoints, gradients, its own tests.

These skip where deepinv is not installed. It cannot be imported beside a CPU build of torch with PyPI's torchvision.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch

from physics.ct.geometry import FanBeam, ImageGrid, circular_angles
from physics.ct.projector import CTProjector
from physics.mr.cartesian import CartesianMR
from physics.operator import LinearOperator
from recon.interop import as_deepinv, from_deepinv


@pytest.fixture(scope="module")
def deepinv() -> ModuleType:
    try:
        import deepinv
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"deepinv cannot be imported: {error}")
    return deepinv


def projector() -> LinearOperator:
    return CTProjector(FanBeam(circular_angles(7), pitch=4.0), ImageGrid((12, 10), (3.0, 3.0)), slices=3)


def encoding() -> LinearOperator:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(3, 2, 12, 10, generator=generator, dtype=torch.complex64)
    return CartesianMR((torch.rand(12, 10, generator=generator) > 0.5), maps)


@pytest.mark.parametrize("make", [projector, encoding])
def test_an_operator_is_a_linear_physics(deepinv: ModuleType, make: Callable[[], LinearOperator]) -> None:
    operator = make()
    physics = as_deepinv(operator)
    x = torch.randn(2, *physics.img_size, requires_grad=True)
    y = physics.A(x)
    assert y.shape == (2, physics.img_size[0], *operator.range)
    assert float(physics.adjointness_test(x[:1].detach()).abs()) < 1e-4
    gradient = torch.autograd.grad(0.5 * (y**2).sum(), x)[0]
    torch.testing.assert_close(gradient, physics.A_adjoint(y).detach(), rtol=1e-4, atol=1e-4)
    assert float(physics.compute_sqnorm(x.detach(), verbose=False)) <= 1.05 * operator.norm_bound**2
    restored, data = physics.A_dagger(y.detach()).detach(), y.detach()
    assert float((physics.A(restored) - data).norm() / data.norm()) < 0.1


@pytest.mark.parametrize("make", [projector, encoding])
def test_there_and_back_is_the_same_map(deepinv: ModuleType, make: Callable[[], LinearOperator]) -> None:
    operator = make()
    again = from_deepinv(as_deepinv(operator), operator.domain, is_complex=operator.is_complex, volumetric=True)
    assert again.range == operator.range
    x = torch.randn(*operator.domain, dtype=operator.dtype)
    torch.testing.assert_close(again(x), operator(x))
    y = torch.randn(*operator.range, dtype=operator.dtype)
    torch.testing.assert_close(again.adjoint(y), operator.adjoint(y))


def test_a_physics_of_deepinv_is_an_operator(deepinv: ModuleType) -> None:
    mri = deepinv.physics.MRI(mask=(torch.rand(12, 10) > 0.5).float(), img_size=(12, 10))
    radon = deepinv.physics.Tomography(angles=8, img_width=12, normalize=False)
    for operator, images in (
        (from_deepinv(mri, (3, 12, 10), is_complex=True), torch.randn(3, 12, 10, dtype=torch.complex64)),
        (from_deepinv(radon, (3, 12, 12)), torch.randn(3, 12, 12)),
    ):
        assert operator.separable
        data = operator(images)
        assert data.shape == operator.range
        torch.testing.assert_close(operator.slices(slice(1, 2))(images[1:2]), data[1:2])
        torch.testing.assert_close(operator(torch.stack([images, 2 * images]))[1], 2 * data)
        (gradient,) = torch.autograd.grad(operator(images.requires_grad_()).abs().square().sum() / 2, images)
        torch.testing.assert_close(gradient, operator.adjoint(data.detach()))
    given = torch.randn(1, 2, 12, 10)
    as_complex = torch.view_as_complex(given.movedim(1, -1).contiguous())
    mapped = from_deepinv(mri, (1, 12, 10), is_complex=True)(as_complex)
    torch.testing.assert_close(torch.view_as_real(mapped).movedim(-1, 1), mri.A(given))
    with pytest.raises(ValueError, match="has 2 channels"):
        from_deepinv(_two_channels(deepinv), (3, 12, 10))


def _two_channels(deepinv: ModuleType) -> object:
    return deepinv.physics.LinearPhysics(A=lambda x: torch.cat([x, x], 1), A_adjoint=lambda y: y.sum(1, keepdim=True))
