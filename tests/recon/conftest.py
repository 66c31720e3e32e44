"""What the tests of ``recon`` share."""

from __future__ import annotations

import pytest

from priors.weights.store import entries


@pytest.fixture(autouse=True)
def heads_on_request(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped heads are hidden, so ``--method auto`` is the fast ``tv``; tests marked shipped_heads have them."""
    if request.node.get_closest_marker("shipped_heads") is None:
        monkeypatch.setattr(
            "recon.diffusion.controlnet_head.entries", lambda: [entry for entry in entries() if not entry.shipped]
        )
