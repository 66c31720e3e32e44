"""The CT projector: adjoints and gradients over drawn geometries, line integrals against analytic chords, ASTRA."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from operators import (
    assert_adjoint,
    assert_linear,
    assert_norm_bound,
    assert_slices,
    assert_transforms,
    dense,
    double_pair,
    draw_pair,
    random_matrix,
)
from scipy import sparse
from torch import Tensor

from physics.ct import make_projector
from physics.ct.chords_on_gpu import chords
from physics.ct.geometry import FanBeam, Geometry, ImageGrid, ParallelBeam, circular_angles, golden_angles
from physics.ct.missing_rays import MissingRays
from physics.ct.projector import CTProjector
from physics.ct.sparse_product import SparseProduct
from physics.ct.system_matrix import (
    CSR,
    Builder,
    _rays,
    _transpose_by_sorting,
    build_by_pixels,
    build_by_rays,
    build_matrix,
    matrix_bytes,
    transpose,
)

needs_astra = pytest.mark.skipif(importlib.util.find_spec("astra") is None, reason="ASTRA is not installed")

SQUARE = ImageGrid((24, 30), (1.5, 1.5))
FLAT = ImageGrid((24, 30), (2.0, 1.2))
GEOMETRIES: list[Geometry] = [
    ParallelBeam(circular_angles(9, 0.1), 1.1, offset=3.0),
    FanBeam(golden_angles(9, 0.2), 1.3, offset=-4.0, source_isocentre=120, source_detector=200),
]


@st.composite
def grids(draw: st.DrawFn) -> ImageGrid:
    """Any shape and pixel; squares as often as not, since those take ASTRA's matrix."""
    lengths = st.floats(0.3, 4.0)
    y = draw(lengths)
    return ImageGrid((draw(st.integers(1, 12)), draw(st.integers(1, 12))), (y, draw(st.just(y) | lengths)))


@st.composite
def projectors(draw: st.DrawFn, max_bytes: int = 2**30) -> CTProjector:
    grid = draw(grids())
    exact = st.sampled_from([0.0, math.pi / 4, math.pi / 2, math.pi, 3 * math.pi / 2])
    angles = tuple(draw(st.lists(exact | st.floats(-7, 7), min_size=1, max_size=7)))
    shared: dict[str, Any] = {
        "angles": angles,
        "pitch": draw(st.floats(0.4, 4.0)),
        "offset": draw(st.just(0.0) | st.floats(-9, 9)),
        "cells": draw(st.none() | st.integers(1, 20)),
    }
    geometry: Geometry = ParallelBeam(**shared)
    if draw(st.booleans()):
        isocentre = grid.corner_radius + draw(st.floats(1, 60))
        detector = isocentre + grid.corner_radius + draw(st.floats(0.1, 60))
        geometry = FanBeam(**shared, source_isocentre=isocentre, source_detector=detector)
    return CTProjector(geometry, grid, torch.float64, max_bytes=max_bytes, slices=draw(st.integers(1, 3)))


@settings(deadline=None, max_examples=80)
@given(projectors(), st.sampled_from([(), (2,)]), st.integers(0, 2**16))
def test_adjoint(projector: CTProjector, batch: tuple[int, ...], seed: int) -> None:
    assert_adjoint(projector, seed, batch)


@settings(deadline=None, max_examples=25)
@given(projectors(), st.integers(0, 2**16))
def test_it_is_linear_and_its_gradient_is_the_adjoint(projector: CTProjector, seed: int) -> None:
    assert_linear(projector, seed, (2,))
    assert_linear((2j - 1) * projector, seed)
    assert_transforms(projector, seed)


@settings(deadline=None, max_examples=25)
@given(projectors())
def test_the_norm_bound_is_tight_and_slices_are_slices(projector: CTProjector) -> None:
    assert_norm_bound(projector, loosest=1.05 if projector.norm_bound else None)
    assert_slices(projector)
    assert_slices(2 * projector + projector)


