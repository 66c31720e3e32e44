"""The statistics of rankings, against SciPy's and pingouin's on recorded ranks, and where they are not defined."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.readers.statistics import (
    agreement,
    bootstrap_means,
    friedman,
    holm,
    mid_ranks,
    spearman,
    wilcoxon_against,
)

RECORDED = Path(__file__).with_name("readers.json")


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    content = json.loads(RECORDED.read_text(encoding="utf-8"))
    return {**content["values"], "ranks": np.array(content["ranks"], float)}


@pytest.fixture(scope="module")
def blocks(recorded: dict[str, Any]) -> np.ndarray:
    """(readers x cases, methods)."""
    return recorded["ranks"].reshape(-1, recorded["ranks"].shape[-1])


def test_friedman_and_kendall(recorded: dict[str, Any], blocks: np.ndarray) -> None:
    found = friedman(blocks)
    assert found is not None
    assert found.statistic == pytest.approx(recorded["friedman_statistic"])
    assert found.p == pytest.approx(recorded["friedman_p"])
    assert found.kendall_w == pytest.approx(recorded["kendall_w"])


def test_wilcoxon_and_holm(recorded: dict[str, Any], blocks: np.ndarray) -> None:
    p = wilcoxon_against(blocks, 0)
    assert p == pytest.approx({int(k): v for k, v in recorded["wilcoxon_p_against_first"].items()})
    assert holm(p) == pytest.approx({int(k): v for k, v in recorded["holm"].items()})


def test_means_and_their_intervals(recorded: dict[str, Any], blocks: np.ndarray) -> None:
    assert blocks.mean(axis=0) == pytest.approx(recorded["mean_rank"])
    assert blocks.std(axis=0, ddof=1) == pytest.approx(recorded["sd_rank"])
    intervals = bootstrap_means(blocks, list(range(10)) * 4)
    assert intervals is not None
    assert (intervals[:, 0] < recorded["mean_rank"]).all()
    assert (intervals[:, 1] > recorded["mean_rank"]).all()
    spread = recorded["ranks"].mean(axis=0).std(axis=0, ddof=1) / np.sqrt(10)  # of the mean over cases
    assert np.ptp(intervals, axis=1) == pytest.approx(2 * 1.96 * spread, rel=0.15)
    assert (bootstrap_means(blocks, list(range(10)) * 4) == intervals).all(), "the seed is fixed"


def test_agreement_of_readers(recorded: dict[str, Any]) -> None:
    found = agreement(recorded["ranks"].mean(axis=1).T)
    assert found is not None
    for each, name in zip(found, ("ICC(A,1)", "ICC(A,k)"), strict=True):
        assert each.value == pytest.approx(recorded["icc"][name])
        assert [round(end, 2) for end in (each.low, each.high) if end is not None] == recorded["icc_ci95"][name]


def test_holm_by_hand_and_without_some_values() -> None:
    assert holm({1: 0.01, 2: 0.04, 3: 0.03, 4: None}) == pytest.approx({1: 0.03, 2: 0.06, 3: 0.06, 4: None})
    assert holm({1: 0.9, 2: 0.8}) == {1: 1.0, 2: 1.0}


def test_shared_ranks_are_the_mean_of_their_places() -> None:
    assert mid_ranks(np.array([[1, 1, 3], [1, 1, 2], [2, 2, 2]])).tolist() == [[1.5, 1.5, 3], [1.5, 1.5, 3], [2, 2, 2]]


@pytest.mark.filterwarnings("error")
def test_what_is_not_defined_is_none() -> None:
    tied = np.full((8, 3), 2.0)
    assert friedman(tied) is None
    assert friedman(np.array([[1.0, 2.0, 3.0]])) is None
    assert wilcoxon_against(tied, 0) == {1: 1.0, 2: 1.0}
    assert wilcoxon_against(np.array([[1.0, 2.0]] * 5), 0) == {1: None}
    assert bootstrap_means(tied, [0] * 8) is None
    assert agreement(np.array([[1.0], [2.0]])) is None
    assert agreement(np.full((3, 2), 2.0)) is None
    assert spearman([1, 1, 1], [1, 2, 3]) is None


@pytest.mark.filterwarnings("error")
def test_readers_who_agree_exactly() -> None:
    found = agreement(np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]))
    assert found is not None
    assert [each.value for each in found] == [1.0, 1.0]
    assert found[0].low is None
