"""Priors that were distilled to a few steps: for which number of them, and that no other sampling is asked of them.

A distilled noise estimator has learned to make the steps of one sampler and one spacing, and no others: at more of them
it is not more exact, since it moves too far in each. How it learns them is told in
:mod:`priors.training.distillation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from priors.diffusion.samplers import Spacing

DISTILLED = "distilled"
"""Entry of a noise estimator's card that says for how many steps it was distilled."""

SAMPLER = "ddim"
"""The sampler whose steps are distilled; it adds no noise, so that the same noise leads to the same sample."""

SPACING: Spacing = "trailing"
"""The spacing of the steps: equal ones down from the start. Those of N steps are among those of 2 N, and none is spent
on the last thousandth of the noise, as the last one of ``linspace`` is."""

_TYPES = {"steps": int, "teacher_steps": int, "teacher": str}


@dataclass(frozen=True)
class Distilled:
    """How a noise estimator was distilled.

    Attributes:
        steps: the number of steps that it was made for.
        teacher_steps: the number of the teacher's steps that these stand for.
        teacher: the hash of the teacher's tensors.
    """

    steps: int
    teacher_steps: int
    teacher: str

    def check(self, sampler: str, steps: int, spacing: Spacing | None) -> None:
        """Refuse a sampling that the noise estimator was not made for.

        Raises:
            ValueError: another sampler, number of steps or spacing.
        """
        for name, value, made_for in (
            ("sampler", sampler, SAMPLER),
            ("steps", steps, self.steps),
            ("timesteps", spacing or SPACING, SPACING),
        ):
            if value != made_for:
                raise ValueError(
                    f"`{name}` {value}: this prior was distilled for {made_for}; leave `{name}` out, or take the prior "
                    "that it was distilled from"
                )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a card."""
        return asdict(self)


def distilled_of(path: Path, extra: Mapping[str, Any]) -> Distilled | None:
    """What a card says of the distillation of its noise estimator; None where it was not distilled.

    Args:
        path: the path of the weights file; errors name it.
        extra: what its card says beside the configuration.

    Raises:
        ValueError: values that say no such thing.
    """
    if DISTILLED not in extra:
        return None
    found = extra[DISTILLED]
    if not isinstance(found, Mapping) or {name: type(value) for name, value in found.items()} != _TYPES:
        raise ValueError(f"{path}: its header is damaged: {DISTILLED}")
    if not 1 <= found["steps"] <= found["teacher_steps"]:
        raise ValueError(f"{path}: its header is damaged: {DISTILLED} for {found['steps']} steps")
    return Distilled(**found)
