"""A cell depends on every network that takes part: a head's refiner and the one that makes its condition too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.table.cells import all_weights, weights_sha256
from benchmarks.table.spec import load_table_spec
from priors.weights.card import read_card, read_tensors, save_weights


def test_refiners_and_conditions_count() -> None:
    spec = load_table_spec("table10")
    (method,) = (each for each in spec.methods if each.method == "meddiffusion")
    names = [path.stem for path in all_weights("MR", method, spec.operators[0])]
    assert names == ["mri", "mri-refiner", "modl-mr"]
    without = method.model_copy(update={"settings": {"refiner": "none"}})
    assert [path.stem for path in all_weights("MR", without, spec.operators[0])] == ["mri", "modl-mr"]
    paper = method.model_copy(update={"method": "meddiffusion-paper", "settings": {}})
    assert [path.stem for path in all_weights("MR", paper, spec.operators[0])] == ["mri", "modl-mr"]
    plain = method.model_copy(update={"method": "tv", "settings": {}})
    assert weights_sha256("MR", plain, spec.operators[0]) == []
    assert len(set(weights_sha256("MR", method, spec.operators[0]))) == 4  # three networks, and a card


def test_what_a_heads_card_says_counts(tmp_path: Path) -> None:
    spec = load_table_spec("table10")
    (method,) = (each for each in spec.methods if each.method == "meddiffusion")
    (installed, *_) = all_weights("MR", method, spec.operators[0])
    card, tensors = read_card(installed), read_tensors(installed)
    found = {}
    for name, facts in (("same", {}), ("other", {"calibration": {"poisson": {"factor": 9.0, "floor": 0.0}}})):
        path = tmp_path / f"{name}.safetensors"
        save_weights(path, tensors, replace(card, extra=card.extra | facts))
        given = method.model_copy(update={"settings": {"weights": str(path)}})
        found[name] = weights_sha256("MR", given, spec.operators[0])
    assert found["same"] == weights_sha256("MR", method, spec.operators[0])
    assert found["other"] != found["same"]
