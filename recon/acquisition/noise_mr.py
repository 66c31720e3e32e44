"""The noise of an MR scan: stated, or from noise-only readouts where there are some, else from outer k-space.

Noise is complex Gaussian and of the same level everywhere in k-space, while what an image puts there falls off towards
the edge. So the farthest samples tell the noise where the image is weaker there (:mod:`recon.acquisition.noise_floor`).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from physics.mr.cartesian import ifft2c
from physics.mr.coils import rss
from physics.noise import ComplexGaussianNoise, NoiseModel, UnknownNoise, noise_from_dict
from recon.acquisition.noise_floor import noise_floor
from recon.errors import input_errors
from recon.scan.kspace import KSpace

_WINDOW = 8
"""Samples of one coil whose mean square is taken; neighbours in the order of k-space."""

_SHARES = (0.0, 0.12, 0.24)
"""The farthest samples tell the noise; as many nearer ones tell whether it is noise, which is the same there."""

_WHITE = 1.25
"""Power of the nearer samples over that of the farthest, above which both are signal that falls off."""

_LEAST_SPREAD = 1e-10
"""Smallest over largest eigenvalue of the covariance of readouts that are noise of all coils."""


@dataclass(frozen=True)
class TakenNoise:
    """The noise that a scan is taken to have.

    Attributes:
        model: the noise; None where there is none, as in data simulated without.
        sentence: what was taken and from where, in words.
    """

    model: NoiseModel | None
    sentence: str


def noise_of_scan(
    kspace: KSpace,
    data: Tensor,
    mask: Tensor,
    level: float | None = None,
    added: ComplexGaussianNoise | None = None,
) -> TakenNoise:
    """The noise of k-space: as the user states it, as the file does, of its noise readouts, or of its outer samples.

    Args:
        kspace: k-space with what its file says; noise readouts are of the level of its data.
        data: (z, coils, y, x) the samples that are reconstructed.
        mask: (y, x) bool, True where these were sampled.
        level: standard deviation per complex sample over the image's maximum, as the user states it; None for nothing.
        added: noise that was added to the data; None for none.

    Raises:
        InputError: the file states a noise that cannot be.
    """
    if level is not None:
        stated = ComplexGaussianNoise.of_maximum(level, float(rss(ifft2c(data)).max()))
        return TakenNoise(stated if level else None, f"Its noise was taken as {stated.describe()}, as stated.")
    own = _own_noise(kspace, data, mask)
    if added is None:
        return own
    words = added.describe()
    if own.model is None or not own.model.known or own.model.standard_deviation(data) <= added.sigma:  # type: ignore[operator]
        return TakenNoise(added, f"{words[0].upper()}{words[1:]} was added.")
    return TakenNoise(own.model, f"{words[0].upper()}{words[1:]} was added. {own.sentence}")


def _own_noise(kspace: KSpace, data: Tensor, mask: Tensor) -> TakenNoise:
    stated = kspace.meta.get("noise_std")
    if stated is not None:
        with input_errors("`kspace`"):
            model = noise_from_dict({"sigma": stated})
        return TakenNoise(model, f"Its noise was taken as {model.describe()}, as the file states.")
    if kspace.meta.get("simulated"):
        return TakenNoise(None, "No noise was added.")
    if kspace.noise_readouts is not None:
        power = kspace.noise_readouts.abs().square().double().mean()
        model = ComplexGaussianNoise(float(power.sqrt()))
        count = kspace.noise_readouts.shape[-1]
        return TakenNoise(model, f"Its noise was taken as {model.describe()}, from {count} noise-only samples a coil.")
    found = kspace_noise(data, mask)
    if found is None:
        return TakenNoise(UnknownNoise(), "Nothing is known of its noise: there is signal in all of k-space.")
    model = ComplexGaussianNoise(found)
    return TakenNoise(model, f"Its noise was taken as {model.describe()}, estimated from outer k-space.")


@dataclass(frozen=True)
class Prewhitening:
    """The change to virtual coils whose noise is uncorrelated and equally strong, at the scale of the data.

    Attributes:
        covariance: (coils, coils) of the noise.
        sentence: what is done, in words.
    """

    covariance: Tensor
    sentence: str

    def apply(self, y: Tensor) -> Tensor:
        """Data (z, coils, ·, ·) in the virtual coils, whose noise has the mean variance of that of the coils."""
        return prewhitened(y, self.covariance) * float(self.covariance.diagonal().real.mean().sqrt())


def prewhitening(readouts: Tensor | None) -> Prewhitening | None:
    """The prewhitening that noise readouts (coils, samples) tell; None without them, with one coil, with too few, or
    where they are no noise of all coils."""
    if readouts is None or len(readouts) == 1 or readouts.shape[1] <= len(readouts) or not is_noise(readouts):
        return None
    words = f"The {len(readouts)} coils were prewhitened with the covariance of noise-only readouts."
    return Prewhitening(noise_covariance(readouts), words)


def is_noise(readouts: Tensor) -> bool:
    """Whether readouts (coils, samples) can be noise: no coil is silent, and none repeats what others have."""
    if not bool(torch.isfinite(torch.view_as_real(readouts)).all()):
        return False
    spread = torch.linalg.eigvalsh(readouts.to(torch.complex128) @ readouts.to(torch.complex128).conj().T)
    return float(spread[0]) > _LEAST_SPREAD * float(spread[-1])


def with_white_noise(kspace: KSpace) -> tuple[KSpace, tuple[str, ...]]:
    """k-space in virtual coils whose noise is uncorrelated and equally strong, as its noise readouts tell.

    Returns:
        The k-space, and what was done in words; as it is without noise readouts, with one coil, or with too few
        readouts.
    """
    found, readouts = prewhitening(kspace.noise_readouts), kspace.noise_readouts
    if readouts is not None and not is_noise(readouts):
        words = "The file's noise-only readouts repeat one another or are empty: they were not taken for noise."
        return replace(kspace, noise_readouts=None), (words,)
    if found is None or readouts is None:
        return kspace, ()
    calibration = None if kspace.calibration is None else found.apply(kspace.calibration)
    white = found.apply(readouts[None, :, None])[0, :, 0]
    return replace(kspace, data=found.apply(kspace.data), calibration=calibration, noise_readouts=white), (
        found.sentence,
    )


def kspace_noise(y: Tensor, mask: Tensor | None = None) -> float | None:
    """Standard deviation σ of the noise per complex sample, E|n|² = σ²; None where k-space shows none.

    Coils are taken to be equally noisy; where they are not, prewhiten first (:func:`prewhitened`).

    Args:
        y: (z, coils, y, x) complex k-space, centred, zero where not sampled.
        mask: (y, x) bool, True where sampled; None takes all.
    """
    filled = (y != 0).any(0).any(0)
    mask = filled if mask is None else filled & mask.to(y.device)
    if not mask.any():
        return None
    rows, columns = (torch.arange(size, device=y.device) - size // 2 for size in mask.shape)
    radius = torch.hypot(rows[:, None] / (len(rows) / 2), columns / (len(columns) / 2))
    return noise_of_samples(y[..., mask], radius[mask])


def noise_of_samples(samples: Tensor, radius: Tensor) -> float | None:
    """The same of samples (z, coils, n) that lie at some distances (n,) from the centre, in any unit, in the order in
    which they were taken."""
    order = radius.sort(descending=True).values
    edges = [order[int(share * (len(order) - 1))] for share in _SHARES]
    farthest, farther = ((radius <= far) & (radius >= near) for far, near in itertools.pairwise(edges))
    floors = [_floor(samples[..., ring]) for ring in (farthest, farther)]
    if floors[0] is None or floors[1] is None or floors[1] > _WHITE * floors[0]:
        return None
    return math.sqrt(floors[0])


def _floor(samples: Tensor) -> float | None:
    """Mean square of the noise in samples (z, coils, n); zeros that a scanner filled in are none."""
    if samples.shape[-1] < _WINDOW:
        return None
    power = samples[..., : samples.shape[-1] // _WINDOW * _WINDOW].abs().double().square().unflatten(-1, (-1, _WINDOW))
    means = power[(power > 0).all(-1)].mean(-1)
    floor = noise_floor(means.cpu().numpy(), 2 * _WINDOW)
    return None if floor is None else floor.variance


def noise_covariance(readouts: Tensor) -> Tensor:
    """(coils, coils) Hermitian E[n nᴴ] of noise-only readouts (coils, samples).

    Raises:
        ValueError: fewer samples than coils, so that the covariance would be singular.
    """
    coils, samples = readouts.shape
    if samples <= coils:
        raise ValueError(f"noise readouts of {coils} coils need more than {coils} samples, not {samples}")
    readouts = readouts.to(torch.complex128)
    return readouts @ readouts.conj().T / samples


def prewhitened(y: Tensor, covariance: Tensor) -> Tensor:
    """k-space (z, coils, y, x) in virtual coils whose noise is uncorrelated and has σ = 1, E|n|² = 1.

    The virtual coils are L⁻¹ y with L Lᴴ the covariance (Roemer et al. 1990, Magn Reson Med 16:192; Pruessmann 2001).
    """
    factor = torch.linalg.cholesky(covariance.to(torch.complex128))
    inverse = torch.linalg.inv(factor).to(y)
    return torch.einsum("ij,zjyx->ziyx", inverse, y)