@pytest.mark.parametrize("max_bytes", [2**30, 1], ids=["resident", "blocks"])
def test_slices_and_stacks_share_the_matrix_and_its_norm(monkeypatch: pytest.MonkeyPatch, max_bytes: int) -> None:
    projector = CTProjector(GEOMETRIES[0], FLAT, torch.float64, max_bytes=max_bytes, slices=5)
    some, more = projector.slices(slice(1, 3)), projector.stack(70)
    assert (some.domain, more.domain) == ((2, *FLAT.shape), (70, *FLAT.shape))
    for each in (some, more):
        assert isinstance(each, CTProjector)
        assert each._held is projector._held
    exact = float(torch.linalg.matrix_norm(dense(projector.stack(1), torch.float64), 2))
    assert more.norm_bound == pytest.approx(exact, rel=1e-5)
    monkeypatch.setattr("physics.ct.projector.perron_bound", None)
    assert projector.norm_bound == some.norm_bound == some.slices(slice(0, 1)).norm_bound == more.norm_bound


def test_a_stack_has_a_slice_at_least() -> None:
    with pytest.raises(ValueError, match="`slices` 0: must be 1 or more"):
        CTProjector(GEOMETRIES[0], FLAT, slices=0)


def test_gradcheck() -> None:
    geometry = FanBeam(circular_angles(3), 2.0, source_isocentre=20, source_detector=30)
    projector = CTProjector(geometry, ImageGrid((4, 5), (1.0, 1.5)), torch.float64, slices=2)
    x, y = draw_pair(projector, (), torch.float64, 1)
    assert torch.autograd.gradcheck(projector, (x.requires_grad_(),))
    assert torch.autograd.gradcheck(projector.H, (y.requires_grad_(),))


