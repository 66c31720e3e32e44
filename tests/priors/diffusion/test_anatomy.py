"""The table of classes."""

from __future__ import annotations

import pytest

from priors.diffusion.anatomy import CLASSES, find_class

LATENTS_8X = {
    "CTHeadNeck": [(32, 32, 32), (16, 32, 32)],
    "CTChestAbdomen": [(32, 32, 32), (64, 64, 64)],
    "CTLegs": [(32, 32, 32), (64, 32, 32)],
    "MRT1Brain": [(24, 24, 24)],
    "MRT2Brain": [(24, 24, 24)],
    "MRAbdomen": [(16, 32, 32)],
    "MRKnee": [(8, 40, 40)],
}


def test_the_released_classes_and_their_latents() -> None:
    assert [anatomy.name for anatomy in CLASSES] == list(LATENTS_8X)
    assert [anatomy.index for anatomy in CLASSES] == list(range(7))
    for anatomy in CLASSES:
        assert anatomy.modality == anatomy.name[:2]
        assert [grid.latent_size(8) for grid in anatomy.grids] == LATENTS_8X[anatomy.name]
        doubled = [tuple(2 * n for n in latent) for latent in LATENTS_8X[anatomy.name]]
        assert [grid.latent_size(4) for grid in anatomy.grids] == doubled


def test_every_size_is_one_that_both_released_networks_can_have() -> None:
    for grid in (grid for anatomy in CLASSES for grid in anatomy.grids):
        assert all(n % 64 == 0 for n in grid.size)
        assert all(0 < millimetres <= 2 for millimetres in grid.spacing)


@pytest.mark.parametrize("name", ["MRKnee", "mrknee", "MRKNEE"])
def test_names_in_any_case(name: str) -> None:
    assert find_class(name).index == 6


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no class 'CTChest'; one of CTHeadNeck, CTChestAbdomen, .*, MRKnee$"):
        find_class("CTChest")


def test_the_nearest_grid_by_size() -> None:
    chest = find_class("CTChestAbdomen")
    assert chest.grid_near((512, 512, 512)).spacing == (1, 0.7, 0.7)
    assert chest.grid_near((256, 512, 512)).spacing == (1, 0.7, 0.7)
    assert chest.grid_near((64, 256, 256)).spacing == (1.25, 1.25, 1.25)
    assert find_class("MRAbdomen").grid_near((64, 64, 64)).spacing == (2, 1.2, 1.2)  # z, x, y
