"""The window of the networks: everything denser than air is in it, and its edges are what the networks take."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from recon.scan.body_window import body_window, placed


@given(
    st.tuples(st.integers(20, 90), st.integers(20, 90)),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=4),
    st.sampled_from([8, 16, 32]),
)
def test_it_holds_what_is_dense_and_no_more_than_it_must(size, dense, multiple):
    image = torch.full((3, *size), -1.0)
    for number, (x, y) in enumerate(dense):
        image[number % 3, x % size[0], y % size[1]] = 0.1
    window = body_window(image, "CT", multiple)
    assert int((image[:, window[0], window[1]] > 0).sum()) == int((image > 0).sum())
    for axis, (each, edge) in enumerate(zip(window, size, strict=True)):
        extent = each.stop - each.start
        assert 0 <= each.start < each.stop <= edge
        assert extent == edge or extent % multiple == 0
        places = [(point[axis]) % edge for point in dense]
        assert extent <= max(places) - min(places) + 13 + multiple


def test_air_alone_and_mr_keep_the_whole_slice():
    image = torch.full((2, 64, 48), -1.0)
    assert body_window(image, "CT", 8) == (slice(0, 64), slice(0, 48))
    image[0, 30, 30] = 1
    assert body_window(image, "MR", 8) == (slice(0, 64), slice(0, 48))
    assert body_window(image, "CT", 8) == (slice(22, 38), slice(22, 38))


def test_a_part_goes_back_to_its_place():
    window = (slice(3, 7), slice(0, 5))
    whole = placed(torch.ones(2, 4, 5), window, torch.Size((2, 10, 6)))
    assert float(whole.sum()) == 40
    assert float(whole[:, window[0], window[1]].sum()) == 40
