"""Parts of training volumes: where they lie, how coarse they are, and that they are the same each time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets import open_dataset
from datasets.cache import Cache
from physics.ct.geometry import FanBeam, circular_angles
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.acquisition.mr_acquisition import MRAcquisition
from recon.learned.task import Task
from recon.training.excerpts import WHOLE, Excerpts
from recon.training.pairs import simulate_pairs
from recon.training.prepared import Prepared, prepare
from recon.training.sources import parse_data, parts_for

TASK = Task(CTAcquisition(FanBeam(circular_angles(8), pitch=6.0)), ("fbp",))


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    cases = open_dataset("phantom:count=1,size=10x65x70,spacing=6x5x5", None).cases()
    (found,) = prepare(cases, Cache(tmp_path_factory.mktemp("cache")))
    return found


@pytest.fixture(scope="module")
def magnitude(volume) -> Prepared:
    """The same anatomy as MR."""
    stored = (volume.data.clip(-1000, 1000) + 1000) * 5
    return replace(volume, case=replace(volume.case, modality="MR"), data=stored)


def test_whole_volumes_are_what_they_were(volume) -> None:
    assert torch.equal(WHOLE.of(volume, 3).data, volume.volume().data)
    assert WHOLE.to_dict() == {}


def test_slices_are_neighbours_from_places_that_follow_from_the_seed(volume) -> None:
    whole, excerpts = volume.volume().data, Excerpts(slices=4)
    firsts = set()
    for seed in range(20):
        part = excerpts.of(volume, seed)
        assert torch.equal(part.data, excerpts.of(volume, seed).data)
        assert part.spacing == pytest.approx(volume.volume().spacing)
        firsts |= {z for z in range(7) if torch.equal(whole[z : z + 4], part.data)}
    assert len(firsts) > 3
    assert torch.equal(Excerpts(slices=11).of(volume, 0).data, whole)


def test_slices_of_air_alone_are_not_taken(volume) -> None:
    stored = volume.data.copy()
    stored[:7] = -1000
    half_empty = replace(volume, data=stored)
    assert all(float(Excerpts(slices=2).of(half_empty, seed).data.max()) > 0 for seed in range(20))
    empty = replace(volume, data=np.full_like(stored, -1000))
    assert Excerpts(slices=2).of(empty, 0).data.shape[0] == 2


def test_a_share_of_them_is_coarser(volume) -> None:
    whole = volume.volume()
    parts = [Excerpts(coarse=0.4).of(volume, seed) for seed in range(40)]
    coarse = [part for part in parts if part.data.shape[1:] != whole.data.shape[1:]]
    assert 6 < len(coarse) < 30
    z, y, x = whole.spacing
    assert coarse[0].spacing == pytest.approx((z, 2 * y, 2 * x))
    rows, columns = (size // 2 for size in whole.data.shape[1:])
    inside = whole.data[:, : 2 * rows, : 2 * columns]
    assert coarse[0].data.shape[1:] == (rows, columns)
    torch.testing.assert_close(coarse[0].data[2, 3, 5], inside[2, 6:8, 10:12].mean())


def test_scans_of_excerpts_are_kept_apart_from_those_of_whole_volumes(volume, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    (whole,) = simulate_pairs([volume], TASK, 1, cache)
    (part,) = simulate_pairs([volume], TASK, 1, cache, excerpts=Excerpts(slices=3))
    assert whole.images.shape[1] == volume.data.shape[0]
    assert part.images.shape[1] == 3
    assert part.key != whole.key
    assert part.seed == whole.seed


def test_one_list_of_ct_and_mr_serves_both(tmp_path: Path) -> None:
    listed = tmp_path / "data.yaml"
    listed.write_text(
        "- {dataset: 'phantom:count=2', modality: CT}\n- {dataset: folder, path: ., modality: MR, class: MRT1Brain}\n"
        "- {dataset: folder, path: .}\n"
    )
    parts = parse_data(str(listed), "folder", None, None)
    assert parts_for(parts, None) == parts
    assert parts_for(parts, TASK) == [parts[0], parts[2]]
    assert parts_for(parts, Task(MRAcquisition(), ("zero-filled",))) == parts[1:]
    assert parts_for(parts[:1], Task(MRAcquisition(), ("zero-filled",))) == parts[:1]


def test_a_share_of_mr_is_cut_along_another_axis(volume, magnitude) -> None:
    assert Excerpts(planes=1.0).of(volume, 0).data.shape == volume.volume().data.shape
    whole = magnitude.volume()
    parts = [Excerpts(planes=0.5).of(magnitude, seed) for seed in range(40)]
    shapes = {tuple(part.data.shape) for part in parts}
    z, y, x = whole.data.shape
    assert shapes == {(z, y, x), (y, z, x), (x, z, y)}
    coronal = next(part for part in parts if part.data.shape == (y, z, x))
    assert torch.equal(coronal.data[3], whole.data[:, 3])
    assert coronal.spacing == pytest.approx((whole.spacing[1], whole.spacing[0], whole.spacing[2]))


def test_volumes_of_thick_slices_are_not(magnitude) -> None:
    thick = replace(magnitude, spacing=(9.0, 5.0, 5.0))
    assert all(Excerpts(planes=1.0).of(thick, seed).data.shape == magnitude.volume().data.shape for seed in range(5))


def test_a_share_of_mr_has_other_contrast_with_dark_air_and_little_noise(volume, magnitude) -> None:
    whole = magnitude.volume().data
    parts = [Excerpts(contrast=0.5).of(magnitude, seed).data for seed in range(40)]
    changed = [part for part in parts if not torch.equal(part, whole)]
    assert 10 < len(changed) < 30
    assert len({float(part.mean()) for part in changed}) == len(changed)
    for part in changed:
        assert part.shape == whole.shape
        assert float(part[whole == 0].abs().max()) == 0
        assert float(part.max()) <= 1
        assert (part.diff(dim=2).abs() <= 3.001 * whole.diff(dim=2).abs() + 1e-6).all()
    assert torch.equal(Excerpts(contrast=1.0).of(volume, 3).data, volume.volume().data)


def test_a_share_of_mr_is_noisier_everywhere(volume, magnitude) -> None:
    whole = magnitude.volume().data
    parts = [Excerpts(grain=0.5).of(magnitude, seed).data for seed in range(40)]
    noise = [part - whole for part in parts if not torch.equal(part, whole)]
    assert 10 < len(noise) < 30
    bright = [float(each[whole > 0.5].std()) for each in noise]
    assert max(bright) < 0.053
    assert max(bright) > 4 * min(bright)
    for each, spread in zip(noise, bright, strict=True):  # Rayleigh where there is no signal
        assert float(each[whole == 0].mean()) == pytest.approx(spread * (torch.pi / 2) ** 0.5, rel=0.1)
    assert torch.equal(Excerpts(grain=1.0).of(volume, 3).data, volume.volume().data)
    assert Excerpts(slices=3, grain=1.0).to_dict() == {"slices": 3, "grain": 1.0}
