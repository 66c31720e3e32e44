"""Fixtures that several packages' tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real scans and parity fixtures beside the checkout; the test skips where it is missing."""
    if not SHARED.is_dir():
        pytest.skip("the folder ../shared with real scans and parity fixtures is not here")
    return SHARED


@pytest.fixture(scope="session")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small prior of random weights; it is shared, so a test that changes it takes a copy."""
    from tiny_prior import write_prior

    return write_prior(tmp_path_factory.mktemp("prior"))