@settings(deadline=None, max_examples=25)
@given(projectors(max_bytes=1), st.integers(0, 2**16))
def test_blocks_of_views_give_the_same(projector: CTProjector, seed: int) -> None:
    assert not projector.resident
    whole = CTProjector(projector.geometry, projector.grid, torch.float64, slices=projector.domain[0])
    assert whole.resident
    x, y = draw_pair(projector, (), torch.float64, seed)
    torch.testing.assert_close(projector(x), whole(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(projector.adjoint(y), whole.adjoint(y), rtol=1e-12, atol=1e-12)
    assert_adjoint(projector, seed)


@settings(deadline=None, max_examples=25)
@given(projectors(), st.integers(1, 3), st.integers(0, 2**16))
def test_some_views_are_some_of_the_data(projector: CTProjector, step: int, seed: int) -> None:
    """Of whatever is made of a projector as well."""
    part = slice(min(1, projector.geometry.views - 1), None, step)
    mask = torch.rand(projector.range, generator=torch.Generator().manual_seed(seed)) < 0.7
    for operator in (
        projector,
        MissingRays(projector, mask),
        2 * projector + projector,
        projector @ (2 * projector.gram),
    ):
        some = operator.views(part)
        x = double_pair(operator, seed)[0]
        torch.testing.assert_close(some(x), operator(x)[..., part, :], rtol=1e-10, atol=1e-10)
        assert_adjoint(some, seed)


def test_a_matrix_of_few_rays_is_held_by_rays(monkeypatch: pytest.MonkeyPatch) -> None:
    by_pixels = CTProjector(GEOMETRIES[1], FLAT, torch.float64, slices=3)
    monkeypatch.setattr("physics.ct.projector._FEW_RAYS", 0)
    by_rays = CTProjector(GEOMETRIES[1], FLAT, torch.float64, slices=3)
    assert [each._held[0].by_rays for each in (by_pixels, by_rays)] == [False, True]
    x, y = draw_pair(by_rays, (2,), torch.float64, 1)
    torch.testing.assert_close(by_rays(x), by_pixels(x))
    torch.testing.assert_close(by_rays.adjoint(y), by_pixels.adjoint(y))
    assert_adjoint(by_rays)


def test_views_share_a_matrix_while_one_is_in_use() -> None:
    projector = CTProjector(GEOMETRIES[1], FLAT, slices=3)
    some = projector.views(slice(0, None, 2))
    assert projector.stack(1).views(slice(0, None, 2))._held is some._held
    assert some.domain == projector.domain
    assert not projector.views(slice(1, None, 2))._held[0].matrix.rows.crow.equal(some._held[0].matrix.rows.crow)
    with pytest.raises(ValueError, match="has no views"):
        random_matrix(3, 4).views(slice(0, 1))


def test_blocks_respect_the_memory_limit() -> None:
    geometry = GEOMETRIES[0].covering(FLAT)
    limit = matrix_bytes(geometry, FLAT, 8) // 3
    projector = CTProjector(geometry, FLAT, torch.float64, max_bytes=limit)
    blocks = list(projector._blocks())
    assert len(blocks) > 2
    for block in blocks:
        assert block.matrix.rows.value.numel() * (8 + 4) <= limit


@settings(deadline=None, max_examples=40)
@given(projectors())
def test_the_memory_estimate_is_an_upper_one(projector: CTProjector) -> None:
    """On average over directions; the grids here are tiny, so one more pixel a ray is allowed for."""
    entries = build_matrix(projector.geometry, projector.grid).nnz
    rays = math.prod(projector.geometry.data_shape)
    assert entries * 12 <= 1.6 * matrix_bytes(projector.geometry, projector.grid, 8) + rays * 12


def test_slices_are_independent() -> None:
    projector = CTProjector(GEOMETRIES[1], FLAT, slices=70)
    one = projector.stack(1)
    x = torch.rand(70, *FLAT.shape)  # more than are multiplied at once
    together = projector(x)
    assert together.shape == projector.range
    torch.testing.assert_close(together[[0, 31, 32, 69]], torch.cat([one(x[i][None]) for i in (0, 31, 32, 69)]))
    torch.testing.assert_close(projector.stack(10)(x.reshape(7, 10, *FLAT.shape)).reshape(together.shape), together)
    assert one(x[:0, None]).shape == (0, *one.range)


@pytest.mark.parametrize("slices", [1, 3, 40])
def test_products_accumulate(monkeypatch: pytest.MonkeyPatch, slices: int) -> None:
    """In parts for several threads as well, and of slices of a better precision than the matrix."""
    monkeypatch.setattr("physics.ct.sparse_product._LEAST_ENTRIES", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    matrix = torch.rand(50, 40) * (torch.rand(50, 40) < 0.3)
    csr = matrix.to_sparse_csr()
    product = SparseProduct(CSR(csr.crow_indices().int(), csr.col_indices().int(), csr.values()), 40)
    assert len(product._parts) == 3
    for kind in (torch.float32, torch.float64):
        x, y = torch.rand(slices, 40, dtype=kind), torch.rand(slices, 50, dtype=kind)
        image, back = torch.ones(slices, 5, 10, dtype=kind), torch.ones(slices, 8, 5, dtype=kind)
        product.add_product(x, image)
        product.add_transposed_product(y, back)
        torch.testing.assert_close(image.flatten(1), 1 + x @ matrix.to(kind).T)
        torch.testing.assert_close(back.flatten(1), 1 + y @ matrix.to(kind))


def rays_of(geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """(views, cells, 2) a point on every ray and its unit direction, from the documented conventions alone."""
    beta = np.array(geometry.angles)[:, None]
    axis = np.stack([np.cos(beta), np.sin(beta)], -1)
    ahead = np.stack([-np.sin(beta), np.cos(beta)], -1)
    s = geometry.cell_positions()[None, :, None]
    if isinstance(geometry, ParallelBeam):
        return s * axis, np.broadcast_to(ahead, (geometry.views, s.shape[1], 2))
    source = np.broadcast_to(-geometry.source_isocentre * ahead, (geometry.views, s.shape[1], 2))
    direction = (geometry.source_detector - geometry.source_isocentre) * ahead + s * axis - source
    return source, direction / np.linalg.norm(direction, axis=-1, keepdims=True)


def box_chords(geometry: Geometry, low: tuple[float, float], high: tuple[float, float]) -> np.ndarray:
    """(views, cells) length of every ray inside the rectangle low..high (x, y), by clipping against its sides."""
    point, direction = rays_of(geometry)
    with np.errstate(divide="ignore", over="ignore"):
        t = np.stack([(np.array(side) - point) / direction for side in (low, high)])
    return np.clip(t.max(0).min(-1) - t.min(0).max(-1), 0, None)


def disc_chords(geometry: Geometry, centre: tuple[float, float], radius: float) -> np.ndarray:
    """(views, cells) length of every ray inside a disc with its centre at (x, y)."""
    point, direction = rays_of(geometry)
    to_centre = np.array(centre) - point
    distance = to_centre[..., 0] * direction[..., 1] - to_centre[..., 1] * direction[..., 0]
    return 2 * np.sqrt(np.clip(radius**2 - distance**2, 0, None))


def box_image(grid: ImageGrid, rows: slice, columns: slice) -> tuple[Tensor, tuple[float, float], tuple[float, float]]:
    """An image of whole pixels that is 1 in a rectangle, and the rectangle's corners (x, y) in mm."""
    image = torch.zeros(grid.shape, dtype=torch.float64)
    image[rows, columns] = 1
    low, high = (
        tuple((k - n / 2) * s for k, n, s in zip(ends, grid.shape[::-1], grid.spacing[::-1], strict=True))
        for ends in ((columns.start, rows.start), (columns.stop, rows.stop))
    )
    return image, low, high


@pytest.mark.parametrize("builder", ["siddon", pytest.param("astra", marks=needs_astra)])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g.kind)
def test_a_rectangle_of_pixels_has_its_chords(geometry: Geometry, builder: Builder) -> None:
    """Exact: an asymmetric rectangle in an asymmetric place, so a flip or a transpose would show."""
    for grid in (SQUARE, FLAT) if builder == "siddon" else (SQUARE,):
        projector = CTProjector(geometry, grid, torch.float64, builder=builder)
        image, low, high = box_image(grid, slice(3, 9), slice(17, 28))
        expected = box_chords(projector.geometry, low, high)
        assert expected.max() > 10
        np.testing.assert_allclose(
            projector(image[None])[0].numpy(), expected, atol=2e-3 if builder == "astra" else 1e-9
        )


@settings(deadline=None, max_examples=60)
@given(projectors())
def test_row_sums_are_the_chords_of_the_grid(projector: CTProjector) -> None:
    """For siddon on every grid, rays along the axes included, save those that graze the grid's own edge."""
    ny, nx = projector.grid.shape
    dy, dx = projector.grid.spacing
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        matrix = build_matrix(projector.geometry, projector.grid, builder="siddon")
    half = np.array([nx * dx, ny * dy]) / 2
    inner, outer = (
        box_chords(projector.geometry, tuple(-half * factor), tuple(half * factor)) for factor in (1 - 1e-7, 1 + 1e-7)
    )
    sums = matrix.sum(axis=1).reshape(projector.geometry.data_shape)
    assert (sums >= inner - 1e-5).all()
    assert (sums <= outer + 1e-5).all()
    assert matrix.data.min(initial=1) > 0


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g.kind)
@pytest.mark.parametrize("spacing", [(0.5, 0.5), (0.7, 0.4)])
def test_a_disc_has_its_chords(geometry: Geometry, spacing: tuple[float, float]) -> None:
    grid = ImageGrid((round(40 / spacing[0]), round(44 / spacing[1])), spacing)
    centre, radius, fine = (3.0, -4.0), 12.0, 8
    y, x = (((np.arange(n * fine) + 0.5) / fine - n / 2) * s for n, s in zip(grid.shape, grid.spacing, strict=True))
    inside = np.hypot(x[None] - centre[0], y[:, None] - centre[1]) < radius
    image = inside.reshape(grid.shape[0], fine, grid.shape[1], fine).mean((1, 3))  # each pixel's covered share
    projector = CTProjector(geometry, grid, torch.float64, builder="siddon")
    expected = disc_chords(projector.geometry, centre, radius)
    found = projector(torch.from_numpy(image)[None])[0].numpy()
    deep = expected > 1.2 * radius  # nearer to the rim the chord changes by more than a pixel across one
    assert np.abs(found - expected)[deep].max() < max(spacing)
    assert np.abs(found - expected)[deep].mean() < 0.2 * max(spacing)
    assert not found[disc_chords(projector.geometry, centre, radius + 1) == 0].any()


@needs_astra
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g.kind)
def test_siddon_is_astra(geometry: Geometry) -> None:
    """Entries differ only where a ray grazes an edge, so a smooth image tells no difference."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 24), torch.linspace(-1, 1, 30), indexing="ij")
    smooth = torch.exp(-3 * ((x - 0.2) ** 2 + (y + 0.3) ** 2)).double()[None]
    astra, siddon = (CTProjector(geometry, SQUARE, torch.float64, builder=b) for b in ("astra", "siddon"))
    expected = siddon(smooth)
    assert float((astra(smooth) - expected).abs().max()) < 1e-3 * float(expected.max())
    back = siddon.adjoint(expected)
    assert float((astra.adjoint(expected) - back).abs().max()) < 5e-3 * float(back.max())


def test_astra_is_never_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "astra", None)
    projector = make_projector(GEOMETRIES[0], SQUARE)
    assert isinstance(projector, CTProjector)
    assert projector.builder == "siddon"


@needs_astra
def test_astra_can_be_chosen() -> None:
    assert CTProjector(GEOMETRIES[0], SQUARE, builder="astra").builder == "astra"


@settings(deadline=None, max_examples=40)
@given(projectors())
def test_siddon_finds_each_pixel_by_its_own_chord(projector: CTProjector) -> None:
    """Every entry against the ray clipped to that pixel; rays along a grid line belong to either of two pixels."""
    (ny, nx), (dy, dx) = projector.grid.shape, projector.grid.spacing
    matrix = build_matrix(projector.geometry, projector.grid, builder="siddon")
    assert matrix.has_canonical_format
    assert matrix.dtype == np.float64
    assert matrix.indices.dtype == matrix.indptr.dtype == np.int32
    found = matrix.toarray().reshape(*projector.geometry.data_shape, ny, nx)
    for y, x in np.ndindex(ny, nx):
        low, high = ((x - nx / 2) * dx, (y - ny / 2) * dy), ((x + 1 - nx / 2) * dx, (y + 1 - ny / 2) * dy)
        middle, half = np.add(low, high) / 2, np.array([dx, dy]) / 2
        inner, outer = (
            box_chords(projector.geometry, middle - half * f, middle + half * f) for f in (1 - 1e-7, 1 + 1e-7)
        )
        assert (found[:, :, y, x] >= inner - 1e-5).all()
        assert (found[:, :, y, x] <= outer + 1e-5).all()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g.kind)
def test_threads_build_the_same(monkeypatch: pytest.MonkeyPatch, geometry: Geometry, threads: int) -> None:
    covering = geometry.covering(FLAT)
    expected = build_by_pixels(covering, FLAT), build_by_rays(covering, FLAT)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    found = build_by_pixels(covering, FLAT), build_by_rays(covering, FLAT)
    for one, other in zip((*found[0], *found[1]), (*expected[0], *expected[1]), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert build_by_pixels(covering, FLAT, slice(2, 5), dtype=torch.float32).value.dtype == torch.float32


@pytest.mark.parametrize("steps", [1, 100, 100_000])
@pytest.mark.parametrize("grid", [SQUARE, FLAT], ids=["square", "flat"])
@pytest.mark.parametrize("undecided", GEOMETRIES, ids=lambda g: g.kind)
def test_the_lengths_for_gpus_are_the_same(undecided: Geometry, grid: ImageGrid, steps: int) -> None:
    """As are both orders of the matrix."""
    geometry = undecided.covering(grid)
    pixels, rays = math.prod(grid.shape), math.prod(geometry.data_shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("physics.ct.chords_on_gpu._STEPS_AT_ONCE", steps)
        on_gpu = CSR(*chords(*_rays(geometry, slice(None), "cpu"), grid))
    expected = build_matrix(geometry, grid).toarray()
    for found in (on_gpu, build_by_rays(geometry, grid), transpose(build_by_pixels(geometry, grid), rays)):
        matrix = sparse.csr_array((found.value, found.column, found.crow), shape=(rays, pixels))
        np.testing.assert_allclose(matrix.toarray(), expected, rtol=0, atol=1e-6)


def test_both_transposes_are_the_same() -> None:
    """The one that GPUs take, and the CPU's."""
    by_pixels = build_by_pixels(GEOMETRIES[1].covering(FLAT), FLAT)
    rays = math.prod(GEOMETRIES[1].covering(FLAT).data_shape)
    sorted_, counted = _transpose_by_sorting(by_pixels, rays), transpose(by_pixels, rays)
    back = _transpose_by_sorting(sorted_, len(by_pixels.crow) - 1)
    for part, expected in zip((*sorted_, *back), (*counted, *by_pixels), strict=True):
        torch.testing.assert_close(part, expected, rtol=0, atol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("grid", [SQUARE, FLAT], ids=["square", "flat"])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g.kind)
def test_a_gpu_makes_the_same_matrix(tmp_path: Path, geometry: Geometry, grid: ImageGrid) -> None:
    cpu = CTProjector(geometry, grid, torch.float64, builder="siddon")
    held, rebuilt = (CTProjector(geometry, grid, torch.float64, "cuda", max_bytes=b) for b in (2**30, 1))
    held.save(tmp_path / "matrix.safetensors")
    loaded = CTProjector.load(tmp_path / "matrix.safetensors", "cuda")
    x, y = draw_pair(cpu, (2,), torch.float64, 1)
    for gpu in (held, rebuilt, loaded):
        assert gpu.builder == "siddon"
        torch.testing.assert_close(gpu(x.cuda()).cpu(), cpu(x), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(gpu.adjoint(y.cuda()).cpu(), cpu.adjoint(y), rtol=1e-10, atol=1e-10)
    made, expected = held._held[0].matrix.rows, cpu._held[0].matrix.rows
    assert made.value.is_cuda
    assert torch.equal(made.crow.cpu(), expected.crow)
    assert torch.equal(made.column.cpu(), expected.column)
    torch.testing.assert_close(made.value.cpu(), expected.value, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["parallel", "fan"])
def test_a_quarter_turn_of_the_object_is_a_quarter_turn_of_the_scan(kind: str) -> None:
    grid = ImageGrid((20, 20), (1.5, 1.5))
    make = {"parallel": ParallelBeam, "fan": FanBeam}[kind]
    here, later = (make((beta,), 1.1, 40) for beta in (0.3, 0.3 + math.pi / 2))
    image = torch.rand(1, 20, 20, dtype=torch.float64)
    seen = CTProjector(later, grid, torch.float64, builder="siddon")(image)
    turned = torch.rot90(image, 1, (1, 2))  # array rows run upwards, so this turns the object clockwise
    torch.testing.assert_close(CTProjector(here, grid, torch.float64, builder="siddon")(turned), seen)


@pytest.mark.parametrize("max_bytes", [2**30, 1], ids=["resident", "blocks"])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g.kind)
def test_save_and_load(tmp_path: Path, geometry: Geometry, max_bytes: int) -> None:
    projector = CTProjector(geometry, FLAT, max_bytes=max_bytes)
    projector.save(tmp_path / "matrix.safetensors")
    loaded = CTProjector.load(tmp_path / "matrix.safetensors")
    assert (loaded.geometry, loaded.grid, loaded.dtype) == (projector.geometry, FLAT, torch.float32)
    assert (loaded.domain, loaded.range) == (projector.domain, projector.range)
    x, y = draw_pair(projector, (2,), torch.float32, 1)
    assert torch.equal(loaded(x), projector(x))
    assert torch.equal(loaded.adjoint(y), projector.adjoint(y))


def test_loading_needs_no_builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CTProjector(GEOMETRIES[0], SQUARE).save(tmp_path / "matrix.safetensors")
    monkeypatch.setattr("physics.ct.projector.build_by_pixels", None)
    assert dense(CTProjector.load(tmp_path / "matrix.safetensors"), torch.float32).sum() > 0


@pytest.mark.parametrize(
    "metadata",
    [None, {}, {"other": "1"}, {"projector": "no json"}, {"projector": "3"}, {"projector": json.dumps({"shape": [2]})}],
)
def test_a_foreign_file_is_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(3)}, path, metadata)
    with pytest.raises(ValueError, match=r"weights\.safetensors: not a saved projector"):
        CTProjector.load(path)


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\x80\x04\x95pickle"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "matrix.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"matrix\.safetensors: not a saved projector"):
        CTProjector.load(path)


def test_wrong_shapes_are_named() -> None:
    projector = CTProjector(GEOMETRIES[0], SQUARE)
    with pytest.raises(ValueError, match=r"CTProjector: the domain is \(\.\.\., 1, 24, 30\)"):
        projector(torch.zeros(2, 30, 24))
    with pytest.raises(ValueError, match="the range is"):
        projector.adjoint(torch.zeros(2, 9, 3))
