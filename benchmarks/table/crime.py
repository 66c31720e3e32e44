"""The words for scans that the operator which reconstructs them also made, wherever a figure of one stands."""

from __future__ import annotations

INVERSE_CRIME = "(inverse crime)"
"""Stands in the name of every row whose scans are such."""


def in_name(row: str) -> bool:
    """Whether a row's name says that its scans are an inverse crime."""
    return INVERSE_CRIME in row


def crime_name(row: str) -> str:
    """The name of a row of such scans, which says so."""
    return row if in_name(row) else f"{row} {INVERSE_CRIME}"
