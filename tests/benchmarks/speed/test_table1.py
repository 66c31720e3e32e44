"""Table I: what is counted is what autograd keeps, and the two strategies differ by the encoder."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from benchmarks.cli import main
from benchmarks.speed.table1 import Needed, count, kept_bytes
from benchmarks.table.published import published
from priors.networks.autoencoder import AutoencoderConfig

SMALL = AutoencoderConfig(width=8, latent_channels=4, codes=16, norm_groups=4, patch=16)


def test_kept_bytes_of_a_chain_whose_answer_is_known():
    """A squared linear layer keeps its input (for the weight's gradient) and its output (for the square's)."""
    layer, x = nn.Linear(10, 20), torch.randn(5, 10)
    assert kept_bytes(lambda: layer(x).square().sum()) == 4 * (5 * 10 + 5 * 20)


def test_a_tensor_that_two_operations_keep_counts_once():
    x = torch.randn(100, requires_grad=True)
    assert kept_bytes(lambda: (x.exp() * x).sum()) == 4 * (100 + 100)


def test_the_encoder_is_what_the_strategies_differ_by():
    naive, efficient = (count(SMALL, 32, strategy) for strategy in ("naive", "efficient"))
    assert efficient.per_image < naive.per_image
    assert efficient.fixed < naive.fixed, "no gradients and moments of the encoder"
    larger = count(SMALL, 64, "efficient")
    assert larger.per_image == pytest.approx(8 * efficient.per_image, rel=0.05), "memory follows the volume"
    assert larger.fixed == efficient.fixed


def test_batches_fit_in_eighty_gigabytes():
    assert Needed(per_image=30e9, fixed=10e9).largest_batch == 2
    assert Needed(per_image=90e9, fixed=1e9).largest_batch == 0
    assert Needed(per_image=1e9, fixed=2e9).total(3) == 5e9


def test_the_command_keeps_our_figures_and_the_papers_apart(monkeypatch):
    monkeypatch.setattr("benchmarks.speed.table1.SIZES", (16,))
    done = CliRunner().invoke(main, ["run", "table1", "--json"])
    assert done.exit_code == 0, done.output
    content = json.loads(done.output)
    assert content["paper"] == published("table1")
    assert content["paper"]["rows"][1]["efficient_gb"] == 16.21
    assert all("measured" not in key for row in content["ours"] for key in row), "nothing is measured without a GPU"
    text = CliRunner().invoke(main, ["run", "table1"]).output
    assert "The paper's own figures:" in text
    assert "does not fit" in text


def test_a_gpu_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = CliRunner().invoke(main, ["run", "table1", "--device", "cuda"])
    assert done.exit_code == 2
    assert "no CUDA device" in done.output


@pytest.mark.gpu
def test_the_count_is_below_what_a_gpu_measures():
    from benchmarks.speed.table1 import measure

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    measured = measure(SMALL, 64, "efficient", "cuda")
    assert measured is not None
    assert 0.5 * measured < count(SMALL, 64, "efficient").total() / 1e9 < measured * 1.1
