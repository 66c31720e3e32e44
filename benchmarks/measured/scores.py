"""Scores of results on real scans, each by what its data allow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from benchmarks.measured.spec import ScoreKind
from recon.metrics import METRICS, evaluate
from recon.scan.volume import Volume

Scores = dict[str, float | None]
Score = Callable[[Volume, Tensor], Scores]
"""From a result in the user's units and the method's image in the operator's unit to figures by name."""


@dataclass(frozen=True)
class Figure:
    """What a score is called.

    Attributes:
        key: name of the figure that methods are compared by.
        title: the figure in words, with its unit.
        higher: whether a higher figure is better.
        digits: decimals.
        others: further figures, by name and heading.
    """

    key: str
    title: str
    higher: bool
    digits: int
    others: tuple[tuple[str, str], ...] = ()


FIGURES: dict[ScoreKind, Figure] = {
    "truth": Figure(
        "psnr",
        METRICS["psnr"].heading,
        True,
        2,
        (
            ("ssim", METRICS["ssim"].heading),
            ("psnr_soft_tissue", "PSNR soft"),
            ("ssim_soft_tissue", "SSIM soft"),
            ("psnr_body", METRICS["psnr_body"].heading),
        ),
    ),
    "segmentation": Figure("mcc", "Matthews correlation after Otsu's threshold", True, 3),
    "all-views": Figure("error", "error relative to FBP of all views", False, 4),
    "held-out": Figure("held_out_error", "relative error of a tenth of the samples, held out", False, 4),
}


_OF_MR = ("psnr_body",)
"""Figures of MR alone. The root sum of squares of measured coils, which is the reference, has a floor of noise in air,
and whether a method happens to have such a floor moves PSNR and SSIM of the whole image, though it is worth nothing."""


def worse(kind: ScoreKind, scores: Scores, direct: Scores) -> bool | None:
    """Whether a result is worse than that of the direct method; None where that cannot be told."""
    figure = FIGURES[kind]
    own, other = scores.get(figure.key), direct.get(figure.key)
    if own is None or other is None:
        return None
    return own < other if figure.higher else own > other


def against_truth(truth: Volume) -> Score:
    """The metrics of the suite's primary convention; of the soft-tissue window for CT, and of the patient for MR."""
    names = [FIGURES["truth"].key, *(name for name, _ in FIGURES["truth"].others)]
    if truth.modality == "CT":
        names = [name for name in names if name not in _OF_MR]

    def score(result: Volume, image: Tensor) -> Scores:
        found = evaluate(truth.data.numpy(), result.data.numpy(), truth.modality)
        return {name: found[name] for name in names if name in found}

    return score


def against_segmentation(truth: np.ndarray) -> Score:
    """Matthews correlation of the middle slice after Otsu's threshold (Otsu 1979) with a segmentation.

    Args:
        truth: (rows, columns) bool, as a picture: first row at the top. A coarser result is enlarged to its size.
    """

    def score(result: Volume, image: Tensor) -> Scores:
        from skimage.filters import threshold_otsu

        picture = result.data[len(result.data) // 2].numpy()[::-1]  # y grows upwards, rows of a picture downwards
        factors = [whole // part for whole, part in zip(truth.shape, picture.shape, strict=True)]
        picture = picture.repeat(factors[0], 0).repeat(factors[1], 1)
        return {"mcc": matthews_correlation(truth, picture > threshold_otsu(picture))}

    return score


def matthews_correlation(truth: np.ndarray, found: np.ndarray) -> float:
    """Correlation of two bool arrays, 0 where one of them is constant (Matthews 1975)."""
    both, neither = float((truth & found).sum()), float((~truth & ~found).sum())
    false, missed = float((~truth & found).sum()), float((truth & ~found).sum())
    power = (both + false) * (both + missed) * (neither + false) * (neither + missed)
    return (both * neither - false * missed) / power**0.5 if power else 0.0


def against_image(reference: Tensor) -> Score:
    """‖x − r‖/‖r‖ of the image x in the operator's unit."""

    def score(result: Volume, image: Tensor) -> Scores:
        difference = image.cpu() - reference
        return {"error": float(difference.norm() / reference.norm())}

    return score


def against_samples(predict: Callable[[Tensor], Tensor], samples: Tensor) -> Score:
    """‖Ax − y‖/‖y‖ over samples y that no method saw."""

    def score(result: Volume, image: Tensor) -> Scores:
        difference = predict(image.to(samples.dtype)) - samples
        return {"held_out_error": float(difference.norm() / samples.norm())}

    return score
