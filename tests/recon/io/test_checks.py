"""Values that nothing can be computed from are refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recon.errors import InputError
from recon.io.checks import check_values
from recon.run.result import finite


@pytest.mark.parametrize(("scale", "word"), [(1e30, "too large"), (1e-30, "too small")])
@pytest.mark.parametrize("kind", [np.float32, np.complex64])
def test_scales_that_no_unit_has(scale: float, word: str, kind: type) -> None:
    values = (np.arange(1, 9) * scale).astype(kind)
    with pytest.raises(InputError, match=rf"^k\.npy: the largest value of the k-space is .*{word} to compute with"):
        check_values(Path("k.npy"), values, "k-space")
    check_values(Path("k.npy"), (np.arange(1, 9) * 1e-9).astype(kind), "k-space")


def test_json_has_no_nan_and_no_infinity() -> None:
    values = {"a": float("nan"), "b": [1.0, float("inf")], "c": {"d": (-float("inf"), "x", None)}, "e": 3}
    assert finite(values) == {"a": None, "b": [1.0, None], "c": {"d": [None, "x", None]}, "e": 3}
