"""The figures of Table XI, laid out once for text, LaTeX and the page."""

from __future__ import annotations

from benchmarks.downstream.table11.result import RowResult, Table11Result
from benchmarks.downstream.table11.scores import Estimate
from benchmarks.generation.figures import NOTHING, Block

_SCORES = {
    "accuracy": "Accuracy ↑",
    "f1_abnormal": "F1 abnormal ↑",
    "f1_normal": "F1 normal ↑",
    "balanced_accuracy": "Balanced accuracy ↑",
    "auc": "AUC ↑",
}


def facts(result: Table11Result) -> list[str]:
    """What all figures are of."""
    splits = ", ".join(f"{split} {a} abnormal and {n} normal" for split, (a, n) in result.counts.items())
    each = "one classifier" if result.seeds == 1 else f"{result.seeds} classifiers"
    lines = [
        f"Real volumes of {', '.join(result.data)}: {splits}.",
        f"3D ResNet by the recipe {result.recipe}, {each} a row, each with a seed of its own.",
    ]
    if result.generator:
        lines.append(f"{result.synthetic} generated volumes of each class.")
    return lines


def blocks(result: Table11Result) -> list[Block]:
    """Scores, the comparison with real volumes alone, and what each classifier learned from."""
    absent = tuple((label, ()) for label, _ in result.absent)
    count = len(result.abnormal)
    return [
        Block(
            f"Scores on {count} test volumes, means over seeds; 95 % intervals over volumes",
            tuple(_SCORES.values()),
            tuple((row.label, _scores(row)) for row in result.rows) + absent,
        ),
        Block(
            "Beside real volumes alone; the mean probability of all seeds decides about a volume",
            ("Accuracy, difference", "right here alone", "right there alone", "McNemar, exact p"),
            tuple((row.label, _compared(row)) for row in result.rows if row.mcnemar) + absent,
        ),
        Block(
            "Training, and the accuracy of each seed's classifier",
            ("real", "synthetic", "steps", *(f"seed {seed}" for seed in range(result.seeds))),
            tuple((row.label, _trained(row, result)) for row in result.rows) + absent,
        ),
    ]


def _scores(row: RowResult) -> tuple[str, ...]:
    return tuple(_text(getattr(row.scores, name)) for name in _SCORES)


def _text(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _compared(row: RowResult) -> tuple[str, ...]:
    found = row.mcnemar
    if found is None:
        return (NOTHING,) * 4
    difference = found.difference
    interval = f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
    return interval, str(found.only_this), str(found.only_baseline), f"{found.p:.2g}"


def _trained(row: RowResult, result: Table11Result) -> tuple[str, ...]:
    right = [
        sum((value >= 0.5) == truth for value, truth in zip(each, result.abnormal, strict=True))
        for each in row.probabilities
    ]
    accuracies = (f"{each / len(result.abnormal):.3f}" for each in right)
    return (str(row.volumes[0]), str(row.volumes[1]), str(row.steps), *accuracies)
