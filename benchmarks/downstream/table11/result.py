"""The result of Table XI: scores of each row, and how it compares with real volumes alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.downstream.table11.scores import McNemar, Scores, confusion
from benchmarks.table.published import published

TABLE = "table11"
TITLE = "Table XI: classifiers of chest CT trained with generated volumes"


@dataclass(frozen=True)
class RowResult:
    """One row.

    Attributes:
        label: the name of the row.
        about: what the row is there for.
        steps: the steps of each training.
        volumes: the numbers of real and of generated volumes in the training.
        scores: the scores.
        mcnemar: the comparison with real volumes alone; None for these themselves.
        probabilities: the probability of abnormal by each seed's classifier for every test volume.
    """

    label: str
    about: str
    steps: int
    volumes: tuple[int, int]
    scores: Scores
    mcnemar: McNemar | None
    probabilities: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Table11Result:
    """The table.

    Attributes:
        data: the titles of the data sets.
        counts: the numbers of abnormal and normal real volumes in each split.
        abnormal: whether each test volume is abnormal.
        generator: the hash of each network's tensors of the generator, by file name; empty without one.
        synthetic: the number of generated volumes of each class.
        recipe: the name of the recipe.
        seeds: the number of classifiers of each row.
        rows: the rows with results.
        absent: the label of each row without a result, and why.
        notes: sentences that belong under the table.
    """

    data: tuple[str, ...]
    counts: dict[str, tuple[int, int]]
    abnormal: tuple[bool, ...]
    generator: dict[str, str]
    synthetic: int
    recipe: str
    seeds: int
    rows: tuple[RowResult, ...]
    absent: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    @property
    def paper(self) -> dict[str, Any] | None:
        """The paper's own figures; never ours."""
        return published(TABLE)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        abnormal = np.array(self.abnormal)
        rows = [
            {
                "label": row.label,
                "about": row.about,
                "steps": row.steps,
                "real_volumes": row.volumes[0],
                "synthetic_volumes": row.volumes[1],
                "scores": row.scores.to_dict(),
                "mcnemar": asdict(row.mcnemar) if row.mcnemar else None,
                "confusion": [confusion(np.array(each), abnormal) for each in row.probabilities],
                "probabilities": [list(each) for each in row.probabilities],
            }
            for row in self.rows
        ]
        return {
            "table": TABLE,
            "title": TITLE,
            "data": list(self.data),
            "counts": {split: {"abnormal": a, "normal": n} for split, (a, n) in self.counts.items()},
            "test_abnormal": list(self.abnormal),
            "generator_sha256": dict(self.generator),
            "synthetic_per_class": self.synthetic,
            "recipe": self.recipe,
            "seeds": self.seeds,
            "rows": rows,
            "absent": [{"label": label, "reason": reason} for label, reason in self.absent],
            "notes": list(self.notes),
            "paper": self.paper,
        }
