"""The variational network on measurements: any mask, any number of coils, and an image in the operator's scale."""

from __future__ import annotations

import pytest
import torch

from physics.mr.cartesian import CartesianMR, fft2c, ifft2c
from physics.mr.masks import calibration_width, make_mask
from priors.networks.varnet import VarNet, VarNetConfig
from recon.errors import InputError
from recon.learned.varnet_image import fully_sampled_centre, varnet_image
from recon.scan.measurement import Measurement, Protocol

SIZES = VarNetConfig(iterations=2, chans=4, pool_layers=2, sensitivity_chans=2, sensitivity_pool_layers=2)
SHAPE = (40, 36)


def measurement(kind: str, coils: int, slices: int = 2) -> Measurement:
    random = torch.Generator().manual_seed(coils)
    image = torch.complex(*torch.randn(2, slices, *SHAPE, generator=random))
    maps = None
    if coils > 1:
        maps = torch.complex(*torch.randn(2, slices, coils, *SHAPE, generator=random))
        maps = maps / maps.abs().square().sum(1, keepdim=True).sqrt()
    operator = CartesianMR(make_mask(kind, SHAPE, 3.0, calib=8).array, maps, slices)
    return Measurement(operator(image), operator, None, (3.0, 1.0, 1.0), Protocol())


def network() -> VarNet:
    torch.manual_seed(0)
    return VarNet(SIZES).eval()


@pytest.mark.parametrize("coils", [1, 5])
@pytest.mark.parametrize("kind", ["poisson", "gauss1d"])
@torch.no_grad()
def test_the_image_scales_with_the_data_and_slices_are_alone(kind: str, coils: int) -> None:
    scan, net = measurement(kind, coils), network()
    image = varnet_image(net, scan, 2.0)
    assert image.shape == scan.operator.domain
    assert torch.isfinite(torch.view_as_real(image)).all()
    louder = Measurement(3 * scan.y, scan.operator, None, scan.spacing, scan.protocol)
    assert torch.allclose(varnet_image(net, louder, 6.0), 3 * image, rtol=1e-3, atol=1e-4)
    assert torch.allclose(varnet_image(net, scan.slices(slice(1, 2)), 2.0), image[1:], rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_complete_kspace_stays_what_it_is_where_the_networks_say_nothing() -> None:
    scan, net = measurement("poisson", 3), network()
    complete = scan.operator.unmasked()
    for cascade in net.cascades:
        for parameter in cascade.model.parameters():
            parameter.zero_()
    truth = torch.complex(*torch.randn(2, *complete.domain, generator=torch.Generator().manual_seed(1)))
    whole = Measurement(complete(truth), complete, None, scan.spacing, scan.protocol)
    assert torch.allclose(varnet_image(net, whole, 1.0), truth, atol=1e-4)


@torch.no_grad()
def test_kspace_of_the_packages_network_for_columns_is_the_same() -> None:
    """The blocks are the package's own; the centre that it finds in a mask of columns is the one that is told here."""
    from fastmri.models.varnet import VarNet as Package

    net = network()
    package = Package(2, 2, 2, 4, 2, mask_center=True).eval()
    package.load_state_dict(net.state_dict())
    scan = measurement("gauss1d", 4, slices=1)
    mask = scan.operator.mask
    assert mask is not None
    centre = fully_sampled_centre(mask)
    width = int(centre[0].sum())
    magnitude = package(torch.view_as_real(scan.y), mask[None, None, :1, :, None], num_low_frequencies=width)
    expected = ifft2c(net(scan.y, mask, centre)).abs().square().sum(1).sqrt()
    assert torch.allclose(magnitude, expected, rtol=1e-3, atol=1e-4)


def test_the_fully_sampled_centre_is_that_of_the_mask() -> None:
    columns = make_mask("gauss1d", SHAPE, 3.0, calib=6).array
    centre = fully_sampled_centre(columns)
    assert centre.all(0).sum() >= 6
    assert torch.equal(centre & columns, centre)
    both = make_mask("poisson", SHAPE, 3.0, calib=8).array
    square = fully_sampled_centre(both)
    assert int(square.sum()) == calibration_width(both) ** 2 >= 64
    assert torch.equal(square & both, square)
    none = torch.zeros(SHAPE, dtype=torch.bool)
    none[3] = True
    assert int(fully_sampled_centre(none).sum()) == 1
    assert fully_sampled_centre(none)[SHAPE[0] // 2, SHAPE[1] // 2], "frequency zero, sampled or not"
    assert fully_sampled_centre(torch.ones(SHAPE, dtype=torch.bool)).all()


def test_what_is_not_cartesian_is_refused_in_one_line() -> None:
    scan = measurement("poisson", 1)
    curved = Measurement(scan.y[..., 0], scan.operator.H @ scan.operator, None, scan.spacing, scan.protocol)
    with pytest.raises(InputError, match="varnet: it takes Cartesian k-space with one mask for all slices; take tv"):
        varnet_image(network(), curved, 1.0)


def test_adjoint_without_the_mask() -> None:
    scan = measurement("poisson", 3)
    x = torch.complex(*torch.randn(2, *scan.operator.domain, generator=torch.Generator().manual_seed(2)))
    complete = scan.operator.unmasked()
    assert scan.operator.mask is not None
    assert torch.allclose(complete(x) * scan.operator.mask, scan.operator(x), atol=1e-5)
    assert torch.allclose(complete.adjoint(complete(x)), x, atol=1e-4)
    assert torch.allclose(fft2c(ifft2c(scan.y)), scan.y, atol=1e-5)


def test_an_empty_slice_and_a_silent_coil_give_zeros_and_gradients_that_are_finite() -> None:
    scan, net = measurement("poisson", 3), network()
    data = scan.y.clone()
    data[0] = 0  # beyond the patient
    data[1, 2] = 0  # a coil that is switched off
    image = varnet_image(net, Measurement(data, scan.operator, None, scan.spacing, scan.protocol), 2.0)
    assert float(image[0].abs().max()) < 1e-10 < float(image[1].abs().max())
    assert torch.isfinite(torch.view_as_real(image)).all()
    image.abs().square().sum().backward()
    gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
    assert gradients
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
