"""Segmentations on the grid of their volumes, and the outline of the body."""

from __future__ import annotations

import numpy as np
import torch

from recon.scan.body_mask import body_mask
from recon.scan.label_map import LabelMap
from recon.scan.volume import Volume


def test_a_map_on_a_coarser_shifted_grid_is_resampled_by_nearest_neighbour():
    coarse = torch.zeros(2, 2, 2, dtype=torch.uint8)
    coarse[1, 0, 1] = 7
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = 1.0  # the centre of the first coarse voxel lies between the first two fine ones
    fine = Volume(torch.zeros(4, 4, 4), np.diag([2.0, 2.0, 2.0, 1.0]), "CT")
    found = LabelMap(coarse, affine).on_grid_of(fine)
    wanted = torch.zeros(4, 4, 4, dtype=torch.uint8)
    wanted[2:, :2, 2:] = 7
    assert (found.data == wanted).all()
    assert found.is_on_grid_of(fine)
    assert found.labels == (7,)


def test_a_map_beside_the_volume_is_background():
    far = np.eye(4)
    far[:3, 3] = 100
    found = LabelMap(torch.ones(2, 2, 2, dtype=torch.uint8), far).on_grid_of(
        Volume(torch.zeros(3, 3, 3), np.eye(4), "CT")
    )
    assert not found.data.any()


def test_the_body_is_the_largest_part_with_what_it_surrounds():
    hu = torch.full((3, 12, 12), -1000.0)
    hu[:, 1:9, 1:9] = 40.0
    hu[:, 3:6, 3:6] = -850.0  # a lung
    hu[:, 11, :] = -200.0  # the table
    body = body_mask(hu)
    assert body[:, 1:9, 1:9].all()
    assert not body[:, 9:].any()
    assert body.sum() == 3 * 64
    assert not body_mask(torch.full((2, 3, 3), -1000.0)).any()
