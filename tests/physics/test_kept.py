"""A part of the data as an operator."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from operators import assert_operator, assert_slices

from physics.kept import Kept
from physics.mr.cartesian import CartesianMR

_SIZE = st.integers(1, 6)


@settings(deadline=None, max_examples=10)
@given(st.tuples(_SIZE, _SIZE, _SIZE, _SIZE), st.integers(0, 99))
def test_it_is_its_own_adjoint_and_keeps_slices_apart(shape: tuple[int, int, int, int], seed: int) -> None:
    mask = torch.rand(shape[2:], generator=torch.Generator().manual_seed(seed)) < 0.5
    mask[0, 0] = True
    operator = Kept(mask, shape, torch.complex128)
    assert_operator(operator, seed)
    assert_slices(operator)


def test_an_operator_with_fewer_data_is_that_of_the_smaller_mask() -> None:
    random = torch.Generator().manual_seed(0)
    mask, fewer = (torch.rand(6, 5, generator=random) < share for share in (0.8, 0.5))
    maps = torch.randn(2, 3, 6, 5, dtype=torch.complex64, generator=random)
    whole, part = CartesianMR(mask, maps), CartesianMR(mask & fewer, maps)
    x = torch.randn(2, 6, 5, dtype=torch.complex64, generator=random)
    torch.testing.assert_close((Kept(fewer, whole.range, whole.dtype) @ whole)(x), part(x))


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit data"):
        Kept(torch.ones(3, 3, dtype=torch.bool), (2, 1, 4, 3), torch.complex64)
