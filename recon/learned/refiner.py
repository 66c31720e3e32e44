"""The refiner of a head's samples: a network that sees the base image and a sample, slice by slice.

The autoencoder loses more of an image than is wrong in a good base image. So a sample serves better as advice on how to
change the base image than as an image with grey values of its own. The refiner is a U-Net from (base image, decoded
sample) to a change of the base image, trained on samples of its own head. It takes over what can be believed of a
sample; details that the autoencoder would lose stay in the base image. Where the base image is the mean of several
methods' images, the refiner also sees the image that the head was shown, which tells where the methods disagree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from priors.networks.unet2d import UNet2D
from priors.weights.card import read_card
from priors.weights.networks import load_network
from priors.weights.store import entries
from recon.errors import input_errors
from recon.learned.provenance import pinned_weights, told_of_other_weights
from recon.learned.slice_networks import run_slices

KIND = "refiner"
FILE_NAME = "refiner.safetensors"

START = 0.2
"""Share of the diffusion that is run for samples where nothing else is said, chosen on validation cases."""

PATTERN = 1.5
"""Pixels over which a pattern of period two is judged, see :func:`without_period_two`."""

NONE = "none"
"""In place of a file: do without."""


@dataclass(frozen=True)
class Refiner:
    """A refiner.

    Attributes:
        network: the refiner's network.
        sha256: the hash of its tensors.
        trained_with: the hashes of the networks that made the images of its training, as
            :func:`recon.learned.provenance.pinned_weights` reads them; None where its card does not say.
        start: the share of the diffusion that was run for the samples of its training.
    """

    network: UNet2D
    sha256: str
    trained_with: Mapping[str, str] | None = None
    start: float = START

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return next(self.network.parameters()).device

    def notices(self, shown: Mapping[str, str]) -> tuple[str, ...]:
        """What to tell where images are made by other networks, ``shown``, than in the refiner's training."""
        return told_of_other_weights("the refiner", self.trained_with, shown)

    def to(self, device: torch.device | str) -> Refiner:
        """Move the network; returns itself."""
        self.network.to(device)
        return self

    def refined(self, images: Tensor, turn: int = 0, on_progress: Callable[[int, int], None] | None = None) -> Tensor:
        """A better base image, (Z, X, Y) in the network range, on the CPU.

        Every turn looks at the images in another way, so that what the network gets wrong adds up less: every second
        one at mirror images, and of each four two at images moved by a pixel. Up-sampling that is not anti-aliased
        doubles pixels, which leaves stripes and checkerboards of period two (Odena et al. 2016), and turns add them up;
        they are taken out.

        Args:
            images: (n, Z, X, Y) base image, sample, and the image that the head was shown; the network takes as many
                of them, from the first, as it has input channels.
            turn: the number of the turn of refiner and data-consistency step, from 0.
            on_progress: called with the slices done and all slices.
        """
        seen = images[: self.network.config.in_channels]
        mirrored, moved = turn % 2 == 1, turn // 2 % 2
        if mirrored:
            seen = seen.flip(2)
        better = run_slices(self.network, seen.roll(moved, 2), on_progress=on_progress).roll(-moved, 1)
        if mirrored:
            better = better.flip(1)
        if self.network.config.anti_aliased:
            return better
        base_image = images[0].cpu().float()
        return base_image + without_period_two(better - base_image)


def without_period_two(change: Tensor, width: float = PATTERN) -> Tensor:
    """A change of an image without what alternates from pixel to pixel along either axis or both.

    Args:
        change: (Z, X, Y).
        width: standard deviation in pixels of the places that are judged together; narrower takes out more.
    """
    gaussians = []
    for size in change.shape[1:]:
        frequency = torch.fft.fftfreq(size).abs()
        gaussians.append([torch.exp(-2 * (math.pi * width * (frequency - at)) ** 2) for at in (0.0, 0.5)])
    (low_x, high_x), (low_y, high_y) = gaussians
    pattern = torch.outer(high_x, low_y) + torch.outer(low_x, high_y) + torch.outer(high_x, high_y)
    return torch.fft.ifft2(torch.fft.fft2(change) * (1 - pattern.clamp_max(1))).real


def load_refiner(given: str, head: Path, head_hash: str) -> Refiner | None:
    """The refiner of a head; None where there is none, or none is wanted.

    Args:
        given: a file, ``none``, or empty: the one beside the head, named ``refiner`` or like the head and
            ``-refiner``, or among the installed weights that was made for it.
        head: the head's file.
        head_hash: the hash of the head's tensors.

    Raises:
        InputError: no refiner, a damaged one, or one that was trained on another head's samples.
    """
    path = refiner_path(given, head, head_hash)
    if path is None:
        return None
    with input_errors("`refiner`"):
        network, card = load_network(path, KIND), read_card(path)
        if card.extra.get("head") != head_hash:
            raise ValueError(f"{path}: not made for the head {head_hash[:12]}; another file, or 'none'")
        return Refiner(network.eval(), card.sha256, pinned_weights(card.extra), _start(card.extra))


def _start(extra: Mapping[str, Any]) -> float:
    """The start that a card says its samples had; ``ValueError`` for what is no share."""
    sampling = extra.get("sampling", {})
    start = sampling.get("start", START) if isinstance(sampling, Mapping) else None
    if not isinstance(start, int | float) or not 0 < start <= 1:
        raise ValueError(f"its header is damaged: sampling is {sampling!r}")
    return float(start)


def refiner_path(given: str, head: Path, head_hash: str) -> Path | None:
    """The file that :func:`load_refiner` loads; arguments as there."""
    if given == NONE:
        return None
    return Path(given) if given else next(_made_for(head, head_hash), None)


def _made_for(head: Path, head_hash: str) -> Iterator[Path]:
    beside = (head.parent / FILE_NAME, head.with_name(f"{head.stem}-{FILE_NAME}"))
    for path in (*beside, *(entry.path for entry in entries())):
        try:
            card = read_card(path)
        except (OSError, ValueError):
            continue  # 'recon weights list' shows damaged files
        if card.kind == KIND and card.extra.get("head") == head_hash:
            yield path
