"""The paper's own figures; never ours."""

from __future__ import annotations

from importlib import resources
from typing import Any

import yaml


def published(table: str) -> dict[str, Any] | None:
    """A table as the paper prints it, with a title and rows; None where the paper has none."""
    text = resources.files("benchmarks.table").joinpath("published.yaml").read_text(encoding="utf-8")
    content: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return content.get(table)
