"""The stages of a distillation, from the teacher's number of steps to the student's, and the training steps of each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

LAST_STAGES = 2
"""Students of so few steps or fewer learn twice as long as the others, as in the paper: their steps are the hardest."""


@dataclass(frozen=True)
class Stage:
    """A part of a distillation.

    Attributes:
        teacher_steps: the number of the teacher's steps over the whole diffusion.
        steps: the number of the student's steps, of which ``teacher_steps`` is a multiple.
    """

    teacher_steps: int
    steps: int

    @property
    def ratio(self) -> int:
        """The number of the teacher's steps that are one of the student's."""
        return self.teacher_steps // self.steps


def plan_stages(teacher_steps: int, steps: int, ratio: int, *, converts: bool) -> list[Stage]:
    """The stages from a teacher's number of steps to the student's.

    Args:
        teacher_steps: the number of the teacher's steps.
        steps: the number of steps that the last student shall have.
        ratio: the number of steps that a stage makes one; the last stage has a smaller or larger one where the numbers
            do not fit.
        converts: whether a first stage turns the teacher's estimates into velocities, with as many steps.

    Raises:
        ValueError: a number of steps that does not divide the teacher's, or nothing to learn.
    """
    if not 1 <= steps < teacher_steps or teacher_steps % steps:
        raise ValueError(f"`steps` {steps}: must be smaller than the teacher's {teacher_steps} steps and divide them")
    counts = [teacher_steps]
    while counts[-1] > steps:
        following, rest = divmod(counts[-1], ratio)
        fits = not rest and following >= steps and following % steps == 0
        counts.append(following if fits else steps)
    found = [Stage(*pair) for pair in itertools.pairwise(counts)]
    return [*([Stage(teacher_steps, teacher_steps)] if converts else []), *found]


@dataclass(frozen=True)
class Schedule:
    """Which stage a training step belongs to.

    Attributes:
        stages: the stages in their order.
        length: the number of training steps of the whole run.
    """

    stages: Sequence[Stage]
    length: int

    def __post_init__(self) -> None:
        if self.length < len(self.stages):
            raise ValueError(f"{self.length} training steps for {len(self.stages)} stages; each needs one at least")

    def _ends(self) -> list[int]:
        """The training step before which each stage ends."""
        shares = list(itertools.accumulate(2 if stage.steps <= LAST_STAGES else 1 for stage in self.stages))
        count = len(shares)
        ends = [round(self.length * share / shares[-1]) for share in shares]
        for place in range(count):  # no stage without a step
            ends[place] = min(max(ends[place], place + 1), self.length - (count - 1 - place))
        return ends

    def at(self, step: int) -> tuple[int, float]:
        """The index of the stage at a training step, and the share of that stage that has passed."""
        begin = 0
        for index, end in enumerate(self._ends()):
            if step < end:
                return index, (step - begin) / (end - begin)
            begin = end
        return len(self.stages) - 1, 1.0
