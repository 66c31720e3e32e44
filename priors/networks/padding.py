"""Bring images to a size that a network can take, and its output back."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

Inside = tuple[slice, slice]
"""Rows and columns of a padded image that were there before."""


def pad_to_multiple(image: Tensor, multiple: int) -> tuple[Tensor, Inside]:
    """Pad an image on all sides until both edges are multiples of what a network needs.

    It goes on as its mirror image, which has no edge that a network could take for anatomy; an axis too short for
    that repeats its last pixels.

    Args:
        image: (B, C, H, W).
        multiple: the number of pixels that divides both edges.

    Returns:
        The padded image, and where the given one lies in it: ``network(padded)[..., *inside]``.

    Raises:
        ValueError: the multiple is below 1, or the tensor is no batch of images.
    """
    if multiple < 1 or image.ndim != 4 or not image.numel():
        raise ValueError(f"cannot pad a tensor {tuple(image.shape)} to multiples of {multiple}; (B, C, H, W) is wanted")
    (top, bottom), (left, right) = (_sides(pixels, multiple) for pixels in image.shape[2:])
    inside = (slice(top, top + image.shape[2]), slice(left, left + image.shape[3]))
    rows = functional.pad(image, (0, 0, top, bottom), _mode(image.shape[2], bottom))
    return functional.pad(rows, (left, right, 0, 0), _mode(image.shape[3], right)), inside


def _sides(pixels: int, multiple: int) -> tuple[int, int]:
    missing = -pixels % multiple
    return missing // 2, missing - missing // 2


def _mode(pixels: int, wider: int) -> str:
    return "reflect" if wider < pixels else "replicate"
