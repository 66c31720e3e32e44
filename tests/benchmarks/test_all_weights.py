"""A cell depends on every network that takes part: a head's refiner and the one that makes its condition too."""

from __future__ import annotations

from benchmarks.cells import all_weights, weights_sha256
from benchmarks.table_spec import load_table_spec


def test_refiners_and_conditions_count() -> None:
    spec = load_table_spec("table10")
    (method,) = (each for each in spec.methods if each.method == "meddiffusion")
    names = [path.stem for path in all_weights("MR", method, spec.operators[0])]
    assert names == ["mri", "mri-refiner", "modl-mr"]
    without = method.model_copy(update={"settings": {"refiner": "none"}})
    assert [path.stem for path in all_weights("MR", without, spec.operators[0])] == ["mri", "modl-mr"]
    plain = method.model_copy(update={"method": "tv", "settings": {}})
    assert weights_sha256("MR", plain, spec.operators[0]) == []
    assert len(set(weights_sha256("MR", method, spec.operators[0]))) == 3
