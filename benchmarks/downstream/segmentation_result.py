"""Fig. 12 as a whole: what every setting's networks reach on the held-out cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any, Literal

from benchmarks.downstream.segmentation_scores import Score
from benchmarks.downstream.training import How
from benchmarks.table.published import published

TABLE = "fig12"
TITLE = "Generated volumes as training data of nnU-Net: kidneys and tumours"

Figure = Literal["dice", "hd95"]


@dataclass(frozen=True)
class FoldResult:
    """One network.

    Attributes:
        fold: the fold that was left out.
        trained_on: the number of real and of synthetic volumes that it was trained on.
        training_seconds: the seconds of its training.
        prediction_seconds: the seconds of all predictions.
        cases: the scores of each held-out case, by its name and the structure.
    """

    fold: int
    trained_on: tuple[int, int]
    training_seconds: float
    prediction_seconds: float
    cases: dict[str, dict[str, Score]]


@dataclass(frozen=True)
class SettingResult:
    """One setting.

    Attributes:
        key: the short name.
        label: the name in the table.
        folds: one network for each fold.
    """

    key: str
    label: str
    folds: tuple[FoldResult, ...]

    def by_case(self, structure: str, figure: Figure) -> dict[str, float]:
        """The mean over folds for each held-out case; cases without a figure in any fold are not in it."""
        values: dict[str, list[float]] = {}
        for fold in self.folds:
            for name, scores in fold.cases.items():
                value = getattr(scores[structure], figure)
                if value is not None:
                    values.setdefault(name, []).append(value)
        return {name: mean(each) for name, each in values.items()}

    def count(self, structure: str, what: Callable[[Score], bool]) -> int:
        """The number of scores of which something holds, over cases and folds."""
        return sum(what(scores[structure]) for fold in self.folds for scores in fold.cases.values())


@dataclass(frozen=True)
class SegmentationResult:
    """The whole figure.

    Attributes:
        dataset: the name of the data set.
        training: the number of cases that train.
        test: the number of held-out cases.
        synthetic: what the synthetic volumes are, in words; "" where none take part.
        how: how networks were trained.
        version: the version of nnU-Net.
        settings: the settings that were run.
        absent: the label of each other setting, and why it has no result.
    """

    dataset: str
    training: int
    test: int
    synthetic: str
    how: How
    version: str
    settings: tuple[SettingResult, ...]
    absent: tuple[tuple[str, str], ...]

    @property
    def title(self) -> str:
        """The title, which says where trainings were short."""
        return f"{TITLE} (short)" if self.how.short else TITLE

    @property
    def paper(self) -> dict[str, Any] | None:
        """The paper's own differences; never ours."""
        return published(TABLE)

    def pairs(self, one: str, other: str, structure: str, figure: Figure) -> list[tuple[float, float]]:
        """The figures of two settings on the held-out cases that have both; none where a setting was not run."""
        by_key = {setting.key: setting for setting in self.settings}
        if one not in by_key or other not in by_key:
            return []
        first, second = (by_key[key].by_case(structure, figure) for key in (one, other))
        return [(value, second[name]) for name, value in first.items() if name in second]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: every score of every case and fold, and the paper's differences apart."""
        return {
            "table": TABLE,
            "title": self.title,
            "dataset": self.dataset,
            "training_cases": self.training,
            "test_cases": self.test,
            "synthetic": self.synthetic,
            "nnunet": {"version": self.version, "device": self.how.device, **self.how.facts()},
            "settings": [asdict(setting) for setting in self.settings],
            "absent": [{"label": label, "reason": reason} for label, reason in self.absent],
            "paper": self.paper,
        }


def fold_result(cell: dict[str, Any], names: Sequence[str], trained_on: tuple[int, int]) -> FoldResult:
    """A network's result from what is kept of it.

    Args:
        cell: the plain values of a cell.
        names: what results call the held-out cases, in the order of their numbers.
        trained_on: the number of real and of synthetic volumes that it was trained on.
    """
    cases = {
        name: {structure: Score(**values) for structure, values in scores.items()}
        for name, (_, scores) in zip(names, sorted(cell["cases"].items()), strict=True)
    }
    return FoldResult(cell["fold"], trained_on, cell["training_seconds"], cell["prediction_seconds"], cases)
