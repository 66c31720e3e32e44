"""Many small cells on a local cluster of which a worker is killed: none is lost, and each is reported once."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("distributed")

from benchmarks.table.scaling import timed


def test_no_cell_is_lost_where_a_worker_is_killed(tmp_path: Path) -> None:
    found = timed(workers=2, cells=40, seconds=0.05, kills=1, store=tmp_path)
    assert (found.kept, found.reported, found.killed) == (40, 40, 1)
    assert found.computed <= 40 + 5, "what is finished is not computed again"
    assert not list(tmp_path.glob("*.partial"))
