"""Sizes that all factorised U-Nets must have."""

from __future__ import annotations

from collections.abc import Sequence

MOST_LEVELS = 8


def check_levels(what: str, width: int, multipliers: Sequence[int], groups: int, init_kernel: int) -> None:
    """Refuse widths and levels of which no factorised U-Net can be built.

    Raises:
        ValueError: names the setting.
    """
    if not 1 <= len(multipliers) <= MOST_LEVELS or min(multipliers, default=0) < 1:
        raise ValueError(
            f"{what} setting multipliers is {list(multipliers)}; 1 to {MOST_LEVELS} numbers from 1 up are wanted"
        )
    if width < 4 or width % 2 or width % groups:
        raise ValueError(
            f"{what} setting width is {width}; it must be even, 4 or more, and a multiple of {groups} groups"
        )
    if init_kernel % 2 == 0:
        raise ValueError(f"{what} setting init_kernel is {init_kernel}; it must be odd")
