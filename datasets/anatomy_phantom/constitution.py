"""How age and sex show in a phantom's trunk: its size, and the density and thickness of its bone.

The rules follow what is known of people in direction and not in number, and are steep enough to be read back from
images: bodies grow until 18 years; men are larger than women; bone is densest at 25 years, is lost from then on, and
faster by women from 50 to 65 years (the menopause); cortical bone thins as it is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

ADULT, PEAK, OLDEST = 18.0, 25.0, 90.0
"""Years at which bodies are grown, bone is densest, and the rules end."""

_NEWBORN_SIZE, _NEWBORN_BONE = 0.4, 0.5
_MALE, _FEMALE = 1.08, 0.92
_LOSS = 0.008
"""The share of the densest bone that is lost in a year."""

_MENOPAUSE, _MENOPAUSE_LOSS = (50.0, 65.0), 0.008
"""The years in which women lose more, and what they lose more in a year of them."""

_SPREAD = 0.3
"""How far bone of one age and sex differs between bodies, as a share of how far it differs where neither is told."""


@dataclass(frozen=True)
class Constitution:
    """What age and sex do to a trunk.

    Attributes:
        size: the factor on every length.
        widths: the lowest and the highest half width of a trunk in mm, before that factor.
        density: the factor on the HU of bone.
        thickness: the factor on the thickness of cortical bone.
        spread: the factor on how far the HU of bone differ between bodies.
    """

    size: float = 1.0
    widths: tuple[float, float] = (140.0, 195.0)
    density: float = 1.0
    thickness: float = 1.0
    spread: float = 1.0


UNTOLD = Constitution()
"""That of a phantom of no age and sex."""


def constitution(age: float | None, sex: str | None) -> Constitution:
    """The constitution of an age in years and a sex.

    An unknown age is that of the densest bone, and an unknown sex lies in the middle of the two.

    Args:
        age: 0 to 90 years; None where it is unknown.
        sex: ``female`` or ``male``; None where it is unknown.
    """
    if age is None and sex is None:
        return UNTOLD
    years = PEAK if age is None else min(age, OLDEST)
    size = {"male": _MALE, "female": _FEMALE}.get(sex or "", 1.0) * (
        1 - (1 - _NEWBORN_SIZE) * max(0.0, 1 - years / ADULT)
    )
    bone = _bone(years, {"male": 0.0, "female": 1.0}.get(sex or "", 0.5))
    return Constitution(size, (140.0, 170.0), bone, bone, _SPREAD)


def _bone(years: float, female: float) -> float:
    """The share of the densest bone at an age; ``female`` is 1 for women, 0 for men."""
    if years < PEAK:
        return 1 - (1 - _NEWBORN_BONE) * (1 - years / PEAK)
    begin, end = _MENOPAUSE
    more = _MENOPAUSE_LOSS * female * (min(max(years, begin), end) - begin)
    return 1 - _LOSS * (years - PEAK) - more
