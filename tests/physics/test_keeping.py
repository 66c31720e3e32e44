"""The operator of a part of the data."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from operators import Weighting, assert_operator, assert_slices

from physics.mr.cartesian import CartesianMR

_SIZE = st.integers(1, 6)


@settings(deadline=None, max_examples=10)
@given(st.tuples(_SIZE, _SIZE, _SIZE), st.integers(0, 99))
def test_a_part_of_the_data_has_its_adjoint_and_keeps_slices_apart(shape: tuple[int, int, int], seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    kept = torch.rand(shape[1:], generator=random) < 0.5
    kept[0, 0] = True
    part = Weighting(torch.randn(shape, dtype=torch.complex128, generator=random)).keeping(kept)
    assert_operator(part, seed)
    assert_slices(part)
    assert not part(torch.ones(shape, dtype=torch.complex128))[:, ~kept].any()
    assert part.mask is not None
    assert torch.equal(part.mask, kept)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 99))
def test_a_part_of_kspace_is_the_encoding_of_a_smaller_mask(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    mask, fewer = (torch.rand(6, 5, generator=random) < share for share in (0.8, 0.5))
    mask[3, 2] = fewer[3, 2] = True
    maps = torch.randn(2, 3, 6, 5, dtype=torch.complex128, generator=random)
    part = CartesianMR(mask, maps).keeping(fewer)
    assert_operator(part, seed)
    x = torch.randn(2, 6, 5, dtype=torch.complex128, generator=random)
    torch.testing.assert_close(part(x), CartesianMR(mask, maps)(x) * fewer)


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit data"):
        Weighting(torch.ones(2, 4, 3)).keeping(torch.ones(3, 3, dtype=torch.bool))
