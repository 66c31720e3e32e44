"""From a segmentation to a head's hint on the latent's grid, such that small lesions survive.

Latent voxels are several voxels wide. Nearest-neighbour sampling would drop lesions smaller than that and shift
borders, so each latent voxel is told the share of each label in it, or all of its voxels, or, as 3D MedDiffusion has
it ("encode the task-specific condition into this space", section III-C), grey values go through the autoencoder.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recon.learned.mask_task import MaskTask


def classes_of(labels: Tensor, task: MaskTask) -> Tensor:
    """Labels as indices of the task's classes, uint8 of the same shape; labels that the task does not know are 0.

    Args:
        labels: integers as segmentations have them.
        task: the labels that the head knows.
    """
    indices = torch.zeros_like(labels, dtype=torch.uint8)
    for index, number in enumerate(task.numbers):
        indices[labels == number] = index
    return indices


def with_body(classes: Tensor, body: np.ndarray, task: MaskTask) -> Tensor:
    """The classes with the task's body where there is no label.

    Args:
        classes: indices of the task's classes.
        body: the mask of the body, boolean, of the same shape.
        task: a task that knows the body.
    """
    assert task.body is not None, "the head is not told the body's outline"
    filled = classes.clone()
    filled[(classes == 0) & torch.from_numpy(body)] = task.numbers.index(task.body)
    return filled


def fractions(classes: Tensor, count: int, factor: int) -> Tensor:
    """The share of each class in each latent voxel, (count, z, x, y) float32.

    Args:
        classes: (Z, X, Y) indices of classes, every edge a multiple of ``factor``.
        count: the number of classes.
        factor: the edge of a latent voxel in voxels.
    """
    return torch.cat([functional.avg_pool3d((classes == k).float()[None], factor) for k in range(count)])


def subvoxels(classes: Tensor, count: int, factor: int) -> Tensor:
    """The voxels of each class as channels, (count · factor³, z, x, y) float32 of 0 and 1; the arguments of
    :func:`fractions`."""
    z, x, y = (size // factor for size in classes.shape)
    cells = classes.reshape(z, factor, x, factor, y, factor).permute(1, 3, 5, 0, 2, 4).reshape(factor**3, z, x, y)
    return torch.cat([(cells == k).float() for k in range(count)])


def grey(classes: Tensor, count: int) -> Tensor:
    """Classes as grey values from -1, the background, to 1, the last label; float32 of the same shape."""
    return torch.linspace(-1, 1, count)[classes.long()]


def hint_of(task: MaskTask, classes: Tensor, factor: int, encode: Callable[[Tensor], Tensor]) -> Tensor:
    """The hint that a head of a task is shown, (hint channels, z, x, y) float32.

    Args:
        task: the labels that the head knows, and the way of pooling.
        classes: (Z, X, Y) indices of the task's classes, of a size that the prior takes.
        factor: the edge of a latent voxel in voxels.
        encode: the prior's encoder, from a (Z, X, Y) image to its latent (C, z, x, y).
    """
    count = len(task.numbers)
    if task.pooling == "paper":
        return encode(grey(classes, count)).float().cpu()
    return (fractions if task.pooling == "fractions" else subvoxels)(classes, count, factor)
