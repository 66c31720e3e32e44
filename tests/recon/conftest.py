"""What the tests of ``recon`` share."""

from __future__ import annotations

import pytest

from priors.store import entries


@pytest.fixture(autouse=True)
def heads_on_request(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped heads are hidden, so ``--method auto`` is the fast ``tv``; tests marked shipped_heads have them."""
    if request.node.get_closest_marker("shipped_heads") is None:
        monkeypatch.setattr("recon.latent_prior.entries", lambda: [entry for entry in entries() if not entry.shipped])
