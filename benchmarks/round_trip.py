"""What an autoencoder keeps of volumes: by joint decoding, by patches, and how visible its seams are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from priors.autoencoder import PatchVolumeAutoencoder
from recon.training.sources import TrainingVolume
from recon.training.validation import evaluate_network, patchwise_round_trip, round_trip


@dataclass(frozen=True)
class RoundTrip:
    """One volume, encoded patch by patch.

    Attributes:
        case: its name.
        modality: CT or MR.
        psnr, ssim: after joint decoding, in the metrics of the benchmarks.
        patch_psnr, patch_ssim: after decoding patch by patch.
        seam, patch_seam: see :func:`seam_ratio`; likewise.
    """

    case: str
    modality: str
    psnr: float
    ssim: float
    patch_psnr: float
    patch_ssim: float
    seam: float
    patch_seam: float


def measure(network: PatchVolumeAutoencoder, each: TrainingVolume) -> tuple[RoundTrip, Tensor, Tensor]:
    """The figures of one volume, and its (Z, X, Y) image after joint and after patch-wise decoding."""
    image = each.volume.network()
    joint, patches = round_trip(network, image), patchwise_round_trip(network, image)
    figures = [evaluate_network(image, output, each.volume.modality) for output in (joint, patches)]
    (psnr, ssim), (patch_psnr, patch_ssim) = ((float(f["psnr"] or 0), float(f["ssim"] or 0)) for f in figures)
    seams = [seam_ratio(image, output, network.config.patch) for output in (joint, patches)]
    case = each.volume.case
    found = RoundTrip(case.id, case.modality, psnr, ssim, patch_psnr, patch_ssim, *seams)
    return found, joint, patches


def seam_ratio(image: Tensor, output: Tensor, patch: int) -> float:
    """How much more the error jumps across the borders of patches than elsewhere; 1 without seams.

    Args:
        image, output: (Z, X, Y), which patches cover from the middle, as the autoencoder pads them.
        patch: edge in voxels.

    Returns:
        Mean absolute difference of the error between neighbours on two sides of a border, over that of all other
        neighbours; 1 where there is no border.
    """
    error = output - image
    across, within = [], []
    for axis, size in enumerate(error.shape):
        jumps = error.diff(dim=axis).abs().movedim(axis, 0).flatten(1).mean(1)
        before = (-size % patch) // 2  # of the padding
        border = (torch.arange(1, size) + before) % patch == 0
        across.append(jumps[border])
        within.append(jumps[~border])
    if not any(map(len, across)):
        return 1.0
    return float(torch.cat(across).mean() / torch.cat(within).mean().clamp_min(1e-12))


def table(rows: Sequence[RoundTrip]) -> list[str]:
    """Lines for the terminal: each case, and the mean of each modality where it has several."""
    lines = [f"{'':34}{'joint: PSNR, SSIM, seam':>28}{'patches: PSNR, SSIM, seam':>30}{'gain (dB)':>12}"]
    lines += [_line(row) for row in rows]
    for modality in sorted({row.modality for row in rows}):
        own = [row for row in rows if row.modality == modality]
        if len(own) > 1:
            lines.append(_line(_mean(own, f"mean of {len(own)}, {modality}")))
    return lines


def _mean(rows: Sequence[RoundTrip], name: str) -> RoundTrip:
    def mean(value: Callable[[RoundTrip], float]) -> float:
        return sum(map(value, rows)) / len(rows)

    numbers = {key: mean(lambda row, key=key: getattr(row, key)) for key in _FIGURES}  # type: ignore[misc]
    return RoundTrip(name, rows[0].modality, **numbers)


_FIGURES = ("psnr", "ssim", "patch_psnr", "patch_ssim", "seam", "patch_seam")


def _line(row: RoundTrip) -> str:
    joint = f"{row.psnr:.2f}  {row.ssim:.3f}  {row.seam:.2f}"
    patches = f"{row.patch_psnr:.2f}  {row.patch_ssim:.3f}  {row.patch_seam:.2f}"
    return f"{row.case[-33:]:34}{joint:>28}{patches:>30}{row.psnr - row.patch_psnr:>12.2f}"


def as_dicts(rows: Sequence[RoundTrip]) -> list[dict[str, str | float]]:
    """For JSON."""
    return [asdict(row) for row in rows]
