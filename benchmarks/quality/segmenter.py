"""A small 3D U-Net that is trained on real volumes with their segmentations, to read the labels of generated ones.

It is a judge and no product: it never sees a generated volume, and its Dice on real volumes that it has not seen is
the most that a generated volume can be expected to reach.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.networks.unet3d import ResnetBlock
from recon.scan.units import hu_to_network

SOFT_TISSUE = (-160.0, 240.0)
"""The window in HU that the network is shown beside the whole range."""

_LEVELS = 3
_MULTIPLE = 2 ** (_LEVELS - 1)
_HALO = 16
_GROUPS = 4


class SegmentationUNet(nn.Module):
    """Residual blocks on three scales; in-plane voxels and slices are halved alike.

    Args:
        classes: the number of classes, background included.
        width: the channels of the finest scale; each coarser one has twice as many.
    """

    def __init__(self, classes: int, width: int = 8) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(_LEVELS)]
        self.first = nn.Conv3d(2, width, kernel_size=3, padding=1)
        self.down = nn.ModuleList(ResnetBlock(each, each, _GROUPS) for each in widths)
        self.halving = nn.ModuleList(
            nn.Conv3d(fine, coarse, kernel_size=2, stride=2) for fine, coarse in pairwise(widths)
        )
        self.doubling = nn.ModuleList(
            nn.ConvTranspose3d(coarse, fine, kernel_size=2, stride=2) for fine, coarse in pairwise(widths)
        )
        self.up = nn.ModuleList(ResnetBlock(2 * each, each, _GROUPS) for each in widths[:-1])
        self.last = nn.Conv3d(width, classes, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 2, Z, X, Y), edges multiples of 4, to logits (B, classes, Z, X, Y)."""
        x, skips = self.first(images), []
        for block, halve in zip(self.down, self.halving, strict=False):
            x = block(x)
            skips.append(x)
            x = halve(x)
        x = self.down[-1](x)
        for level in reversed(range(_LEVELS - 1)):
            x = self.up[level](torch.cat([self.doubling[level](x), skips[level]], dim=1))
        return self.last(x)


@dataclass(frozen=True)
class Example:
    """A real volume with its segmentation.

    Attributes:
        hu: (Z, X, Y) HU.
        classes: (Z, X, Y) indices of classes, 0 is background.
    """

    hu: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True)
class SegmenterTraining:
    """How the judge is trained.

    Attributes:
        steps: the number of steps.
        crop: the size (z, x, y) in voxels of a sample; volumes that are smaller are grown.
        batch: the samples of a step.
        width: the channels of the finest scale.
        rate: the learning rate at its peak.
        seed: the seed of weights and samples.
    """

    steps: int = 400
    crop: tuple[int, int, int] = (32, 64, 64)
    batch: int = 2
    width: int = 8
    rate: float = 4e-3
    seed: int = 0


def train_segmenter(
    examples: Sequence[Example],
    classes: int,
    training: SegmenterTraining,
    *,
    device: torch.device | str = "cpu",
    on_step: Callable[[int, int], None] | None = None,
) -> SegmentationUNet:
    """A network that is trained on crops, two of three around a label, with cross-entropy and Dice loss.

    Args:
        examples: real volumes with their segmentations.
        classes: the number of classes, background included.
        training: how it is trained.
        device: the device that computes.
        on_step: called with the steps that are done and all steps.

    Raises:
        ValueError: no example.
    """
    if not examples:
        raise ValueError("no real volume with a segmentation to train the segmenter on")
    with torch.random.fork_rng():
        torch.manual_seed(training.seed)
        network = SegmentationUNet(classes, training.width).to(device).train()
    random = np.random.Generator(np.random.PCG64(training.seed))
    places = [[np.argwhere(each.classes == k) for k in range(1, classes)] for each in examples]
    optimizer = torch.optim.AdamW(network.parameters(), lr=training.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, training.steps))
    for step in range(training.steps):
        drawn = [_crop(examples, places, training.crop, random) for _ in range(training.batch)]
        images, wanted = (torch.stack(each).to(device) for each in zip(*drawn, strict=True))
        loss = segmentation_loss(network(images), wanted)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if on_step:
            on_step(step + 1, training.steps)
    return network.eval()


