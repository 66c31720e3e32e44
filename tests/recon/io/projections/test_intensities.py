"""From counts to line integrals: the logarithm after binning, cells and rays that say nothing, doubts about values."""

from __future__ import annotations

import numpy as np
import pytest

from recon.errors import InputError
from recon.io.projections.doubts import check_line_integrals
from recon.io.projections.intensities import from_intensities, from_line_integrals

GENERATOR = np.random.default_rng(0)
TRUE = GENERATOR.uniform(0, 3, (2, 6, 8))
DARK = GENERATOR.uniform(90, 110, (1, 2, 8))
BEAM = GENERATOR.uniform(8000, 12000, (1, 2, 8))


def counts(line_integrals: np.ndarray = TRUE) -> np.ndarray:
    return DARK[0][:, None] + BEAM[0][:, None] * np.exp(-line_integrals)


def test_counts_flats_and_darks() -> None:
    found = from_intensities(counts(), BEAM + DARK, DARK, None, 1, "scan")
    np.testing.assert_allclose(found.data, TRUE, rtol=1e-5)
    assert found.measured.all()
    assert found.notices == ()
    transmissions = from_intensities(np.exp(-TRUE), None, None, None, 1, "scan")
    np.testing.assert_allclose(transmissions.data, TRUE, rtol=1e-5)


def test_counts_are_binned_before_the_logarithm() -> None:
    found = from_intensities(counts(), BEAM + DARK, DARK, None, 3, "scan")
    weight = np.broadcast_to(BEAM[0][:, None], TRUE.shape)[..., :6]
    sums = [part.reshape(2, 6, 2, 3).sum(-1) for part in (weight * np.exp(-TRUE[..., :6]), weight)]
    np.testing.assert_allclose(found.data, -np.log(sums[0] / sums[1]), rtol=1e-5)
    mean = from_line_integrals(TRUE, 3)
    np.testing.assert_allclose(mean.data, TRUE[..., :6].reshape(2, 6, 2, 3).mean(-1), rtol=1e-5)


def test_cells_and_rays_that_say_nothing() -> None:
    data, beam = counts(), BEAM + DARK
    data[:, :, 2] = 500.0  # stuck
    beam[:, 0, 4] = DARK[:, 0, 4]  # dead in the flat
    data[1, 3, 5] = np.nan
    data[0, 1, 6] = 20.0  # below the dark
    data[1, 2, 7] = 65535
    found = from_intensities(data, beam, DARK, 65535, 1, "scan")
    expected = np.ones(TRUE.shape, bool)
    expected[:, :, 2] = expected[0, :, 4] = expected[1, 3, 5] = expected[0, 1, 6] = expected[1, 2, 7] = False
    np.testing.assert_array_equal(found.measured, expected)
    np.testing.assert_allclose(found.data[expected], TRUE[expected], rtol=1e-5)
    assert not found.data[~expected].any()
    said = " ".join(found.notices)
    assert "3 of 16 cells are dead or never change" in said
    assert "1 of 96 rays are saturated (they read 65535)" in said
    assert "1 of 96 rays are without any signal" in said


def test_a_bin_counts_where_most_of_it_was_measured() -> None:
    data = counts()
    data[0, 0, :2] = np.nan  # two of four
    data[0, 1, :3] = np.nan  # three of four
    found = from_intensities(data, BEAM + DARK, DARK, None, 4, "scan")
    assert found.measured[0, 0, 0]
    assert not found.measured[0, 1, 0]
    ratio = np.exp(-TRUE[0, 0, 2:4]) @ BEAM[0, 0, 2:4] / BEAM[0, 0, 2:4].sum()
    assert found.data[0, 0, 0] == pytest.approx(-np.log(ratio), rel=1e-5)


def test_line_integrals_with_gaps() -> None:
    data = TRUE.copy()
    data[0, 0, 0], data[1, 1, 1] = np.nan, np.inf
    data[0, :, 3] = 1.25
    data[:, :, -1] = 0.0  # air beside the object, in all views
    found = from_line_integrals(data, 1)
    expected = np.ones(TRUE.shape, bool)
    expected[0, 0, 0] = expected[1, 1, 1] = expected[0, :, 3] = False
    np.testing.assert_array_equal(found.measured, expected)
    assert len(found.notices) == 2


def test_the_flats_tell_the_photons() -> None:
    generator = np.random.default_rng(3)
    gain, photons = 0.6, 40_000
    level = generator.uniform(0.8, 1.2, (1, 1, 300))
    drift = generator.uniform(0.97, 1.03, (12, 1, 1))
    flat = 100 + gain * generator.poisson(photons * level * drift).astype(float)
    dark = 100 + gain * 20 * generator.standard_normal((12, 1, 300))
    data = 100 + gain * photons * level * np.exp(-generator.uniform(0, 2, (1, 9, 300)))
    found = from_intensities(data, flat, dark, None, 2, "scan").meta["flats"]
    assert found["counts_per_photon"] == pytest.approx(gain, rel=0.1)
    assert found["photons"] == pytest.approx(2 * photons, rel=0.1)
    assert found["electronic"] == pytest.approx(20 * 2**0.5, rel=0.15)
    assert found["flat_frames"] == 12
    assert from_intensities(data, flat[:1], dark, None, 1, "scan").meta == {"flats": {}}


def test_nothing_can_be_divided_by_these() -> None:
    for flat, ceiling, words in (
        (np.full((1, 2, 8), 65535.0), 65535.0, "the flats are saturated"),
        (DARK - 5, None, "not brighter than the darks"),
    ):
        with pytest.raises(InputError, match=words):
            from_intensities(counts(), flat, DARK, ceiling, 1, "scan")
    with pytest.raises(InputError, match="no ray has a signal above the dark"):
        from_intensities(counts() - 1e6, BEAM + DARK, DARK, None, 1, "scan")


def disc_views() -> np.ndarray:
    place = np.linspace(-1, 1, 40)
    return np.tile(np.sqrt(np.clip(0.5 - place**2, 0, None)), (1, 9, 1)) * 2 + 0.01 * GENERATOR.random((1, 9, 40))


def test_line_integrals_are_not_doubted() -> None:
    views = disc_views()
    assert check_line_integrals(views, np.ones(views.shape, bool), False, "scan") == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: 0 * p + 2, "every measured value is 2"),
        (lambda p: 30000 * np.exp(-p), "look like counts"),
        (lambda p: np.exp(-p), "look like transmissions"),
        (lambda p: -p, "negative altogether"),
    ],
)
def test_values_of_which_no_image_can_come(change, words) -> None:
    views = change(disc_views())
    measured = np.ones(views.shape, bool)
    with pytest.raises(InputError, match=words):
        check_line_integrals(views, measured, False, "scan")


def test_values_that_are_doubtful() -> None:
    views = disc_views()
    measured = np.ones(views.shape, bool)
    assert "exactly the largest value, 0.8" in check_line_integrals(views.clip(None, 0.8), measured, True, "scan")[0]
    assert "no photon would come through" in check_line_integrals(200 * views, measured, True, "scan")[0]
    assert check_line_integrals(np.exp(-views), measured, True, "scan") == ()
