"""The steps of total variation, compiled and by torch: the same, whatever the shape, the slabs and the threads."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from recon.solvers import tv_steps

SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 19))


def drawn(shape: tuple[int, int, int], seed: int, kind: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """An image, a gradient of the data's term, a field that is 0 at the far edges, and steps."""
    numbers = torch.Generator().manual_seed(seed)
    x, ahead = torch.rand(2, *shape, generator=numbers, dtype=kind)
    field = torch.randn(3, *shape, generator=numbers, dtype=kind)
    field[0, -1], field[1, :, -1], field[2, :, :, -1] = 0, 0, 0
    return x, ahead, field, torch.rand(1 + seed % 2 * (shape[0] - 1), *shape[1:], generator=numbers, dtype=kind)


@given(shape=SHAPES, seed=st.integers(0, 9), kind=st.sampled_from([torch.float32, torch.float64]))
@settings(deadline=None, max_examples=30)
def test_compiled_and_torch_steps_are_the_same(shape: tuple[int, int, int], seed: int, kind: torch.dtype) -> None:
    weights = (0.3, 1.0, 0.7)
    x, ahead, field, step = drawn(shape, seed, kind)
    other_x, other_ahead, other_field = x.clone(), ahead.clone(), field.clone()
    change = tv_steps.primal_step(x, ahead, field, step, weights)
    moved, square = tv_steps._primal_step(other_x, other_ahead, other_field, step, weights)
    assert change == pytest.approx((moved / square) ** 0.5, rel=1e-4)
    torch.testing.assert_close(x, other_x)
    torch.testing.assert_close(ahead, other_ahead)
    tv_steps.field_step(field, ahead, 0.4, 0.8, weights)
    tv_steps._field_step(other_field, other_ahead, 0.4, 0.8, weights)
    torch.testing.assert_close(field, other_field)


def test_an_image_of_nothing_has_changed_wholly() -> None:
    nothing = torch.zeros(2, 3, 4)
    assert (
        tv_steps.primal_step(nothing, nothing.clone(), torch.zeros(3, 2, 3, 4), torch.ones(1, 3, 4), (1, 1, 1)) == 1.0
    )


@pytest.mark.parametrize("elements", [1, 2 * 72, 10**6])
def test_neither_slabs_nor_threads_show(monkeypatch: pytest.MonkeyPatch, elements: int) -> None:
    x, ahead, field, step = drawn((5, 8, 9), 1, torch.float64)
    whole = x.clone(), ahead.clone(), field.clone()
    tv_steps.primal_step(whole[0], whole[1], whole[2], step, (0.5, 1.0, 1.0))
    tv_steps.field_step(whole[2], whole[1], 0.4, 0.8, (0.5, 1.0, 1.0))
    monkeypatch.setattr(tv_steps, "_SLAB_ELEMENTS", elements)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for steps in (tv_steps.primal_step, tv_steps._primal_step):
        found = x.clone(), ahead.clone(), field.clone()
        steps(found[0], found[1], found[2], step, (0.5, 1.0, 1.0))
        dual = tv_steps.field_step if steps is tv_steps.primal_step else tv_steps._field_step
        dual(found[2], found[1], 0.4, 0.8, (0.5, 1.0, 1.0))
        for each, other in zip(found, whole, strict=True):
            torch.testing.assert_close(each, other)
