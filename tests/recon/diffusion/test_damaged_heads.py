"""Installed heads that are damaged: named and passed over, and no default run fails for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_helpers import run_recon
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from physics.ct.protocol import load_protocol
from priors.weights.store import shipped_folder
from recon.diffusion.controlnet_head import damaged_heads, find_head, load_head
from recon.run.choose import AUTO, FLAGSHIP, choose_method
from recon.scan.measurement import Protocol

SHIPPED = shipped_folder() / "starter" / "heads" / "svct.safetensors"
SCAN = Protocol(geometry=load_protocol("paper40").to_dict(), simulation="ideal")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A head of the user's own, found before the shipped one, still sound."""
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path))
    path = tmp_path / "aaa" / "heads" / "mine.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(SHIPPED.read_bytes())
    return path


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 0x10
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def other_task(path: Path) -> None:
    with safe_open(path, "pt") as file:
        metadata = dict(file.metadata())
    config = json.loads(metadata["config"]) | {"task": {"nonsense": True}}
    save_file(load_file(path), path, metadata | {"config": json.dumps(config)})


def test_a_sound_head_is_taken_without_a_notice(installed):
    assert find_head(SCAN, "CT")[0] == installed
    assert damaged_heads("CT") == ()


@pytest.mark.parametrize("damage", [flip, cut, other_task])
def test_a_damaged_head_is_passed_over_and_named(installed, damage):
    damage(installed)
    path, _ = find_head(SCAN, "CT")
    assert path == SHIPPED
    (notice,) = damaged_heads("CT")
    assert "the installed head aaa/heads/mine is damaged and was passed over: " in notice
    assert "\n" not in notice
    assert choose_method(AUTO, SCAN, "CT", {})[0] == FLAGSHIP
    assert notice in load_head("", "", SCAN, "CT").notices({})


def of_masks(path: Path) -> None:
    with safe_open(path, "pt") as file:
        metadata = dict(file.metadata())
    task = {"task": "mask", "labels": {"1": "kidney"}, "body": 255, "pooling": "fractions"}
    save_file(load_file(path), path, metadata | {"config": json.dumps(json.loads(metadata["config"]) | {"task": task})})


def test_a_head_for_segmentations_is_passed_over_and_is_not_damaged(installed):
    of_masks(installed)
    assert find_head(SCAN, "CT")[0] == SHIPPED
    assert damaged_heads("CT") == ()
    listed = run_recon("weights", "list").out.splitlines()
    (line,) = (each for each in listed if each.startswith("aaa/heads/mine"))
    assert "task: mask (generates for segmentations, reconstructs nothing)" in line
    card = run_recon("weights", "card", installed).out
    assert "generates volumes for segmentations with the labels 1 kidney; it reconstructs nothing" in card
