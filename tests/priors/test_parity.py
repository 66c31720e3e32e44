"""The official networks' numbers without their files: see the package ``parity`` beside this folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from parity import layouts
from parity.__main__ import CASES, RECORDED
from parity.formula import TEXT, VERSION, largest_difference, summary

NETWORKS: dict[str, Any] = json.loads((RECORDED / "networks.json").read_text())
LAYOUTS: dict[str, Any] = json.loads((RECORDED / "layouts.json").read_text())


def test_what_is_recorded_is_what_the_script_computes() -> None:
    assert NETWORKS["formula"] == {"version": VERSION, "text": TEXT}
    assert NETWORKS["cases"].keys() == CASES.keys()
    assert LAYOUTS.keys() == layouts.NETWORKS.keys()
    for name, case in CASES.items():
        known = NETWORKS["cases"][name]
        assert known["tolerance"] == case.tolerance
        assert known["official"]["recording"] == case.recording
        assert known["official"]["largest_deviation"] <= case.tolerance


@pytest.mark.parametrize("name", CASES)
def test_a_network_computes_what_it_did_when_it_agreed_with_the_official_one(name: str) -> None:
    known, computed = NETWORKS["cases"][name], CASES[name].compute()
    assert computed.network == known["network"]
    config = json.loads(json.dumps(computed.config))
    assert config == config | known["config"], "settings that came later may be missing in what was recorded"
    assert computed.weights_sha256 == known["weights_sha256"]
    assert computed.outputs.keys() == known["outputs"].keys()
    found = {
        name: largest_difference(summary(value), known["outputs"][name]) for name, value in computed.outputs.items()
    }
    assert max(found.values()) <= known["tolerance"], found


@pytest.mark.parametrize("name", layouts.NETWORKS)
def test_tensors_are_named_and_shaped_as_in_the_released_files(name: str) -> None:
    assert layouts.ours(name) == LAYOUTS[name]


@pytest.mark.parametrize("name", CASES)
def test_the_official_recording_still_agrees(name: str, shared: Path) -> None:
    assert CASES[name].deviation(shared / "fixtures") <= CASES[name].tolerance
