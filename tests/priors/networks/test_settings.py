"""Settings of networks as plain values and back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from priors.networks.adm_config import ADMConfig
from priors.networks.fbpconvnet import FBPConvNetConfig
from priors.networks.settings import check_positive, plain_settings, read_settings
from priors.networks.unet2d import UNetConfig
from priors.networks.unrolled import MoDLConfig, PrimalDualConfig


@dataclass(frozen=True)
class Example:
    """Every sort of setting that there is."""

    count: int = 3
    share: float = 0.5
    on: bool = False
    name: str = "plain"
    mode: Literal["slow", "fast"] = "slow"
    levels: tuple[int, ...] = (1, 2)


EXAMPLES = st.builds(
    Example,
    count=st.integers(),
    share=st.floats(allow_nan=False),
    on=st.booleans(),
    name=st.text(),
    mode=st.sampled_from(["slow", "fast"]),
    levels=st.lists(st.integers()).map(tuple),
)
COUNT = st.integers(1, 9)
NETWORKS = st.one_of(
    st.builds(FBPConvNetConfig, COUNT, st.integers(2, 6), st.booleans(), st.booleans()),
    st.builds(UNetConfig, COUNT, COUNT, COUNT, COUNT, st.floats(0, 0.9), st.booleans(), st.booleans()),
    st.builds(PrimalDualConfig, COUNT, COUNT, COUNT, COUNT),
    st.builds(MoDLConfig, COUNT, COUNT, st.integers(2, 9), st.booleans(), COUNT),
    st.sampled_from([ADMConfig.dds_ct(), ADMConfig.dds_mri(), ADMConfig.dolce()]),
)


@settings(deadline=None, max_examples=100)
@given(example=EXAMPLES)
def test_settings_come_back_from_json(example: Example) -> None:
    held = json.loads(json.dumps(plain_settings(example)))
    assert read_settings(Example, "example", held) == example


@settings(deadline=None, max_examples=60)
@given(config=NETWORKS)
def test_every_network_reads_its_own_settings_from_json(config: Any) -> None:
    assert type(config).from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"count": 2.0}, "count is 2.0; it must be a whole number"),
        ({"count": True}, "count is True; it must be a whole number"),
        ({"count": None}, "count is None; it must be a whole number"),
        ({"share": "half"}, "share is 'half'; it must be a number"),
        ({"share": False}, "share is False; it must be a number"),
        ({"on": 1}, "on is 1; it must be true or false"),
        ({"on": "no"}, "on is 'no'; it must be true or false"),
        ({"name": 3}, "name is 3; it must be a text"),
        ({"mode": "medium"}, "mode is 'medium'; it must be one of slow, fast"),
        ({"mode": ["slow"]}, r"mode is \['slow'\]; it must be one of slow, fast"),
        ({"levels": 2}, "levels is 2; it must be a list, each a whole number"),
        ({"levels": [1, "two"]}, r"levels is \[1, 'two'\]; it must be a list, each a whole number"),
        ({"levels": [1, True]}, "levels is .* a list, each a whole number"),
        ({"other": 1}, "unknown or missing: other"),
        ({"other": 1, 7: 1}, "unknown or missing: 7, other"),
    ],
)
def test_a_wrong_setting_is_named(change: dict[Any, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^example setting.*{said}"):
        read_settings(Example, "example", plain_settings(Example()) | change)


@pytest.mark.parametrize("name", ["count", "mode", "levels"])
def test_a_missing_setting_is_named_and_no_default_taken(name: str) -> None:
    held = plain_settings(Example())
    del held[name]
    with pytest.raises(ValueError, match=f"unknown or missing: {name}$"):
        read_settings(Example, "example", held)


def test_tuples_are_held_as_lists() -> None:
    """As JSON gives them back, so that settings written and settings read compare equal."""
    assert plain_settings(Example())["levels"] == [1, 2]


def test_a_whole_number_is_a_number() -> None:
    assert read_settings(Example, "example", plain_settings(Example()) | {"share": 1}).share == 1


@pytest.mark.parametrize("value", [0, -3])
def test_counts_below_one_are_refused(value: int) -> None:
    check_positive("example", Example(count=1), "count")
    with pytest.raises(ValueError, match=f"example setting count is {value}; it must be 1 or more"):
        check_positive("example", Example(count=value), "count")


def test_counts_of_which_nothing_can_be_built_are_refused() -> None:
    with pytest.raises(ValueError, match=r"example setting count is 2097152; it must be at most 1048576"):
        check_positive("example", Example(count=2**21), "count")


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        (FBPConvNetConfig, {"levels": 1}, "levels is 1; it must be 2 or more"),
        (FBPConvNetConfig, {"width": 0}, "width is 0"),
        (UNetConfig, {"chans": 0}, "chans is 0"),
        (UNetConfig, {"pool_layers": 0}, "pool_layers is 0"),
        (UNetConfig, {"drop": 1.0}, r"drop 1.0 must be in \[0, 1\)"),
        (UNetConfig, {"drop": float("nan")}, "drop nan"),
        (PrimalDualConfig, {"dual_memory": 0}, "dual_memory is 0"),
        (MoDLConfig, {"depth": 1}, "depth is 1; it must be 2 or more"),
        (MoDLConfig, {"iterations": 0}, "iterations is 0"),
    ],
)
def test_sizes_that_no_network_can_have_are_refused(kind: Any, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kind.from_dict(kind().to_dict() | change)
