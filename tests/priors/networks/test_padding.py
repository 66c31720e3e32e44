"""Padding to the sizes of a network: what is added, how much, and that it can be taken off again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from priors.networks.padding import pad_to_multiple

EDGES = st.integers(1, 40)
MULTIPLES = st.integers(1, 32)


def mirrored(image: np.ndarray, before: tuple[int, int], after: tuple[int, int]) -> np.ndarray:
    """What NumPy makes of an image, an axis at a time."""
    for axis, (low, high) in enumerate(zip(before, after, strict=True), start=2):
        widths = [(0, 0)] * 4
        widths[axis] = (low, high)
        image = np.pad(image, widths, mode="reflect" if max(low, high) < image.shape[axis] else "edge")
    return image


@settings(deadline=None, max_examples=100)
@given(height=EDGES, width=EDGES, multiple=MULTIPLES)
def test_an_image_goes_on_as_its_mirror_image(height: int, width: int, multiple: int) -> None:
    image = torch.rand(2, 3, height, width)
    padded, (rows, columns) = pad_to_multiple(image, multiple)
    before = (rows.start, columns.start)
    after = (padded.shape[2] - rows.stop, padded.shape[3] - columns.stop)
    assert np.array_equal(padded.numpy(), mirrored(image.numpy(), before, after))


@settings(deadline=None, max_examples=100)
@given(height=EDGES, width=EDGES, multiple=MULTIPLES)
def test_no_more_is_added_than_must_be_and_equally_on_both_sides(height: int, width: int, multiple: int) -> None:
    image = torch.rand(1, 1, height, width)
    padded, inside = pad_to_multiple(image, multiple)
    assert torch.equal(padded[..., *inside], image)
    for given_edge, edge, kept in zip((height, width), padded.shape[2:], inside, strict=True):
        assert edge % multiple == 0
        assert edge - given_edge < multiple
        assert (edge - kept.stop) - kept.start in (0, 1)


def test_an_image_that_fits_stays_as_it_is() -> None:
    image = torch.rand(1, 2, 32, 48)
    padded, inside = pad_to_multiple(image, 16)
    assert torch.equal(padded, image)
    assert inside == (slice(0, 32), slice(0, 48))


def test_a_small_network_near_the_border_sees_what_it_would_see_of_a_larger_image() -> None:
    """A symmetric scene, of which the image is the right half: mirroring restores the left."""
    scene = torch.rand(1, 1, 16, 9)
    symmetric = torch.cat([scene[..., 1:].flip(-1), scene], dim=-1)
    kernel = torch.rand(1, 1, 3, 3)
    padded, inside = pad_to_multiple(scene, 16)
    expected = functional.conv2d(symmetric, kernel, padding=1)[..., 8:-1]
    assert torch.equal(functional.conv2d(padded, kernel, padding=1)[..., *inside][..., :-1], expected)


def test_gradients_come_back_through_the_padding() -> None:
    image = torch.rand(1, 1, 5, 7, requires_grad=True)
    pad_to_multiple(image, 8)[0].sum().backward()
    assert image.grad is not None
    assert float(image.grad.sum()) == 64, "every pixel of the padded image is a copy of one"


@pytest.mark.parametrize(
    ("shape", "multiple"),
    [((1, 1, 8, 8), 0), ((1, 1, 8, 8), -4), ((8, 8), 4), ((1, 8, 8), 4), ((1, 1, 4, 8, 8), 4), ((1, 1, 0, 8), 4)],
)
def test_what_is_no_batch_of_images_is_refused(shape: tuple[int, ...], multiple: int) -> None:
    with pytest.raises(ValueError, match=r"cannot pad a tensor .* \(B, C, H, W\) is wanted"):
        pad_to_multiple(torch.zeros(shape), multiple)
