"""ESPIRiT: coil sensitivities as eigenvectors of what the calibration region says of every voxel.

Patches of the fully sampled centre span a space; those of k-space that coils with sensitivities s(x) measure lie in it.
In the image this is G(x) s(x) = s(x), with a Hermitian matrix G(x) of one row and column for each coil, whose elements
are trigonometric polynomials of x, of the degree of the patch (Uecker et al. 2014, Magn Reson Med 71:990, eq. 17 to
24). So G is known everywhere from few values. Its eigenvectors are computed on a coarse grid, where matrices are
squared, and refined at every voxel by applications of G to the nearest of them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_CUT = 0.02
"""Singular value, over the largest, below which a direction of the patches is noise."""

_COARSE = 64
"""Least number of points of the coarse grid along an axis; G varies over a tenth of the axis or more."""

_SQUARINGS = 5
"""G to the power 2^n is applied on the coarse grid."""

_REFINEMENTS = 2
"""Applications of G at every voxel, to the eigenvector of the nearest point of the coarse grid."""

_ELEMENTS = 2**21
"""Elements of G that are held at once."""


def espirit(centre: Tensor, shape: tuple[int, int], kernel: int) -> tuple[Tensor, Tensor]:
    """Coil sensitivities of one slice, and how well each voxel's are explained.

    Args:
        centre: (coils, calib, calib) complex, the fully sampled centre of k-space.
        shape: (y, x) of the image.
        kernel: side of the patches, at most ``calib``.

    Returns:
        (coils, y, x) complex64 sensitivities with Σ|S|² = 1, and the (y, x) eigenvalues of G, 0 to 1, near 1 where the
        object has signal. The phase is that of the combination of coils that receives most.
    """
    polynomial = _polynomial(_patch_space(centre, kernel), kernel)
    reference = _strongest_combination(centre).to(polynomial.dtype)
    coarse_at, nearest = zip(*(_coarse_positions(size) for size in shape), strict=True)
    vectors = _power_method(_values(polynomial, coarse_at[0] / shape[0], coarse_at[1] / shape[1]))
    start = vectors.unflatten(-1, (len(coarse_at[0]), len(coarse_at[1])))
    rows, columns = ((torch.arange(size) - size // 2) / size for size in shape)
    maps = torch.empty((len(centre), *shape), dtype=polynomial.dtype)
    eigenvalues = torch.empty(shape)
    at_once = max(1, _ELEMENTS // (len(centre) ** 2 * shape[1]))
    for block in torch.arange(shape[0]).split(at_once):
        matrices = _values(polynomial, rows[block], columns)
        vector = start[:, nearest[0][block]][..., nearest[1]].flatten(1)
        for _ in range(_REFINEMENTS):
            vector, size = _applied(matrices, vector)
        towards = torch.einsum("c,cn->n", reference.conj(), vector)
        maps[:, block] = (vector * torch.polar(torch.ones_like(size), -towards.angle())).unflatten(1, (-1, shape[1]))
        eigenvalues[block] = size.unflatten(0, (-1, shape[1]))
    return maps, eigenvalues


def _patch_space(centre: Tensor, kernel: int) -> Tensor:
    """(n, coils, kernel, kernel) complex128 orthonormal patches that span those of the centre, without noise."""
    patches = centre.to(torch.complex128).unfold(1, kernel, 1).unfold(2, kernel, 1)
    rows = patches.permute(1, 2, 0, 3, 4).flatten(2).flatten(0, 1)
    if rows.shape[0] < rows.shape[1]:
        values, left = torch.linalg.eigh(rows @ rows.mH)
        kept = values > _CUT**2 * values[-1]
        basis = (rows.mH @ left[:, kept] / values[kept].sqrt()).mH
    else:
        values, right = torch.linalg.eigh(rows.mH @ rows)
        basis = right[:, values > _CUT**2 * values[-1]].mH
    return basis.unflatten(1, (len(centre), kernel, kernel))


def _polynomial(basis: Tensor, kernel: int) -> Tensor:
    """Coefficients of G: (2 kernel − 1, 2 kernel − 1, coils · coils) complex64, of the frequencies 1 − kernel to
    kernel − 1 along y and x."""
    side = 2 * kernel - 1
    waves = torch.fft.ifft2(basis, s=(side, side), norm="forward").flatten(2)  # every point that tells G apart
    products = torch.einsum("ncp,ndp->pcd", waves, waves.conj()) / kernel**2
    coefficients = torch.fft.fft2(products.unflatten(0, (side, side)), dim=(0, 1), norm="forward")
    return torch.fft.fftshift(coefficients, dim=(0, 1)).flatten(2).to(torch.complex64)


def _values(polynomial: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """G at positions y and x, in fields of view: (coils, coils, rows · columns) complex64."""
    degree = len(polynomial) // 2
    waves_y, waves_x = (_waves(positions, degree) for positions in (rows, columns))
    along_x = torch.einsum("yxp,cx->pyc", polynomial, waves_x).contiguous()
    values = torch.matmul(waves_y, along_x)
    coils = round(polynomial.shape[-1] ** 0.5)
    return values.reshape(coils, coils, -1)


def _waves(positions: Tensor, degree: int) -> Tensor:
    """(positions, 2 degree + 1) exp(2πi f x) of the frequencies from −degree to degree."""
    frequencies = torch.arange(-degree, degree + 1, dtype=torch.float64)
    angle = 2 * math.pi * positions.double()[:, None] * frequencies
    return torch.polar(torch.ones_like(angle), angle).to(torch.complex64)


def _power_method(matrices: Tensor) -> Tensor:
    """(coils, n) unit eigenvectors of the largest eigenvalues of (coils, coils, n) Hermitian matrices."""
    power = matrices.permute(2, 0, 1).contiguous()
    for _ in range(_SQUARINGS):
        power = power / power.diagonal(dim1=1, dim2=2).real.sum(1).clamp_min(1e-30)[:, None, None]
        power = torch.bmm(power, power)
    # Of a matrix that is nearly of rank one, the column with the largest diagonal element is the eigenvector.
    strongest = power.diagonal(dim1=1, dim2=2).real.argmax(1)
    return functional.normalize(power[torch.arange(len(power)), :, strongest], dim=1, eps=1e-30).T


def _applied(matrices: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
    """G v over its length, (coils, n), and its length (n,)."""
    product = (matrices * vector).sum(1)
    size = torch.view_as_real(product).square().sum((0, -1)).sqrt()
    return product / size.clamp_min(torch.finfo(size.dtype).tiny), size


def _strongest_combination(centre: Tensor) -> Tensor:
    """(coils,) unit weights of the combination of coils that holds most of the centre's energy."""
    samples = centre.to(torch.complex128).flatten(1)
    return torch.linalg.eigh(samples @ samples.mH)[1][:, -1]


def _coarse_positions(size: int) -> tuple[Tensor, Tensor]:
    """Positions of the coarse grid, in pixels from the centre, and the index of the nearest for every pixel."""
    step = max(1, size // _COARSE)
    pixels = torch.arange(size)
    count = -(-size // step)
    positions = torch.arange(count) * step + (step - 1) / 2 - size // 2
    return positions, pixels // step
