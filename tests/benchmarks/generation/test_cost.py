"""What generators cost: training by the cards, operations by counting, and the table of both."""

from __future__ import annotations

import json

import pytest
import torch
from cli_helpers import run_benchmarks
from torch import nn
from torch.nn import functional
from toy_generators import write_toy

import benchmarks.generation.cost as costs
from benchmarks.generation.cost_files import count_text, flops_text
from benchmarks.generation.figures import duration_text
from benchmarks.generation.flops import counted, counted_without_computing, zeros
from benchmarks.generation.full_size import FULL_SIZE, CountedUse, FullSize, full_size
from benchmarks.generation.training import trained
from priors.weights.card import Card, save_weights


def write_card(path, kind, **extra):
    save_weights(path, {"weight": torch.zeros(2, 3)}, Card(kind, {}, extra=extra))


def test_the_training_of_all_networks_of_a_folder_adds_up(tmp_path):
    facts = {"device": "cpu", "threads": 2}
    write_card(tmp_path / "a.safetensors", "autoencoder", seconds=100.0, steps=10, cases=["x", "y"], **facts)
    write_card(tmp_path / "b.safetensors", "biflownet", seconds_of_last_session=20.0, step=5, cases=["x"], **facts)
    (tmp_path / "c.safetensors").write_text("no weights")
    found = trained(tmp_path)
    assert found.seconds == 120.0
    assert found.steps == {"autoencoder": 10, "biflownet": 5}
    assert (found.parameters, found.threads, found.volumes, found.devices) == (12, 2, 2, ("cpu",))


def test_a_card_without_a_time_leaves_the_sum_unknown(tmp_path):
    write_card(tmp_path / "a.safetensors", "wdm", seconds=100.0)
    write_card(tmp_path / "b.safetensors", "wdm")
    assert trained(tmp_path).seconds is None
    assert trained(tmp_path / "nowhere").seconds is None


@pytest.mark.parametrize("fake", [False, True])
def test_operations_are_two_for_each_product(fake):
    def both(network):
        attended = functional.scaled_dot_product_attention(*(zeros(1, 2, 8, 4) for _ in range(3)))
        return network(zeros(1, 2, 4, 4, 4)), attended

    wanted = 2 * (4**3 * 27 * 2 * 5) + 2 * 2 * 2 * (8 * 8 * 4)  # a convolution; two products of two heads
    network = nn.Conv3d(2, 5, 3, padding=1)
    if fake:
        found, parameters = counted_without_computing(lambda: nn.Conv3d(2, 5, 3, padding=1), both)
        assert parameters == 2 * 5 * 27 + 5
    else:
        found = counted(lambda: both(network))
    assert found == wanted


PUBLISHED = {
    "HA-GAN": ([472e9], None),
    "MedicalDiffusion": ([1.05e12, 6.4e12], None),
    "WDM": ([8.41e12], None),
    "MAISI": ([2.049e12, 54e12], None),
    "MedSyn": ([12.1e12, 81.5e12], 716_215_684 + 54_307_908),
    "3D MedDiffusion (8x)": ([361e9, 23e12], 157_654_880 + 34_818_921),
    "3D MedDiffusion (4x)": ([2.46e12, 53.9e12], 157_773_824 + 8_485_641),
}
"""Operations of one call of each network, counted from the official codes (ours: from the released sizes), and the
parameters of all."""


@pytest.mark.parametrize("method", FULL_SIZE)
def test_published_sizes_are_counted(method):
    if method == "MAISI":
        pytest.importorskip("monai")
    found = full_size(method)
    calls, parameters = PUBLISHED[method]
    assert [use.flops_of_a_call for use in found.uses] == pytest.approx(calls, rel=0.02)
    assert parameters in (None, found.parameters)


def test_a_network_that_cannot_be_made_is_said_to_be_uncounted(tmp_path, no_networks, monkeypatch):
    def missing(method):
        raise ValueError("it needs a package")

    monkeypatch.setattr(costs, "full_size", missing)
    found = run_benchmarks("run", "table2", "--out", tmp_path)
    assert found.code == 0, found.err
    assert "WDM at its published size: it needs a package" in found.out


@pytest.fixture
def no_networks(monkeypatch):
    """One small network in place of all that are published."""
    counted_use = FullSize("WDM", (CountedUse("wdm", 1000, 81_000_000, 8_410_000_000_000),))
    monkeypatch.setattr(costs, "FULL_SIZE", {"WDM": ()})
    monkeypatch.setattr(costs, "full_size", lambda method: counted_use)


def test_the_table_measures_and_counts(priors, tmp_path, no_networks):
    folder = write_toy(tmp_path / "hagan", "HA-GAN", 0.5, one_pass=True)
    write_card(folder / "hagan.safetensors", "hagan", seconds=480.0, threads=1, device="cpu", steps=40)
    given = ("--prior", folder, "--prior", priors / "wdm", "--count", 2, "--out", tmp_path / "out")
    found = run_benchmarks("run", "table2", *given)
    assert found.code == 0, found.err
    content = json.loads((tmp_path / "out" / "table2" / "results.json").read_text())
    hagan, wdm = content["rows"]
    assert hagan["trained"] == {
        "seconds": 480.0,
        "steps": {"hagan": 40},
        "parameters": 6,
        "threads": 1,
        "devices": ["cpu"],
        "volumes": None,
    }
    assert hagan["flops"] == 2 * 32**3 * 27
    assert wdm["trained"]["seconds"] is None
    assert content["full_size"][0]["flops"] == 1000 * 8_410_000_000_000
    assert content["paper"]["rows"][0]["training_h"] == 30
    assert "8.0 min" in found.out
    assert "8.41 PFLOP" in found.out
    assert {path.name for path in (tmp_path / "out" / "table2").iterdir()} == {
        "results.json",
        "table.txt",
        "table.tex",
        "index.html",
    }
    again = run_benchmarks("run", "table2", *given)
    assert "one volume more" not in again.err, "the count is kept"


def test_volumes_of_another_table_are_measured_already(scans, priors, tmp_path, no_networks):
    shared = ("--prior", priors / "wdm", "--out", tmp_path)
    run_benchmarks("run", "table3", "--data", scans, "--count", 5, "--features", "pooled", *shared)
    found = run_benchmarks("run", "table2", "--count", 4, *shared)
    assert found.code == 0, found.err
    assert "volumes are there" not in found.err


def test_without_generators_the_published_sizes_are_counted(tmp_path, no_networks):
    found = run_benchmarks("run", "table2", "--out", tmp_path)
    assert found.code == 0, found.err
    assert "MedSyn: no weights" in found.out
    assert "8.41 PFLOP" in found.out


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (flops_text(2.05e12), "2.05 TFLOP"),
        (flops_text(8.4e15), "8.4 PFLOP"),
        (flops_text(0.47e9), "470 MFLOP"),
        (count_text(81_030_000), "81.0 M"),
        (duration_text(None), "–"),
        (duration_text(480), "8.0 min"),
        (duration_text(7200), "2.0 h"),
    ],
)
def test_words_for_large_numbers(text, wanted):
    assert text == wanted
