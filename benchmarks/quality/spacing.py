"""What an implicit decoder is worth at voxel sizes of any ratio, beside interpolation of the usual output.

Held-out volumes are coarsened by two, so that finer voxels have a truth, and encoded. The autoencoder's usual output is
interpolated to other voxel sizes, and the implicit decoder decodes at them. Where voxels are coarser, the
interpolations are anti-aliased, as the truth is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.quality.radial_power import Band, bands
from priors.diffusion.patch_volume import PatchVolumePrior
from priors.networks.implicit_decoder import ImplicitDecoder
from priors.networks.implicit_streaming import fill_grid, mixed_features
from priors.networks.resampling import Axis, axis_over, weighted, weights
from recon.errors import InputError
from recon.metrics import psnr
from recon.scan.padding import pad_to_multiple
from recon.training.coarse_pairs import Coarsening, coarse_image, coarsening
from recon.training.prepared import Prepared

Announce = Callable[[str], None]

WAYS = ("linear", "cubic", "implicit")
"""The ways to voxels of another size: trilinear and cubic interpolation of the usual output; the implicit decoder."""

_BAND = 0.25
"""The width of a band of the spectrum, in units of the coarse grid's Nyquist frequency."""

_RANGE = 2.0
"""The width of the network range, to which volumes are clipped; for CT that of -1000 to 1000 HU."""


@dataclass(frozen=True)
class Wanted:
    """What is measured.

    Attributes:
        prior: the prior whose autoencoder the decoder was trained on.
        decoder: the implicit decoder.
        volumes: the held-out volumes.
        scales: the edges of the output's voxels, in voxels of the coarsened volumes.
        longest: the longest edge in mm that coarsening may give a voxel.
        depth: the largest number of slices of a coarsened volume; None takes all.
    """

    prior: PatchVolumePrior
    decoder: ImplicitDecoder
    volumes: Sequence[Prepared]
    scales: Sequence[float]
    longest: float
    depth: int | None = None


@dataclass(frozen=True)
class ScaleRow:
    """One volume at one scale.

    Attributes:
        case: the volume's name.
        scale: the edge of the output's voxels that was asked for, in voxels of the coarsened volume.
        cells: the edges (z, x, y); an axis that could not be coarsened has no finer voxels than the volume's own.
        spacing_mm: the output's voxel size (z, x, y) in mm.
        learned: whether the decoder learned voxels of such edges.
        psnr: the PSNR in dB of each way.
        spectrum: the power of each way above the Nyquist frequency of the coarsened volume; empty where the output's
            voxels are no finer.
    """

    case: str
    scale: float
    cells: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    learned: bool
    psnr: dict[str, float]
    spectrum: dict[str, list[Band]]

    @property
    def gain(self) -> float:
        """The PSNR of the implicit decoder above that of cubic interpolation, in dB."""
        return self.psnr["implicit"] - self.psnr["cubic"]


Picture = dict[str, Tensor]
"""An axial slice (X, Y) of the truth and of each way, at the finest scale."""


def measure(wanted: Wanted, announce: Announce) -> tuple[list[ScaleRow], list[tuple[str, Picture]]]:
    """Every volume at every scale, and for each volume slices at the finest scale.

    Raises:
        InputError: a scale that is finer than what is known of the volumes, or that no grid can have.
    """
    rows, pictures = [], []
    for volume in wanted.volumes:
        own, picture = _measure_volume(wanted, volume, announce)
        rows += own
        pictures.append((volume.case.id, picture))
    return rows, pictures


