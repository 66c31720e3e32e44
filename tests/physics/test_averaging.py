"""Means over the pixels of a coarser grid."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from operators import assert_operator, assert_slices

from physics.averaging import AreaAverage

_SIZE = st.integers(1, 9)


@settings(deadline=None, max_examples=10)
@given(few=st.tuples(_SIZE, _SIZE), more=st.tuples(_SIZE, _SIZE), seed=st.integers(0, 99))
def test_adjoint_is_exact_and_the_whole_keeps_its_mean(few, more, seed):
    fine = (few[0] + more[0], few[1] + more[1])
    average = AreaAverage(fine, few, 2)
    assert_operator(average, seed)
    assert_slices(average)
    x = torch.randn(2, *fine, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert torch.allclose(average(x).mean((1, 2)), x.mean((1, 2)), rtol=1e-10, atol=1e-10)


def test_whole_ratios_are_means_of_blocks():
    x = torch.arange(24.0).reshape(1, 4, 6)
    assert torch.allclose(AreaAverage((4, 6), (2, 3))(x), torch.nn.functional.avg_pool2d(x[:, None], 2)[:, 0])


def test_a_pixel_that_an_edge_cuts_counts_by_its_share():
    mean = AreaAverage((1, 3), (1, 2))(torch.tensor([[[0.0, 3.0, 6.0]]]))
    assert torch.allclose(mean, torch.tensor([[[1.0, 5.0]]]))


def test_a_finer_result_is_refused():
    with pytest.raises(ValueError, match="1 to"):
        AreaAverage((4, 4), (4, 5))
