"""Segmentations on the latent's grid: small lesions survive, and nothing is shifted."""

from __future__ import annotations

import numpy as np
import torch

from recon.diffusion.mask_hint import classes_of, fractions, grey, hint_of, subvoxels, with_body
from recon.learned.mask_task import mask_task

TASK = mask_task({1: "kidney", 2: "tumour"})


def test_a_lesion_of_one_voxel_survives():
    labels = torch.zeros(8, 8, 8, dtype=torch.uint8)
    labels[1:7, 1:7, 1:7] = 1
    labels[2, 3, 6] = 2
    classes = classes_of(labels, TASK)
    shares = fractions(classes, 4, 4)
    tumour = TASK.numbers.index(2)
    assert shares.shape == (4, 2, 2, 2)
    assert float(shares[tumour, 0, 0, 1]) == 1 / 64
    assert int((shares[tumour] > 0).sum()) == 1
    assert torch.allclose(shares.sum(0), torch.ones(2, 2, 2))
    cells = subvoxels(classes, 4, 4)
    assert cells.shape == (256, 2, 2, 2)
    assert int(cells[64 * tumour : 64 * tumour + 64].sum()) == 1


def test_subvoxels_lose_nothing():
    classes = torch.randint(0, 3, (4, 8, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    cells = subvoxels(classes, 3, 4).reshape(3, 4, 4, 4, 1, 2, 3)
    back = cells.permute(0, 4, 1, 5, 2, 6, 3).reshape(3, 4, 8, 12).argmax(0)
    assert (back == classes).all()
    assert torch.allclose(cells.mean((1, 2, 3)), fractions(classes, 3, 4))


def test_grey_values_go_through_the_encoder():
    classes = torch.tensor([[[0, 1, 2, 3]]], dtype=torch.uint8)
    assert grey(classes, 4).flatten().tolist() == torch.linspace(-1, 1, 4).tolist()
    hint = hint_of(mask_task({1: "a", 2: "b"}, pooling="paper"), classes, 4, lambda image: image[None] + 1)
    assert float(hint.max()) == 2


def test_labels_that_the_head_does_not_know_are_background_or_body():
    labels = torch.tensor([[[0, 1, 9]]])
    classes = classes_of(labels, TASK)
    assert classes.flatten().tolist() == [0, 2, 0]
    filled = with_body(classes, np.array([[[False, True, True]]]), TASK)
    assert filled.flatten().tolist() == [0, 2, 1]
