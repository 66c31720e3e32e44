"""What tests of the benchmarks share."""

from __future__ import annotations

import pytest

from benchmarks.table import conventions

FEW_VIEWS = 36


@pytest.fixture(autouse=True)
def few_full_views(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The paper's ground truth is of 720 views, whose matrix takes most of the time of small tables; a few do where no
    test is about it. A test that is asks for ``all_views``."""
    if "all_views" not in request.fixturenames:
        monkeypatch.setattr(conventions, "FULL_VIEWS", FEW_VIEWS)


@pytest.fixture
def all_views() -> int:
    """The number of views of the paper's ground truth."""
    return conventions.FULL_VIEWS
