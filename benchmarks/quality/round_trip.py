"""What an autoencoder keeps of volumes: by joint decoding, by patches, and how visible its seams are.

Beside it what as many numbers could keep without a network, since scans differ in what can be left out of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch
from einops import rearrange
from torch import Tensor

from priors.diffusion.prior import LatentPrior
from recon.scan.padding import centre, pad_to_multiple
from recon.training.sources import TrainingVolume
from recon.training.validation import evaluate_network


@dataclass(frozen=True)
class RoundTrip:
    """One volume, encoded patch by patch.

    Attributes:
        case: its name.
        modality: CT or MR.
        psnr, ssim: the figures after joint decoding, in the metrics of the benchmarks.
        patch_psnr, patch_ssim: the figures after decoding patch by patch.
        seam, patch_seam: the ratios of :func:`seam_ratio` after joint decoding and patch by patch.
        linear_psnr: the PSNR of :func:`linear_codes` with the autoencoder's compression and channels.
    """

    case: str
    modality: str
    psnr: float
    ssim: float
    patch_psnr: float
    patch_ssim: float
    seam: float
    patch_seam: float
    linear_psnr: float


def measure(prior: LatentPrior, each: TrainingVolume) -> tuple[RoundTrip, Tensor, Tensor]:
    """The figures of one volume, and its (Z, X, Y) image after joint and after patch-wise decoding.

    For a prior that encodes images whole, cubes of the smallest edge that it can encode stand for the patches.
    """
    image, patch = each.volume.network(), prior.patch or prior.encoding_multiple
    joint, patches = through(prior, image), through_cubes(prior, image, patch)
    linear = linear_codes(image, prior.image_size((1, 1, 1))[0], prior.channels)
    figures = [evaluate_network(image, output, each.volume.modality) for output in (joint, patches, linear)]
    (psnr, ssim), (patch_psnr, patch_ssim), (linear_psnr, _) = (
        (float(f["psnr"] or 0), float(f["ssim"] or 0)) for f in figures
    )
    seam, patch_seam = (seam_ratio(image, output, patch) for output in (joint, patches))
    case = each.volume.case
    found = RoundTrip(case.id, case.modality, psnr, ssim, patch_psnr, patch_ssim, seam, patch_seam, linear_psnr)
    return found, joint, patches


def through(prior: LatentPrior, image: Tensor) -> Tensor:
    """A (Z, X, Y) image, encoded and decoded jointly, in its own size."""
    padded = pad_to_multiple(image, prior.encoding_multiple)
    return centre(prior.decode(prior.encode(padded[None, None]))[0, 0].cpu(), image.shape)


def through_cubes(prior: LatentPrior, image: Tensor, edge: int) -> Tensor:
    """A (Z, X, Y) image, encoded and decoded by cubes of ``edge`` voxels, each on its own, seams and all."""
    padded = pad_to_multiple(image, edge)
    grid = dict(zip("zxy", (size // edge for size in padded.shape), strict=True))
    cubes = rearrange(padded, "(z p) (x q) (y r) -> (z x y) 1 p q r", **grid, p=edge, q=edge, r=edge)
    decoded = torch.cat([prior.decode(prior.encode(cube)).cpu() for cube in cubes.split(1)])
    whole = rearrange(decoded, "(z x y) 1 p q r -> (z p) (x q) (y r)", **grid, p=edge, q=edge, r=edge)
    return centre(whole, image.shape)


def linear_codes(image: Tensor, edge: int, kept: int) -> Tensor:
    """What the best ``kept`` linear coefficients of every cube of ``edge`` voxels keep of an image.

    Principal components of the image's own cubes (Jolliffe 2002), not quantised: as many numbers as a latent of
    ``kept`` channels has, in full precision and fitted to this very case, but without knowing what lies around a cube.

    Args:
        image: (Z, X, Y).
        edge, kept: the edge of the cubes, and the coefficients kept of each; no more than a cube has voxels.

    Returns:
        (Z, X, Y).
    """
    padded = pad_to_multiple(image, edge)
    grid = dict(zip("zxy", (size // edge for size in padded.shape), strict=True))
    cubes = rearrange(padded, "(z p) (x q) (y r) -> (z x y) (p q r)", **grid, p=edge, q=edge, r=edge).double()
    mean = cubes.mean(0)
    cubes -= mean
    _, components = torch.linalg.eigh(cubes.T @ cubes)  # in rising order
    best = components[:, len(components) - kept :]
    near = (cubes @ best @ best.T + mean).to(image.dtype)
    whole = rearrange(near, "(z x y) (p q r) -> (z p) (x q) (y r)", **grid, p=edge, q=edge, r=edge)
    return centre(whole, image.shape)


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
    lines = [f"{'':34}{'joint: PSNR, SSIM, seam':>28}{'patches: PSNR, SSIM, seam':>30}{'gain (dB)':>12}{'linear':>9}"]
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


_FIGURES = ("psnr", "ssim", "patch_psnr", "patch_ssim", "seam", "patch_seam", "linear_psnr")


def _line(row: RoundTrip) -> str:
    joint = f"{row.psnr:.2f}  {row.ssim:.3f}  {row.seam:.2f}"
    patches = f"{row.patch_psnr:.2f}  {row.patch_ssim:.3f}  {row.patch_seam:.2f}"
    gain = row.psnr - row.patch_psnr
    return f"{row.case[-33:]:34}{joint:>28}{patches:>30}{gain:>12.2f}{row.linear_psnr:>9.2f}"


def as_dicts(rows: Sequence[RoundTrip]) -> list[dict[str, str | float]]:
    """For JSON."""
    return [asdict(row) for row in rows]
