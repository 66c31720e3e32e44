"""Settings of BiFlowNet: read back as written, read from the official names, refused in one line when wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from priors.networks.biflownet import BiFlowNet, BiFlowNetConfig

SMALL = BiFlowNetConfig(width=12, multipliers=(1, 1, 2), attention=(False, False, True), norm_groups=4, dit_heads=2)


def test_settings_survive_json() -> None:
    for config in (SMALL, BiFlowNetConfig()):
        assert BiFlowNetConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widht": 72}, "unknown or missing: widht"),
        ({"width": "72"}, "width is '72'"),
        ({"middle_dit": 10**8}, "middle_dit is 100000000; it must be at most 1000"),
        ({"width": True}, "width is True"),
        ({"multipliers": [1, 1.5]}, "lists of whole numbers"),
        ({"multipliers": 5}, "lists of whole numbers"),
        ({"attention": [0, 0, 1]}, "booleans"),
        ({"attention": [True]}, "attention for 1 levels"),
        ({"multipliers": [1, 2, 4]}, "start with 1, 1"),
        ({"multipliers": [1, 1, 1]}, "start with 1, 1"),
        ({"width": 16}, "16 is not a multiple"),
        ({"norm_groups": 5}, "norm_groups, 5"),
        ({"dit_heads": 5}, "dit_heads, 5"),
        ({"channels": 0}, "channels is 0"),
        ({"token_patch": 3}, "tokens of 3"),
        ({"init_kernel": 2}, "odd"),
        ({"intra_patch": "vit"}, "one of dit, unet, none"),
        ({"intra_patch": 1}, "must be a word"),
        ({"prediction": "image"}, "one of noise, velocity"),
        ({"prediction": 0}, "prediction is 0; it must be a word"),
        ({"patient": 1}, "patient is 1; it must be true or false"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        BiFlowNetConfig.from_dict(SMALL.to_dict() | change)
    assert "\n" not in str(refusal.value)


def test_missing_setting_is_refused() -> None:
    values = SMALL.to_dict()
    del values["width"]
    with pytest.raises(ValueError, match="unknown or missing: width"):
        BiFlowNetConfig.from_dict(values)


def test_official_settings_that_never_worked_are_refused() -> None:
    assert BiFlowNetConfig.from_official({"dim": 24, "resnet_groups": 6}) == replace(
        BiFlowNetConfig(), width=24, norm_groups=6
    )
    for wrong in ({"learn_sigma": True}, {"res_condition": False}, {"vq_size": 32}, {"sub_volume_size": (4, 8, 8)}):
        with pytest.raises(ValueError, match=r"only .* works"):
            BiFlowNet.from_official_config(wrong)
    with pytest.raises(ValueError, match="unknown BiFlowNet settings: depth"):
        BiFlowNet.from_official_config({"depth": 3})


def test_weights_from_before_velocities_estimate_noise() -> None:
    values = SMALL.to_dict()
    del values["prediction"]
    assert BiFlowNetConfig.from_dict(values).prediction == "noise"
