"""Fig. 12 as text, LaTeX, JSON and a page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import mean

from benchmarks.downstream.folds import COMPARED, FOLDS, SETTINGS
from benchmarks.downstream.nnunet import UNKNOWN
from benchmarks.downstream.segmentation_result import Figure, SegmentationResult, SettingResult
from benchmarks.downstream.segmentation_scores import STRUCTURES, Structure
from benchmarks.downstream.training import PUBLISHED_EPOCHS, PUBLISHED_ITERATIONS
from benchmarks.generation.figures import NOTHING, Block, duration_text
from benchmarks.generation.files import write_texts
from benchmarks.generation.latex import tabulars
from benchmarks.generation.page import Content, page
from benchmarks.generation.text import block_lines, ending
from benchmarks.table.statistics import compare, summary

_FIGURES: tuple[tuple[Figure, str, float, int], ...] = (("dice", "Dice ↑", 100.0, 2), ("hd95", "95HD ↓", 1.0, 2))
"""Each figure with its heading, the factor that makes per cent or millimetres of it, and its decimals."""

_SHOWN = [(structure, *figure) for structure in STRUCTURES for figure in _FIGURES]

NOTES = (
    "Kidney is kidney and tumour together, as KiTS19 has it; kidney alone is the label without the tumour.",
    "95HD is the larger of the two directed 95th percentiles of surface distances.",
    "A structure that is missed or invented has Dice 0; it is left out of 95HD, and counted. One that is neither there "
    "nor found has no figure.",
    "Each setting's networks are those of the last epoch. Planning and preprocessing are common to all settings, of "
    "real and synthetic volumes together. A synthetic volume never trains where the case of its mask validates.",
    "A generator or head that has seen the images of these masks may repeat them: 'benchmarks faithfulness --split "
    "train' measures how near its volumes are to them.",
)


def write_all(result: SegmentationResult, folder: Path) -> list[Path]:
    """Write JSON, text, LaTeX and the page; returns the files."""
    return write_texts(
        {
            "results.json": lambda: json.dumps(result.to_dict(), indent=1, allow_nan=False) + "\n",
            "table.txt": lambda: table(result) + "\n",
            "table.tex": lambda: tabulars(result.title, facts(result), blocks(result), result.absent, result.paper),
            "index.html": lambda: page(_content(result)),
        },
        folder,
    )


def table(result: SegmentationResult) -> str:
    """For a terminal."""
    lines = [result.title, *facts(result)]
    for block in blocks(result):
        lines += ["", *block_lines(block)]
    return "\n".join([*lines, "", *ending(result.absent, NOTES, result.paper)]).rstrip()


def _content(result: SegmentationResult) -> Content:
    return Content("fig12", result.title, facts(result), blocks(result), result.absent, NOTES, result.paper)


def facts(result: SegmentationResult) -> list[str]:
    """What all figures are of, in sentences."""
    found = [
        f"Data: {result.dataset}; {result.training} cases train in {FOLDS} folds, {result.test} are held out.",
        f"nnU-Net ({_version(result)}), {result.how.configuration}, {result.how.device}.",
    ]
    if result.synthetic:
        found.append(f"Synthetic volumes: {result.synthetic}.")
    short = result.how.short
    if short:
        found.append(
            f"SHORT: {short.epochs} epochs of {short.iterations} iterations, where nnU-Net has {PUBLISHED_EPOCHS} of "
            f"{PUBLISHED_ITERATIONS}. These figures show that everything works, and compare with nothing."
        )
    return found


def _version(result: SegmentationResult) -> str:
    return "version not known" if result.version == UNKNOWN else f"version {result.version}"


def blocks(result: SegmentationResult) -> list[Block]:
    """Figures, counts, differences and times."""
    if not result.settings:
        return []
    headings = tuple(f"{structure.title} {title}" for structure, _, title, _, _ in _SHOWN)
    return [
        Block(
            f"Dice in %, 95HD in mm; mean over {FOLDS} folds for each held-out case, then mean (standard deviation) "
            "over cases",
            headings,
            _rows(result, _figures),
        ),
        Block(
            "Counts over held-out cases and folds",
            tuple(f"{structure.title} {what}" for structure in STRUCTURES[:2] for what in ("missed", "invented", "of")),
            _rows(result, _counts),
        ),
        Block(
            "Differences of the means over folds, paired by held-out case: mean, bootstrap 95 % interval, Wilcoxon's "
            "test (two-sided, not corrected for many comparisons)",
            tuple(title for _, title, _, _ in _FIGURES),
            tuple(
                (f"{_pair_label(*pair)}, {structure.title}", _difference(result, *pair, structure))
                for pair in COMPARED
                for structure in STRUCTURES[:2]
            ),
        ),
        Block(
            "What each network is trained on, mean over folds, and its time",
            ("real", "synthetic", "training", "prediction of all cases"),
            _rows(result, _cost),
        ),
    ]


def _rows(
    result: SegmentationResult, texts: Callable[[SettingResult], tuple[str, ...]]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Settings in the paper's order, absent ones with no texts."""
    own = {setting.label: texts(setting) for setting in result.settings}
    return tuple((each.label, own.get(each.label, ())) for each in SETTINGS)


def _figures(setting: SettingResult) -> tuple[str, ...]:
    return tuple(
        summary([factor * value for value in setting.by_case(structure.key, figure).values()]).text(digits)
        for structure, figure, _, factor, digits in _SHOWN
    )


def _counts(setting: SettingResult) -> tuple[str, ...]:
    return tuple(text for structure in STRUCTURES[:2] for text in _counts_of(setting, structure))


def _counts_of(setting: SettingResult, structure: Structure) -> tuple[str, str, str]:
    missed = setting.count(structure.key, lambda score: score.missed)
    invented = setting.count(structure.key, lambda score: score.invented)
    return str(missed), str(invented), str(setting.count(structure.key, lambda score: True))


def _difference(result: SegmentationResult, one: str, other: str, structure: Structure) -> tuple[str, ...]:
    texts = []
    for figure, _, factor, digits in _FIGURES:
        pairs = [(factor * a, factor * b) for a, b in result.pairs(one, other, structure.key, figure)]
        texts.append(_comparison(pairs, digits))
    return tuple(texts)


def _comparison(pairs: list[tuple[float, float]], digits: int) -> str:
    if not pairs:
        return NOTHING
    if all(one == other for one, other in pairs):
        return f"none ({len(pairs)} cases)"
    return compare(pairs).text(digits).replace("-", "−")


def _pair_label(one: str, other: str) -> str:
    numbers = {setting.key: setting.label.partition(" ")[0] for setting in SETTINGS}
    return f"{numbers[one]} less {numbers[other]}"


def _cost(setting: SettingResult) -> tuple[str, ...]:
    real, synthetic = (mean(fold.trained_on[place] for fold in setting.folds) for place in range(2))
    training = mean(fold.training_seconds for fold in setting.folds)
    prediction = mean(fold.prediction_seconds for fold in setting.folds)
    return f"{real:.1f}", f"{synthetic:.1f}", duration_text(training), duration_text(prediction)