@torch.no_grad()
def _measure_volume(wanted: Wanted, volume: Prepared, announce: Announce) -> tuple[list[ScaleRow], Picture]:
    how = coarsening(volume, wanted.longest, wanted.depth)
    fine = volume.network((how.planes, slice(None), slice(None)))
    coarse = coarse_image(volume, how)
    net, device = wanted.prior.autoencoder, wanted.prior.device
    padded = pad_to_multiple(coarse, net.config.patch)
    z = net.patch_encode(padded[None, None].to(device))
    chunks = list(mixed_features(net, wanted.decoder, z))
    usual = torch.cat([chunk[0] for chunk in chunks]).float().cpu()
    rows: list[ScaleRow] = []
    picture: Picture = {}
    for scale in sorted(wanted.scales):
        axes, cells = _grid(how, scale)
        positions = [axis.positions() for axis in axes]
        truth = weighted(fine, *how.truth_weights(fine.shape, positions, cells)).clamp(-1, 1)
        before = [(have - want) // 2 for have, want in zip(padded.shape, coarse.shape, strict=True)]
        moved = [Axis(axis.first + gap, axis.cell, axis.count) for axis, gap in zip(axes, before, strict=True)]
        outputs = {kernel: _interpolated(usual, moved, kernel) for kernel in WAYS[:2]}
        outputs["implicit"] = fill_grid(wanted.decoder, chunks, padded.shape, moved).clamp(-1, 1)
        rows.append(_row(wanted, volume, how, scale, cells, truth, outputs))
        announce(f"{volume.case.id}: scale {scale:g}: {rows[-1].gain:+.2f} dB over cubic interpolation")
        if not picture:
            middle = len(truth) // 2
            picture = {"truth": truth[middle]} | {way: image[middle] for way, image in outputs.items()}
    return rows, picture


def _grid(how: Coarsening, scale: float) -> tuple[list[Axis], list[float]]:
    """The axes of the output over the coarse image, and the edges of its voxels."""
    cells = [max(scale, 1 / axis.cell) for axis in how.axes]
    if scale < min(1 / axis.cell for axis in how.axes):
        raise InputError(
            f"`scales` {scale:g}: finer than the volumes' own voxels, of which nothing is known; take "
            f"{min(1 / axis.cell for axis in how.axes):g} or more, or a `longest` at which they are coarsened"
        )
    try:
        return [axis_over(size, cell) for size, cell in zip(how.size, cells, strict=True)], cells
    except ValueError as error:
        raise InputError(f"`scales` {scale:g}: {error}") from error


def _interpolated(usual: Tensor, axes: Sequence[Axis], kernel: Any) -> Tensor:
    rows = (weights(axis.positions(), axis.cell, size, kernel) for axis, size in zip(axes, usual.shape, strict=True))
    z, x, y = rows
    return weighted(usual, z, x, y).clamp(-1, 1)


def _row(
    wanted: Wanted,
    volume: Prepared,
    how: Coarsening,
    scale: float,
    cells: Sequence[float],
    truth: Tensor,
    outputs: dict[str, Tensor],
) -> ScaleRow:
    z, x, y = cells
    known = wanted.decoder.config
    coarse = [axis.cell * edge for axis, edge in zip(how.axes, volume.spacing, strict=True)]
    sz, sx, sy = (cell * edge for cell, edge in zip(cells, coarse, strict=True))
    edges = np.arange(1, 1 / min(cells) + 1e-6, _BAND).tolist()
    if edges and 1 / min(cells) - edges[-1] > 0.01:
        edges.append(1 / min(cells))
    spectrum = {way: bands(truth, image, cells, edges) for way, image in outputs.items()} if len(edges) > 1 else {}
    return ScaleRow(
        volume.case.id,
        scale,
        (z, x, y),
        (sz, sx, sy),
        all(known.finest <= cell <= known.coarsest for cell in cells),
        {way: psnr(truth.numpy(), image.numpy(), _RANGE) for way, image in outputs.items()},
        spectrum,
    )


def verdict(rows: Sequence[ScaleRow]) -> list[str]:
    """For each scale in words whether the implicit decoder beats cubic interpolation, and by how much."""
    lines = []
    for scale in sorted({row.scale for row in rows}):
        gains = [round(row.gain, 2) for row in rows if row.scale == scale]
        mean, better = round(float(np.mean(gains)), 2), sum(gain > 0 for gain in gains)
        word = "beats" if mean > 0 else "does not beat"
        lines.append(
            f"scale {scale:g}: the implicit decoder {word} cubic interpolation: {mean:+.2f} dB in the mean "
            f"({min(gains):+.2f} to {max(gains):+.2f}; {better} of {len(gains)} volumes better)"
        )
    return lines


def table(rows: Sequence[ScaleRow]) -> list[str]:
    """Lines for the terminal: PSNR of each volume and scale, then the spectra, then what follows."""
    lines = [f"{'PSNR, dB':34}{'scale':>7}{'linear':>9}{'cubic':>9}{'implicit':>10}{'gain':>8}"]
    for row in rows:
        figures = "".join(f"{row.psnr[way]:>{9 + (way == 'implicit')}.2f}" for way in WAYS)
        lines.append(
            f"{row.case[-33:]:34}{row.scale:>7g}{figures}{row.gain:>+8.2f}{'' if row.learned else '  not learned'}"
        )
    spectral = [line for row in rows if row.spectrum for line in _spectral_lines(row)]
    if spectral:
        heading = "share of the truth's power (and correlation with it) above the coarse grid's Nyquist frequency"
        lines += ["", heading, f"{'':34}{'scale':>7}{'band':>12}" + "".join(f"{way:>16}" for way in WAYS), *spectral]
    return [*lines, "", *verdict(rows)]


def _spectral_lines(row: ScaleRow) -> list[str]:
    lines = []
    for each in zip(*(row.spectrum[way] for way in WAYS), strict=True):
        band = f"{each[0].low:.2f}-{each[0].high:.2f}"
        figures = "".join(f"{f'{own.share:.3f} ({own.agreement:.2f})':>16}" for own in each)
        lines.append(f"{row.case[-33:]:34}{row.scale:>7g}{band:>12}{figures}")
    return lines


def as_dict(rows: Sequence[ScaleRow]) -> dict[str, Any]:
    """For JSON."""
    return {"rows": [asdict(row) | {"gain": row.gain} for row in rows], "verdict": verdict(rows)}
