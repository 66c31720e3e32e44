"""Masks: parity with the packages they come from, exact accelerations, seeds, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import masks

from physics.mr.masks import MASK_KINDS, caipi_lattice, calibration_width, make_mask, seed_of, stated_mask

RECORDED: dict[str, dict[str, str]] = json.loads((Path(masks.__file__).parent / "recorded" / "masks.json").read_text())
COUNTS = {"dds_masks": 8, "fastmri_masks": 36, "sigpy_poisson": 15}


@pytest.mark.parametrize("recording", masks.RECORDINGS)
def test_masks_are_bit_for_bit_those_of_the_packages_they_come_from(recording: str) -> None:
    known = RECORDED[recording]
    assert len(known) == COUNTS[recording]
    assert {key: masks.digest(masks.ours(recording, key)) for key in known} == known


@pytest.mark.parametrize("recording", masks.RECORDINGS)
def test_the_hashes_are_those_of_the_recorded_masks(recording: str, shared: Path) -> None:
    assert {key: masks.digest(mask) for key, mask in masks.official(recording, shared)} == RECORDED[recording]


@pytest.mark.parametrize(("shape", "accel", "calib", "seed"), [((96, 80), 5, 16, 3), ((61, 90), 4, 12, 1)])
def test_poisson_equals_the_installed_sigpy(shape: tuple[int, int], accel: float, calib: int, seed: int) -> None:
    from sigpy.mri import poisson

    expected = poisson(shape, accel, calib=(calib, calib), seed=seed) != 0
    assert (make_mask("poisson", shape, accel, calib, seed).array.numpy() == expected).all()


@settings(deadline=None, max_examples=60)
@given(columns=st.integers(16, 400), rows=st.integers(1, 6), accel=st.floats(1, 12), seed=st.integers(0, 2**32 - 1))
def test_gauss1d_has_exactly_the_acceleration(columns: int, rows: int, accel: float, seed: int) -> None:
    mask = make_mask("gauss1d", (rows, columns), accel, seed=seed)
    assert int(mask.array[0].sum()) == round(columns / accel)
    assert (mask.array == mask.array[:1]).all()
    first = columns // 2 - mask.calib // 2
    assert mask.array[0, first : first + mask.calib].all()
    assert mask.true_acceleration == pytest.approx(columns / round(columns / accel))


def test_gauss1d_columns_follow_the_density() -> None:
    columns = 256
    masks = [make_mask("gauss1d", (1, columns), 8, 8, seed).array[0] for seed in range(400)]
    counts = torch.stack(masks).double().sum(0)
    distance = (torch.arange(columns) - columns // 2).abs()
    near, far = counts[(distance > 8) & (distance < 30)].mean(), counts[(distance > 60) & (distance < 90)].mean()
    assert 6 < float(near / far) < 18
    assert abs(float((counts * (torch.arange(columns) - columns // 2)).sum() / counts.sum())) < 1


@pytest.mark.parametrize("kind", sorted(MASK_KINDS))
def test_seeds(kind: str) -> None:
    first, same, other = (make_mask(kind, (64, 72), 4, 8, seed).array for seed in (5, 5, 9))
    assert first.dtype == torch.bool
    assert first.shape == (64, 72)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("kind", sorted(MASK_KINDS))
def test_the_global_generators_are_left_alone(kind: str) -> None:
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    make_mask(kind, (64, 64), 4)
    assert np.random.random() == expected


@pytest.mark.parametrize("kind", sorted(MASK_KINDS))
def test_acceleration_one_samples_everything(kind: str) -> None:
    assert make_mask(kind, (30, 20), 1).true_acceleration == 1


@pytest.mark.parametrize(
    ("shape", "accel", "calib"),
    [((64, 64), 4, 24), ((64, 64), 7, 24), ((64, 96), 10, 24), ((64, 96), 10.65, 24), ((48, 48), 1.4, 12)],
)
def test_poisson_is_drawn_for_any_seed(shape: tuple[int, int], accel: float, calib: int) -> None:
    """First discs that lie deep in the centre, as those of seeds 3, 20 and 22 do, and few discs, are no reason."""
    for seed in (*range(8), 20, 22, 2**32 - 1):
        mask = make_mask("poisson", shape, accel, calib, seed)
        assert abs(mask.true_acceleration - accel) <= max(0.1, 0.02 * accel)
        assert calibration_width(mask.array) >= calib
        assert not mask.array[0, 0]


def test_poisson_masks_of_two_stuck_seeds_differ() -> None:
    first, other = (make_mask("poisson", (64, 64), 4, 24, seed).array for seed in (3, 20))
    assert not torch.equal(first, other)


@pytest.mark.parametrize("columns", [128, 256, 320, 368])
@pytest.mark.parametrize("accel", [4, 8, 5.5])
def test_equispaced_has_the_acceleration_in_the_mean(columns: int, accel: float) -> None:
    masks = [make_mask("equispaced", (1, columns), accel, seed=seed) for seed in range(40)]
    assert columns * len(masks) / sum(int(mask.array.sum()) for mask in masks) == pytest.approx(accel, rel=0.04)


def test_equispaced_of_nothing_but_the_centre() -> None:
    mask = make_mask("equispaced", (2, 64), 8, 8)
    assert mask.true_acceleration == 8
    assert mask.array[0, 28:36].all()


def test_poisson_at_the_default_calibration() -> None:
    mask = make_mask("poisson", (128, 128), 6, seed=seed_of("volume-1"))
    assert mask.calib == 24
    assert mask.true_acceleration == pytest.approx(6, abs=0.1)
    assert calibration_width(mask.array) >= 24
    assert not mask.array[0, 0]


@pytest.mark.parametrize(
    ("kind", "shape", "accel", "calib", "message"),
    [
        ("spiral", (64, 64), 4, None, "there is no mask"),
        ("gauss1d", (64, 64), 0.5, None, "at least 1"),
        ("gauss1d", (64, 64), float("nan"), None, "at least 1"),
        ("gauss1d", (64, 64), 8, 20, "at most 3.2 times"),
        ("poisson", (64, 64), 12, 24, "at most 7.11 times"),
        ("poisson", (64, 64), 1.1, 4, "corners"),
        ("random", (64, 64), 8, 20, "at most"),
        ("equispaced", (64, 64), 8, 20, "at most"),
        ("equispaced-legacy", (64, 64), 2.5, None, "whole"),
        ("gauss1d", (64, 64), 4, 65, "calibration region must be"),
        ("poisson", (20, 64), 4, 24, "calibration region must be"),
        ("gauss1d", (64, 64), 500, 0, "samples nothing"),
    ],
)
def test_refused(kind: str, shape: tuple[int, int], accel: float, calib: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_mask(kind, shape, accel, calib)


def test_a_seed_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="seed"):
        make_mask("gauss1d", (8, 8), 2, seed=-1)


def test_seed_of_is_stable() -> None:
    assert seed_of("file1000033") == seed_of("file1000033") != seed_of("file1000034")
    assert seed_of("") == 0xE3B0C442  # the head of SHA-256 of nothing


def test_calibration_width() -> None:
    array = torch.zeros(9, 12, dtype=torch.bool)
    assert calibration_width(array) == 0
    array[2:7, 4:9] = True
    assert calibration_width(array) == 5
    assert calibration_width(torch.ones(9, 12, dtype=torch.bool)) == 9


@pytest.mark.parametrize("columns_only", [False, True])
def test_a_stated_mask(columns_only: bool) -> None:
    array = make_mask("gauss1d", (10, 24), 3, 4).array.numpy().astype(np.float32)
    mask = stated_mask(array[0] if columns_only else array, (10, 24))
    assert (mask.array.numpy() == array.astype(bool)).all()
    assert mask.kind == "file"
    assert mask.true_acceleration == mask.accel == 3
    assert mask.calib >= 4


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((4, 5)), "but k-space is"),
        (np.zeros((6, 8)), "empty"),
        (np.full((6, 8), 2), "zeros and ones"),
        (np.full((6, 8), np.nan), "zeros and ones"),
        (np.full((6, 8), "1"), "zeros and ones"),
    ],
)
def test_bad_stated_masks(array: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stated_mask(array, (6, 8))


@pytest.mark.parametrize(
    ("accel", "lattice"), [(2, (1, 2, 1)), (3, (1, 3, 1)), (4, (2, 2, 1)), (6, (2, 3, 1)), (8, (2, 4, 2))]
)
def test_caipi_is_a_shifted_lattice(accel: int, lattice: tuple[int, int, int]) -> None:
    assert caipi_lattice(accel) == lattice
    mask = make_mask("caipi", (48, 64), accel, 0, seed=1).array
    assert mask.numel() / int(mask.sum()) == accel
    assert torch.equal(
        mask.roll((lattice[0], lattice[2]), (0, 1))[lattice[0] :, 8:], mask[lattice[0] :, 8:]
    ) or torch.equal(mask.roll((lattice[0], -lattice[2]), (0, 1))[lattice[0] :, 8:-8], mask[lattice[0] :, 8:-8])
    whole = make_mask("caipi", (48, 64), accel, 16, seed=1).array
    assert calibration_width(whole) >= 16
    assert bool((whole | ~mask).all())


def test_caipi_of_a_broken_acceleration_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be whole, not 4\.5"):
        make_mask("caipi", (48, 64), 4.5)
