"""What MAISI's U-Net is told beside latent and time: regions of the body, voxel size, modality.

The region inputs of the first generation are one-hot vectors over head and neck, chest, abdomen and lower body, for the
topmost and the lowest region of the volume. The second generation has a number for the modality instead. Regions and
voxel size are multiplied by 100, as the official scripts do.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from priors.networks.maisi.config import MaisiUNetConfig

FACTOR = 100.0
"""The factor on regions and voxel sizes."""

REGIONS: dict[str, tuple[int, int]] = {"CTHeadNeck": (0, 0), "CTChestAbdomen": (1, 2), "CTLegs": (3, 3)}
"""Topmost and lowest region of each class that has them; there are none of MR volumes."""

MODALITIES: dict[str, int] = {
    "CTHeadNeck": 1,
    "CTChestAbdomen": 1,
    "CTLegs": 1,
    "MRT1Brain": 9,
    "MRT2Brain": 11,  # this class is FLAIR
    "MRAbdomen": 8,
    "MRKnee": 8,
}
"""The number of each class among the official modalities; classes of one modality are told apart by nothing else."""


def check_told_apart(config: MaisiUNetConfig, names: Sequence[str]) -> None:
    """Refuse classes that a network cannot be told, or that it would be told the same of.

    Args:
        config: the network's sizes.
        names: the classes that it is to learn.

    Raises:
        ValueError: such a class; the line says what would be right.
    """
    if config.regions and (strange := [name for name in names if name not in REGIONS]):
        raise ValueError(
            f"MAISI's regions are of CT, and {strange[0]} has none; take `network.regions` false for one class alone"
        )
    told = [(REGIONS.get(name) if config.regions else None, _modality(config, name)) for name in names]
    if len(set(told)) < len(names):
        raise ValueError(
            f"MAISI would be told the same of {', '.join(names)}; train each on its own, or tell it regions (CT) or "
            "classes (`network.classes` 128)"
        )


def told(config: MaisiUNetConfig, names: Sequence[str], voxel_size: Tensor) -> dict[str, Tensor]:
    """The U-Net's other inputs by the library's names.

    Args:
        config: the network's sizes, which say what it is told.
        names: the class of each sample.
        voxel_size: (B, 3), the voxel size (z, x, y) of each in mm, on the device of the network.

    Raises:
        ValueError: a class without regions, for a network that is told regions.
    """
    device = voxel_size.device
    inputs: dict[str, Tensor] = {}
    if config.regions:
        check_told_apart(config, sorted(set(names)))
        regions = torch.tensor([REGIONS[name] for name in names], device=device)
        top, bottom = (FACTOR * functional.one_hot(regions, 4).float()).unbind(1)
        inputs |= {"top_region_index_tensor": top, "bottom_region_index_tensor": bottom}
    if config.spacing:
        inputs["spacing_tensor"] = FACTOR * voxel_size.roll(-1, 1)  # theirs is (x, y, z)
    return inputs | told_head(config, names, device)


def told_head(config: MaisiUNetConfig, names: Sequence[str], device: torch.device) -> dict[str, Tensor]:
    """The part of :func:`told` that a ControlNet is told too: the modality."""
    if not config.classes:
        return {}
    return {"class_labels": torch.tensor([_modality(config, name) for name in names], device=device)}


def _modality(config: MaisiUNetConfig, name: str) -> int:
    """The number of a class's modality; 0 for a network that is told none or has too few."""
    return MODALITIES[name] if MODALITIES[name] < config.classes else 0


def label_bits(labels: Tensor) -> Tensor:
    """A label map (B, 1, ...) of numbers 0 to 255 as its eight bits (B, 8, ...), the least significant first."""
    bits = torch.arange(8, device=labels.device).view(1, 8, *[1] * (labels.ndim - 2))
    return ((labels.long() >> bits) & 1).float()
