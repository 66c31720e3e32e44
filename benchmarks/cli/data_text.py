"""What ``benchmarks data check`` prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from benchmarks.data.check import Check

_SHOWN = 20
"""Lines of each kind on screen."""


def summary_of(found: Check, manifest: Path, seconds: float) -> dict[str, Any]:
    rows = found.manifest.rows
    return {
        "data_set": found.manifest.data_set,
        "title": found.title,
        "readable": len(rows),
        "subjects": len({row.subject for row in rows}),
        "splits": {split: sum(row.split == split for row in rows) for split in ("train", "val", "test")},
        "problems": [{"fault": each.fault, "case": each.case, "text": each.text} for each in found.problems],
        "notes": found.notes,
        "manifest": str(manifest),
        "manifest_sha256": found.manifest.sha256,
        "seconds": round(seconds, 2),
    }


def summary_text(summary: dict[str, Any]) -> str:
    splits = ", ".join(f"{count} {split}" for split, count in summary["splits"].items())
    lines = [f"{summary['title']}: {summary['readable']} cases of {summary['subjects']} subjects ({splits})"]
    for fault in ("missing", "unreadable", "duplicated", "off"):
        texts = [_problem(each) for each in summary["problems"] if each["fault"] == fault]
        lines += _shown(fault.upper(), texts)
    notes = summary["notes"]
    lines += _shown("note", notes)
    counts = f"{_count(len(summary['problems']), 'problem')}, {_count(len(notes), 'note')}"
    lines.append(f"{counts}, {summary['seconds']:.1f} s")
    lines.append(f"manifest {summary['manifest_sha256'][:16]} in {click.format_filename(summary['manifest'])}")
    return "\n".join(lines)


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _problem(problem: dict[str, str]) -> str:
    return f"{problem['case']}: {problem['text']}" if problem["case"] else problem["text"]


def _shown(label: str, texts: list[str]) -> list[str]:
    """The first of them, a line each, and how many there are more."""
    lines = [f"{label:11}{text}" for text in texts[:_SHOWN]]
    more = len(texts) - _SHOWN
    return [*lines, f"{label:11}and {more} more; --json prints them all"] if more > 0 else lines
