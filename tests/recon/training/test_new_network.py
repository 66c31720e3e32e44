"""Networks of generators' trainings: settings that follow from elsewhere are refused where the recipe contradicts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from recon.errors import InputError
from recon.training.generators.stages import new_network


def given(**network: object) -> Any:
    return cast(Any, SimpleNamespace(warm_start=None, recipe=SimpleNamespace(network=network), announce=print))


def test_a_setting_that_something_else_decides_is_not_passed_over() -> None:
    small = {"width": 8, "multipliers": [1], "heads": 2, "norm_groups": 4}
    with pytest.raises(InputError, match=r"^recipe: network\.channels 5: must be 3 here$"):
        new_network(given(channels=5, **small), "medicaldiffusion", {"channels": 3})
    for chosen in ({}, {"channels": 3}):
        assert new_network(given(**chosen, **small), "medicaldiffusion", {"channels": 3}).config.channels == 3
