"""The rows of Table XI: what each classifier is trained on, and for how many steps."""

from __future__ import annotations

from dataclasses import dataclass

CLASSES = ("abnormal", "normal")
"""The classes in the paper's order; the first is the one whose probability is scored."""

BASELINE = "real"
"""The row that all others are compared with."""


@dataclass(frozen=True)
class Row:
    """One way to train a classifier.

    Attributes:
        label: the name of the row.
        real: whether real volumes are in the training.
        synthetic: whether generated volumes are in the training.
        augmented: whether the volumes are changed at random, as the recipe says.
        longer: whether it takes as many steps as real and generated volumes together, and not those of real ones alone.
        about: what the row is there for, in a sentence.
    """

    label: str
    real: bool
    synthetic: bool
    augmented: bool
    longer: bool
    about: str

    def steps(self, of_real: int, real: int, synthetic: int) -> int:
        """Optimiser steps, such that every row but the first has equally many.

        Args:
            of_real: the steps of a training on real volumes alone.
            real: the number of real volumes.
            synthetic: the number of generated volumes.
        """
        return round(of_real * (real + synthetic) / real) if self.longer else of_real


ROWS = (
    Row(BASELINE, True, False, False, False, "The real volumes of the training split: the paper's baseline."),
    Row("real, repeated", True, False, False, True, "A control: as many steps as with generated volumes."),
    Row("real, augmented", True, False, True, True, "A control: real volumes, changed at random in the usual ways."),
    Row("real + synthetic", True, True, False, True, "The paper's augmented classifier."),
    Row("synthetic", False, True, False, True, "Generated volumes alone."),
)
