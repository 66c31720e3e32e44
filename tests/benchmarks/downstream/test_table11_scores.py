"""Scores of classifiers: the paper's own counts, perfect and useless classifiers, and McNemar's exact test."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from benchmarks.downstream.table11.rows import BASELINE, ROWS
from benchmarks.downstream.table11.scores import compare, confusion, score


def predictions(found: int, false: int) -> np.ndarray:
    """(1, 120) probabilities: ``found`` of 60 abnormal volumes and ``false`` of 60 normal ones taken for abnormal."""
    row = np.full(120, 0.1)
    row[:found] = 0.9
    row[60 : 60 + false] = 0.8
    return row[None]


ABNORMAL = np.arange(120) < 60


def test_scores_are_the_papers_for_its_counts():
    before, after = score(predictions(42, 12), ABNORMAL), score(predictions(46, 11), ABNORMAL)
    assert (before.accuracy.value, round(before.f1_abnormal.value, 4)) == (0.75, 0.7368)
    assert (round(after.accuracy.value, 4), round(after.f1_abnormal.value, 4)) == (0.7917, 0.7863)
    assert before.accuracy.low < 0.75 < before.accuracy.high
    assert confusion(predictions(42, 12)[0], ABNORMAL) == {
        "true_abnormal": 42,
        "missed_abnormal": 18,
        "false_abnormal": 12,
        "true_normal": 48,
    }


def test_scores_agree_with_scikit_learn():
    random = np.random.default_rng(3)
    abnormal = random.random(50) < 0.3
    rows = np.round(random.random((3, 50)), 1)  # with ties
    found = score(rows, abnormal)
    taken = [row >= 0.5 for row in rows]
    wanted = {
        "accuracy": np.mean([metrics.accuracy_score(abnormal, each) for each in taken]),
        "f1_abnormal": np.mean([metrics.f1_score(abnormal, each) for each in taken]),
        "f1_normal": np.mean([metrics.f1_score(~abnormal, ~each) for each in taken]),
        "balanced_accuracy": np.mean([metrics.balanced_accuracy_score(abnormal, each) for each in taken]),
        "auc": np.mean([metrics.roc_auc_score(abnormal, row) for row in rows]),
    }
    for name, value in wanted.items():
        assert getattr(found, name).value == pytest.approx(value, abs=1e-6)


def test_a_perfect_classifier_has_no_spread_and_a_constant_one_an_area_of_a_half():
    perfect = score(ABNORMAL[None].astype(float), ABNORMAL)
    assert (perfect.auc.low, perfect.auc.value, perfect.f1_normal.high) == (1.0, 1.0, 1.0)
    constant = score(np.full((1, 120), 0.2), ABNORMAL)
    assert (constant.auc.value, constant.f1_abnormal.value, constant.accuracy.value) == (0.5, 0.0, 0.5)
    with pytest.raises(ValueError, match="one class alone"):
        score(np.full((1, 4), 0.2), np.ones(4, bool))


def test_five_more_right_of_120_are_not_significant():
    found = compare(predictions(47, 12), predictions(42, 12), ABNORMAL)
    assert (found.only_this, found.only_baseline, found.p) == (5, 0, 0.0625)
    assert found.difference.value == pytest.approx(5 / 120, abs=1e-6)
    assert compare(predictions(42, 12), predictions(42, 12), ABNORMAL).p == 1.0


def test_all_rows_but_the_first_take_as_many_steps():
    assert ROWS[0].label == BASELINE
    assert [row.steps(100, 700, 400) for row in ROWS] == [100, 157, 157, 157, 157]
