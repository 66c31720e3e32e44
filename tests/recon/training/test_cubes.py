"""Cubes of volumes on one grid: means, heights, sides, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.cache import Cache
from datasets.case import Case
from recon.errors import InputError
from recon.training.cubes import CubeGrid, CubeSource, cube_grid, cube_volumes, sampled_means
from recon.training.prepared import Prepared
from recon.training.settings.generators import CubeTask
from recon.training.sources import TrainingVolume


def volume(tmp_path: Path, data: np.ndarray, spacing: tuple[float, float, float], name: str = "a") -> TrainingVolume:
    path = tmp_path / f"{name}.npy"
    np.save(path, data)
    case = Case(name, name, "CT", "volume", path, "train")
    return TrainingVolume(Prepared(case, data.astype(np.int16), spacing), 1)


def test_means_over_cells_of_another_grid() -> None:
    weights = sampled_means(4, 1.0, 0.5, 2, 1.5)
    torch.testing.assert_close(weights * 1.5, torch.tensor([[0.5, 1, 0, 0], [0, 0, 1, 0.5]], dtype=torch.float64))
    beyond = sampled_means(2, 1.0, -1.0, 4, 1.0)
    assert beyond.sum(1).tolist() == [0, 1, 1, 0]


def test_a_cube_holds_the_means_of_the_volume_and_air_beside_it(tmp_path: Path) -> None:
    data = np.full((8, 6, 6), 200)
    data[4:] = 400
    source = CubeSource(
        [volume(tmp_path, data, (1.0, 2.0, 2.0))],
        CubeGrid((2, 4, 4), 4.0),
        CubeTask(size=(2, 4, 4)),
        Cache(tmp_path / "cache"),
    )
    image = source.sample(0, 3)["image"]
    assert image.shape == (1, 2, 4, 4)
    torch.testing.assert_close(image[0, :, 1, 1], torch.tensor([0.2, 0.4]), atol=1e-4, rtol=0)
    # The grid is 16 mm wide and the volume 12: half of the outer cells is air.
    torch.testing.assert_close(image[0, 0, 0, 1], torch.tensor(0.5 * 0.2 - 0.5), atol=1e-4, rtol=0)
    torch.testing.assert_close(image[0, 0, 0, 0], torch.tensor(0.25 * 0.2 - 0.75), atol=1e-4, rtol=0)


def test_heights_and_sides_are_drawn_by_the_seed(tmp_path: Path) -> None:
    data = np.broadcast_to(10 * np.arange(40)[:, None, None], (40, 8, 8)).copy()
    data[:, :4] += 500
    wide = [volume(tmp_path, data, (1.0, 1.0, 1.0))]
    source = CubeSource(
        wide, CubeGrid((8, 8, 8), 1.0), CubeTask(size=(8, 8, 8)), Cache(tmp_path / "cache"), mirror=True
    )
    drawn = [source.sample(0, seed)["image"][0] for seed in range(40)]
    firsts = torch.stack([image.min() for image in drawn]) * 100
    assert firsts.min() < 6
    assert firsts.max() > 24
    brighter = {bool(image[0, 0, 0] > image[0, -1, 0]) for image in drawn}
    assert brighter == {True, False}
    again = source.sample(0, 7)["image"][0]
    assert torch.equal(again, drawn[7])


def test_the_grid_is_as_wide_as_the_volumes_are_in_the_median(tmp_path: Path) -> None:
    volumes = [volume(tmp_path, np.zeros((4, 10, 8)), (1.0, float(mm), float(mm)), str(mm)) for mm in (10, 20, 70)]
    assert cube_grid(volumes, CubeTask(size=(8, 8, 8))) == CubeGrid((8, 8, 8), 25.0)
    assert cube_grid(volumes, CubeTask(size=(8, 8, 8), spacing=3.0)).spacing == 3


def test_volumes_that_are_too_low_are_left_out(tmp_path: Path) -> None:
    low = volume(tmp_path, np.zeros((3, 4, 4)), (1.0, 2.0, 2.0), "low")
    high = volume(tmp_path, np.zeros((7, 4, 4)), (1.0, 2.0, 2.0), "high")
    settings, cache = CubeTask(size=(4, 4, 4)), Cache(tmp_path / "cache")
    source = CubeSource([low, high], CubeGrid((4, 4, 4), 2.0), settings, cache)
    assert [each.volume.case.id for each in source.volumes] == ["high"]
    assert float(source.sample(0, 0)["image"][0, 0, 0, 0]) == pytest.approx(-0.25, abs=1e-3)
    with pytest.raises(InputError, match=r"no volume is as high as task.least_height 0.75 of a cube of 8 mm"):
        CubeSource([low], CubeGrid((4, 4, 4), 2.0), settings, cache)


def test_cubes_as_volumes_of_the_same_subject(tmp_path: Path) -> None:
    whole = volume(tmp_path, np.broadcast_to(np.arange(40)[:, None, None], (40, 4, 4)).copy(), (1.0, 2.0, 2.0))
    settings, cache = CubeTask(size=(4, 4, 4), per_volume=3), Cache(tmp_path / "cache")
    made = cube_volumes([whole, whole], CubeGrid((4, 4, 4), 2.0), settings, cache)
    assert len(made) == 6, "three cubes, each as often as the volume counts"
    assert {each.volume.case.subject for each in made} == {"a"}
    assert len({each.volume.case.id for each in made}) == 3
    assert made[0].volume.spacing == (2.0, 2.0, 2.0)
    assert made[0].volume.data.shape == (4, 4, 4)
    assert np.ptp(made[0].volume.data, axis=(1, 2)).max() == 0
    assert [each.volume.sha256 for each in cube_volumes([whole], CubeGrid((4, 4, 4), 2.0), settings, cache)] == [
        each.volume.sha256 for each in made[::2]
    ]


def test_cubes_are_stretched_about_their_middle_by_the_seed(tmp_path: Path) -> None:
    data = np.full((32, 32, 32), -1000)
    data[:, 8:24, 8:24] = 0
    grid = CubeGrid((16, 32, 32), 1.0)
    source = CubeSource(
        [volume(tmp_path, data, (1.0, 1.0, 1.0))],
        grid,
        CubeTask(size=grid.size, stretch=0.25),
        Cache(tmp_path / "cache"),
    )
    widths = []
    for seed in range(20):
        image = source.sample(0, seed)["image"][0]
        assert image.shape == grid.size
        body = image + 1
        widths.append([float(body[0, :, 16].sum()), float(body[0, 16].sum())])
        middle = float((body[0, :, 16] * torch.arange(32)).sum() / body[0, :, 16].sum())
        assert middle == pytest.approx(15.5, abs=0.01)
    x, y = np.array(widths).T
    for each in (x, y):
        assert 16 * 0.75 <= each.min() < 14.5
        assert 17.5 < each.max() <= 16 * 1.25
    assert not np.allclose(x, y)


def test_heights_are_stretched_too(tmp_path: Path) -> None:
    data = np.broadcast_to(10 * np.arange(40)[:, None, None], (40, 8, 8)).copy()
    grid = CubeGrid((8, 8, 8), 1.0)
    source = CubeSource(
        [volume(tmp_path, data, (1.0, 1.0, 1.0))],
        grid,
        CubeTask(size=grid.size, stretch=0.25),
        Cache(tmp_path / "cache"),
    )
    columns = [source.sample(0, seed)["image"][0, :, 4, 4] for seed in range(20)]
    rises = [float(column[7] - column[0]) / 7 for column in columns]
    assert 0.0078 < min(rises) < 0.0095
    assert 0.0105 < max(rises) < 0.0136