def _rate(step: int, steps: int) -> float:
    """A warm-up over a tenth of the steps, then half a cosine."""
    warm = max(1, steps // 10)
    return min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps))))


def segmentation_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy plus one minus the mean soft Dice of the labels.

    Args:
        logits: (B, classes, Z, X, Y).
        wanted: (B, Z, X, Y) indices of classes.
    """
    entropy = functional.cross_entropy(logits, wanted)
    shares = logits.softmax(dim=1)[:, 1:]
    truth = functional.one_hot(wanted, logits.shape[1]).movedim(-1, 1)[:, 1:].float()
    overlap = (shares * truth).sum((0, 2, 3, 4))
    total = shares.sum((0, 2, 3, 4)) + truth.sum((0, 2, 3, 4))
    return entropy + 1 - ((2 * overlap + 1) / (total + 1)).mean()


def shown(hu: Tensor) -> Tensor:
    """(Z, X, Y) HU as the network sees it, (2, Z, X, Y): the whole range, and soft tissue."""
    low, high = SOFT_TISSUE
    return torch.stack([hu_to_network(hu), ((hu - low) / (high - low)).clamp(0, 1) * 2 - 1])


@torch.no_grad()
def segment(network: SegmentationUNet, hu: Tensor, tile: tuple[int, int, int] = (64, 128, 128)) -> np.ndarray:
    """The classes of a volume, (Z, X, Y) uint8; large volumes are read in overlapping tiles.

    Args:
        network: the trained network.
        hu: (Z, X, Y) HU.
        tile: the size (z, x, y) in voxels that is read at once, without its overlap.
    """
    device = next(network.parameters()).device
    found = np.zeros(tuple(hu.shape), np.uint8)
    for z in range(0, hu.shape[0], tile[0]):
        for x in range(0, hu.shape[1], tile[1]):
            for y in range(0, hu.shape[2], tile[2]):
                inner = tuple(
                    slice(at, min(at + edge, size)) for at, edge, size in zip((z, x, y), tile, hu.shape, strict=True)
                )
                outer = tuple(
                    slice(max(part.start - _HALO, 0), min(part.stop + _HALO, size))
                    for part, size in zip(inner, hu.shape, strict=True)
                )
                classes = _classes(network, hu[outer], device)
                own = tuple(slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))
                found[inner] = classes[own]
    return found


def _classes(network: SegmentationUNet, hu: Tensor, device: torch.device) -> np.ndarray:
    """The classes of a part of a volume, grown to what the network takes."""
    missing = [-size % _MULTIPLE for size in hu.shape]
    padding = [n for gap in reversed(missing) for n in (0, gap)]
    images = functional.pad(shown(hu), padding, mode="constant", value=-1.0)
    logits = network(images[None].to(device))[0]
    z, x, y = hu.shape
    return logits.argmax(0)[:z, :x, :y].to(torch.uint8).cpu().numpy()


def _crop(
    examples: Sequence[Example],
    places: Sequence[Sequence[np.ndarray]],
    crop: tuple[int, int, int],
    random: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """A crop of a random example, mirrored in half of the cases: (2, Z, X, Y) and classes (Z, X, Y)."""
    number = int(random.integers(len(examples)))
    example, own = examples[number], [each for each in places[number] if len(each)]
    middle = random.integers(example.hu.shape)
    if own and random.uniform() < 2 / 3:
        label = own[int(random.integers(len(own)))]
        middle = label[int(random.integers(len(label)))]
    box = []
    for at, edge, size in zip(middle, crop, example.hu.shape, strict=True):
        first = int(np.clip(at - edge // 2, 0, max(size - edge, 0)))
        box.append(slice(first, first + min(edge, size)))
    hu = torch.from_numpy(np.array(example.hu[tuple(box)], dtype=np.float32))
    classes = torch.from_numpy(np.array(example.classes[tuple(box)])).long()
    padding = [n for have, want in zip(reversed(hu.shape), reversed(crop), strict=True) for n in (0, want - have)]
    images, wanted = functional.pad(shown(hu), padding, value=-1.0), functional.pad(classes, padding)
    return (images.flip(2), wanted.flip(1)) if random.uniform() < 0.5 else (images, wanted)
