"""The paper's own figures; never ours."""

from __future__ import annotations

from importlib import resources
from typing import Any

import yaml


def published(table: str) -> dict[str, Any] | None:
    """A table as the paper prints it, with a title, rows and where they belong; None where there is none."""
    text = resources.files("benchmarks.table").joinpath("published.yaml").read_text(encoding="utf-8")
    content: dict[str, dict[str, Any]] = yaml.safe_load(text)
    found = content.get(table)
    return None if found is None else {"beside": "not of scans"} | found
