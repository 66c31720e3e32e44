"""The benchmark of the prior on a small network: every part runs in a process of its own and says what it measured."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner

from benchmarks.cli import main
from benchmarks.speed.prior_parts import CONFIGURATIONS, Job, estimate_flop, measure
from priors.networks.biflownet import BiFlowNet, BiFlowNetConfig

SMALL = ["--configuration", "small", "--size", "32,32,32"]


def test_the_command_prints_seconds_and_memory():
    done = CliRunner().invoke(main, ["speed-prior", "encode", *SMALL, "--json"])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.output)
    assert row["name"] == "small, 32 x 32 x 32, cpu float32: encode"
    assert row["seconds"] > 0
    assert 0.1 < row["peak_gb"] < 5


@pytest.mark.parametrize("part", ["decode", "generate"])
def test_parts_run(part):
    figures = measure(Job(part, "small", (32, 32, 32), steps=2))
    assert figures["seconds"] > 0


def test_options_deviate_by_rounding_only():
    figures = measure(Job("deviation", "small", (32, 32, 32), precision="bfloat16"))
    assert 0 < figures["rms_deviation"] < 0.05
    figures = measure(Job("deviation", "small", (32, 32, 32), channels_last=True))
    assert figures["max_deviation"] < 1e-4


def test_operations_are_those_of_the_network():
    """A first convolution of 3^3 x 8 x 24 weights is a part of it; twice the volume is a little over twice the work."""
    network = BiFlowNet(CONFIGURATIONS["small"][1])
    channels = BiFlowNetConfig().channels
    one, two = (estimate_flop(network, torch.zeros(1, channels, z, 8, 8)) for z in (8, 16))
    assert one > 2 * 27 * 8 * 24 * 512
    assert 1.9 < two / one < 2.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--configuration", "huge"], "huge; one of official-8x, official-4x, small"),
        (["--size", "32x32x32"], "three voxel counts X,Y,Z are wanted"),
    ],
)
def test_wrong_options_are_named(arguments, message):
    done = CliRunner().invoke(main, ["speed-prior", "encode", *arguments])
    assert done.exit_code == 2
    assert message in done.output
