"""MS-SSIM of volumes: known answers, MONAI's where it is installed, and its mean over random pairs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from benchmarks.quality.generation.ms_ssim import (
    WEIGHTS,
    largest_scales,
    ms_ssim,
    pair_similarity,
)

KNOWN = {(56, 7, 3): 0.815935, (56, 11, 2): 0.896179, (30, 5, 2): 0.952764}
"""By size, window and scales: what :func:`ms_ssim` gave of :func:`formula` on the day when it agreed with the
recordings of MONAI 1.6.1 in ``../shared`` to 5e-5."""


def formula(n: int) -> tuple[Tensor, Tensor]:
    """Two volumes in [0, 1] without a random number."""
    z, x, y = (
        torch.arange(n, dtype=torch.float32).reshape([-1 if at == axis else 1 for at in range(3)]) for axis in range(3)
    )
    one = torch.sin(0.31 * z + 0.05 * x) * torch.cos(0.23 * y) / 2 + 0.5
    other = torch.sin(0.31 * z + 0.06 * x + 0.2) * torch.cos(0.21 * y) / 2 + 0.5
    return one[None], other[None]


@pytest.mark.parametrize(("n", "kernel", "scales"), KNOWN)
def test_known_answers(n: int, kernel: int, scales: int) -> None:
    one, other = formula(n)
    assert float(ms_ssim(one, other, kernel=kernel, scales=scales)) == pytest.approx(KNOWN[n, kernel, scales], abs=1e-5)
    assert float(ms_ssim(one, one, kernel=kernel, scales=scales)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("n", "kernel", "scales"), [(112, 7, 5), (56, 7, 3), (56, 11, 2)])
def test_the_recordings_are_reproduced(shared: Path, n: int, kernel: int, scales: int) -> None:
    folder = shared / "fixtures" / "generation" / "metrics"
    known = json.loads((folder / "metrics.json").read_text())["values"]
    held = load_file(folder / "metrics.safetensors")
    one, other = (
        functional.interpolate(held[name], size=(n, n, n), mode="trilinear", align_corners=False)[0]
        for name in ("volume_seed", "other_seed")
    )
    one, other = ((each - each.min()) / (each.max() - each.min()) for each in (one, other))
    pairs = {"rolled": torch.roll(one, (3, -2, 5), (1, 2, 3)), "other": other, "mixed": 0.7 * one + 0.3 * other}
    for name, second in pairs.items():
        wanted = known[f"ms_ssim_monai_n{n}_k{kernel}_scales{scales}_{name}"]
        assert float(ms_ssim(one, second, kernel=kernel, scales=scales)) == pytest.approx(wanted, rel=1e-4)


def test_monai_gives_the_same() -> None:
    metric = pytest.importorskip("monai.metrics.regression").MultiScaleSSIMMetric
    one, other = formula(32)
    theirs = metric(spatial_dims=3, data_range=1.0, kernel_size=5, weights=WEIGHTS[:2])(one[None], other[None])
    assert float(ms_ssim(one, other, kernel=5, scales=2)) == pytest.approx(float(theirs), abs=2e-5)


def test_volumes_of_a_batch_are_apart() -> None:
    one, other = formula(20)
    both = ms_ssim(torch.cat([one, other]), torch.cat([other, other]), kernel=5, scales=2)
    assert both[0] == ms_ssim(one, other, kernel=5, scales=2)[0]
    assert both[1] == pytest.approx(1, abs=1e-5)


def test_scales_that_do_not_fit_are_refused_and_not_left_out() -> None:
    assert [largest_scales((n, 200, 200)) for n in (6, 7, 14, 64, 111, 112, 512)] == [0, 1, 2, 4, 4, 5, 5]
    one, other = formula(20)
    with pytest.raises(ValueError, match=r"`scales` 3: volumes of 20 x 20 x 20 voxels allow 2 with a window of 7"):
        ms_ssim(one, other, scales=3)
    for scales in (0, 6):
        with pytest.raises(ValueError, match=f"`scales` {scales}: must be 1 to 5"):
            ms_ssim(one, other, scales=scales)


def noise(count: int, deviation: float) -> Tensor:
    base = formula(16)[0] * 2 - 1
    return base + deviation * torch.randn(count, 16, 16, 16, generator=torch.Generator().manual_seed(0))


def pairs_of(volumes: Tensor, pairs: int, seed: int = 0):
    return pair_similarity(volumes, pairs=pairs, kernel=7, scales=2, random=np.random.default_rng(seed))


def test_pairs_are_different_and_as_many_as_asked_for() -> None:
    volumes = noise(5, 0.2)
    some, every = pairs_of(volumes, 4), pairs_of(volumes, 500)
    assert (some.pairs, every.pairs) == (4, 10)
    assert every.mean < 0.999, "no volume is paired with itself"
    assert (every.kernel, every.scales, every.size) == (7, 2, (16, 16, 16))
    assert pairs_of(list(volumes), 4) == some, "a sequence of volumes is as good as a tensor"
    assert pairs_of(volumes, 4, seed=1) != some


def test_a_set_of_less_diversity_is_more_similar() -> None:
    assert pairs_of(noise(5, 0.05), 10).mean > pairs_of(noise(5, 0.5), 10).mean


def test_the_standard_error_counts_volumes_and_not_pairs() -> None:
    """Half of the volumes are one picture: which half is drawn decides, however many pairs there are."""
    torch.manual_seed(0)
    volumes = torch.cat([noise(6, 0.01), torch.rand(6, 16, 16, 16) * 2 - 1])
    found = pairs_of(volumes, 66)
    assert found.pairs == 66
    assert found.standard_error > 0.05
    assert pairs_of(noise(12, 0.05), 66).standard_error < 0.2 * found.standard_error


def test_one_volume_has_no_pairs() -> None:
    with pytest.raises(ValueError, match="1 volumes: the similarity of pairs needs 2"):
        pairs_of(noise(1, 0.1), 5)
