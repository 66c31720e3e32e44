"""ASTRA's CUDA projector: its geometry anywhere, its figures where there is a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physics.ct import make_projector
from physics.ct.astra_cuda import AstraCudaProjector, astra_geometries, cuda_projector_available
from physics.ct.geometry import FanBeam, ImageGrid, ParallelBeam, circular_angles
from physics.ct.projector import CTProjector

pytest.importorskip("astra")

GRID = ImageGrid((40, 48), (1.5, 1.5))
GEOMETRIES = [FanBeam(circular_angles(31), 1.1, offset=0.7), ParallelBeam(circular_angles(31), 0.9, offset=0.7)]

needs_gpu = pytest.mark.skipif(
    not (torch.cuda.is_available() and cuda_projector_available()), reason="needs an NVIDIA GPU"
)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g.kind)
def test_the_slice_lies_in_the_plane_of_the_rays(geometry):
    covering = geometry.covering(GRID)
    volume, projections = astra_geometries(covering, GRID)
    vectors = np.asarray(projections["Vectors"])
    assert vectors.shape == (31, 12)
    assert not vectors[:, [2, 5, 8, 9, 10]].any(), "source, detector and its axis are at z = 0"
    np.testing.assert_array_equal(vectors[:, [0, 1, 3, 4, 6, 7]], covering.vectors())
    assert (volume["GridRowCount"], volume["GridColCount"], volume["GridSliceCount"]) == (40, 48, 1)
    assert volume["option"]["WindowMaxY"] == pytest.approx(30)


@pytest.mark.skipif(cuda_projector_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_refused_and_the_matrix_is_taken():
    with pytest.raises(RuntimeError, match="NVIDIA GPU"):
        AstraCudaProjector(GEOMETRIES[0], GRID)
    assert isinstance(make_projector(GEOMETRIES[0], GRID), CTProjector)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g.kind)
def test_it_agrees_with_the_matrix(geometry):
    y, x = torch.meshgrid(torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 48), indexing="ij")
    image = torch.stack([torch.exp(-4 * ((x - 0.2) ** 2 + y**2)), torch.exp(-3 * (x**2 + (y + 0.3) ** 2))])
    matrix, cuda = CTProjector(geometry, GRID, slices=2), AstraCudaProjector(geometry, GRID, slices=2)
    expected, found = matrix(image), cuda(image.cuda()).cpu()
    assert (found - expected).norm() < 0.01 * expected.norm()
    back, back_found = matrix.adjoint(expected), cuda.adjoint(expected.cuda()).cpu()
    assert (back_found - back).norm() < 0.05 * back.norm()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g.kind)
def test_the_matrix_on_the_gpu_is_the_matrix_on_the_cpu(geometry):
    image = torch.rand(3, *GRID.shape)
    cpu, gpu = (CTProjector(geometry, GRID, device=device, builder="siddon", slices=3) for device in ("cpu", "cuda"))
    torch.testing.assert_close(gpu(image.cuda()).cpu(), cpu(image), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gpu.adjoint(cpu(image).cuda()).cpu(), cpu.adjoint(cpu(image)), rtol=1e-4, atol=1e-3)
