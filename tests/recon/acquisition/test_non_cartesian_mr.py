"""Scans along a trajectory: their samples, coil sensitivities, what becomes of them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from physics.mr.birdcage import birdcage_maps
from physics.mr.coils import rss
from physics.mr.non_cartesian import NonCartesian
from physics.mr.phase import smooth_phase
from physics.mr.trajectories import radial
from recon.acquisition.continuous_mr import Receiver, truncated_kspace
from recon.acquisition.non_cartesian_mr import choose_trajectory, gridded_maps, samples_of, scan_along
from recon.errors import InputError
from recon.methods import get_method
from recon.run.measure import measure_mr
from recon.scan.measurement import RunContext
from recon.scan.volume import Volume

SHAPE = (64, 56)


def head(slices: int = 1) -> Volume:
    """A magnitude volume of discs in a disc."""
    y, x = (torch.linspace(-1, 1, n) for n in SHAPE)
    image = torch.zeros(SHAPE)
    for cy, cx, radius, value in ((0, 0, 0.8, 0.7), (0.3, 0.2, 0.2, -0.4), (-0.3, -0.2, 0.15, 0.3)):
        image += value * (torch.hypot(y[:, None] - cy, x - cx) < radius)
    return Volume(torch.stack([image] * slices), np.eye(4), "MR")


@pytest.mark.parametrize("fine", [(128, 112), (96, 101), (64, 56)])
def test_samples_on_the_grid_are_those_of_the_cartesian_scan(fine: tuple[int, int]) -> None:
    y, x = ((torch.arange(n, dtype=torch.float64) - n // 2) / n for n in SHAPE)
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1)
    image = torch.randn(2, *fine, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    expected = truncated_kspace(image, SHAPE)
    torch.testing.assert_close(samples_of(image, grid, SHAPE), expected, rtol=1e-4, atol=1e-4)


def test_coil_maps_come_from_the_gridded_centre() -> None:
    trajectory = radial(60, 128)
    image = torch.polar(head().data, smooth_phase((1, *SHAPE), 1.0, torch.Generator().manual_seed(0)))
    true = birdcage_maps(4, SHAPE)
    samples = samples_of((image * true), trajectory, SHAPE)[None]
    maps = gridded_maps(samples, NonCartesian(trajectory, SHAPE))[0]
    body = head().data[0] > 0.1
    assert float((rss(maps)[body] > 0).float().mean()) > 0.99
    assert float((true.conj() * maps).sum(0).abs()[body].mean()) > 0.999


@pytest.mark.parametrize("coils", [1, 4])
def test_the_methods_reconstruct_a_radial_scan_and_beat_gridding(coils: int) -> None:
    scan = scan_along(head(2), radial(28, 128), "radial", Receiver(0.01, coils), seed=1)
    assert scan.truth is not None

    def error(name: str) -> float:
        method = get_method("MR", name)
        found = method.run(scan.measurement, method.options(), RunContext()).mean.abs()
        assert scan.truth is not None
        return float((found - scan.truth.data).norm() / scan.truth.data.norm())

    direct = error("gridding")
    assert direct < 0.35
    assert error("zero-filled") == direct
    assert error("cg-sense") < direct
    assert error("l1-wavelet") < 0.95 * direct
    assert error("tv") < 0.8 * direct


def test_slices_are_alike_whether_together_or_alone() -> None:
    both = scan_along(head(2), radial(20, 96), "radial", Receiver(0.0, 4), seed=1).measurement
    image = both.operator.direct(both.y)
    for k in range(2):
        alone = both.slices(slice(k, k + 1))
        torch.testing.assert_close(alone.operator.direct(alone.y), image[k : k + 1])


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_a_trajectory_from_a_file(suffix: str, tmp_path: Path) -> None:
    path, coordinates = tmp_path / f"mine{suffix}", radial(5, 12).numpy()
    if suffix == ".npy":
        np.save(path, coordinates)
    elif suffix == ".npz":
        np.savez(path, trajectory=coordinates, other=np.zeros(3))
    else:
        with h5py.File(path, "w") as file:
            file["trajectory"] = coordinates
    name, found = choose_trajectory(path, None, SHAPE)
    assert name == "mine"
    assert np.allclose(found.numpy(), coordinates, atol=1e-7)
    with pytest.raises(InputError, match="`spokes`"):
        choose_trajectory(path, 4, SHAPE)


def test_bad_trajectory_files(tmp_path: Path) -> None:
    for number, (array, message) in enumerate(
        [
            (radial(5, 12).numpy() * 64, "cycles per voxel"),
            (np.zeros((3, 4)), "samples, 2"),
            (np.zeros((2, 2, 2), complex), "real"),
        ]
    ):
        np.save(tmp_path / f"{number}.npy", array)
        with pytest.raises(InputError, match=message):
            choose_trajectory(tmp_path / f"{number}.npy", None, SHAPE)
    (tmp_path / "text.npy").write_text("nothing")
    with pytest.raises(InputError, match="not a readable"):
        choose_trajectory(tmp_path / "text.npy", None, SHAPE)


@pytest.mark.parametrize("kind", ["radial", "spiral"])
def test_kinds_of_trajectories(kind: str) -> None:
    name, found = choose_trajectory(kind, None, SHAPE)
    assert name == kind
    scan = measure_mr(head(), trajectory=kind, spokes=12, noise=0.0)
    assert scan.measurement.y.shape[:3] == (1, 1, 12)
    assert "12 readouts" in " ".join(scan.measurement.protocol.sentences)
    assert float(found.norm(dim=-1).max()) <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trajectory": "rosette"}, "`trajectory` rosette: neither a file"),
        ({"trajectory": "radial", "spokes": 0}, "`spokes` 0: must be 1 or more"),
        ({"trajectory": "radial", "accel": 4.0}, "`accel`: the data are sampled along a trajectory"),
        ({"trajectory": "radial", "simulate": "ideal"}, "`simulate` ideal"),
        ({"spokes": 30}, "`spokes`: the data are sampled on a grid"),
    ],
)
def test_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure_mr(head(), **given)  # type: ignore[arg-type]
