"""Metrics against the published implementations, against skimage, and at their edges."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from recon.metrics import METRICS, body_masks, evaluate, nmse, psnr, psnr_body, ssim_slices, ssim_volume

Pair = tuple[np.ndarray, np.ndarray]


def pair(shape: tuple[int, int, int] = (9, 20, 18), seed: int = 0) -> Pair:
    """A smooth positive volume and a disturbed copy."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    truth = np.exp(-2 * (x**2 + y**2 + z**2)).astype(np.float32)
    return truth, (truth + 0.1 * rng.standard_normal(shape)).astype(np.float32)


@pytest.fixture(scope="module")
def reference(shared: Path) -> tuple[Pair, dict[str, float]]:
    """A pair of volumes and what fastMRI's own functions and skimage say of it."""
    folder = shared / "fixtures/baselines"
    arrays = np.load(folder / "metrics.npz", allow_pickle=False)
    return (arrays["gt"], arrays["pred"]), json.loads((folder / "metrics.json").read_text())["values"]


def test_mr_is_scored_as_fastmri_does(reference: tuple[Pair, dict[str, float]]) -> None:
    (truth, prediction), values = reference
    scored = evaluate(truth, prediction, "MR")
    for name in ("psnr", "ssim", "nmse"):
        assert scored[name] == pytest.approx(values[f"fastmri_{name}"], rel=1e-5)


def test_the_range_is_what_is_stated(reference: tuple[Pair, dict[str, float]]) -> None:
    (truth, prediction), values = reference
    assert psnr(truth, prediction, 1.0) == pytest.approx(values["psnr_range1"], rel=1e-5)
    assert psnr(truth, prediction, float(np.ptp(truth))) == pytest.approx(values["psnr_range_maxmin"], rel=1e-5)
    signed = 2 * truth - 1, 2 * prediction - 1
    assert psnr(*signed, 2.0) == pytest.approx(values["psnr_minus1to1_range2"], rel=1e-5)
    assert psnr(*signed, 1.0) == pytest.approx(values["psnr_minus1to1_range1_WRONG"], rel=1e-5)
    assert ssim_slices(*signed, 2.0) == pytest.approx(values["ssim_range2_pm1"], rel=1e-5)
    by_slice = [psnr(t[None], p[None], float(truth.max())) for t, p in zip(truth, prediction, strict=True)]
    assert np.mean(by_slice) == pytest.approx(values["psnr_slice_mean_range_volmax"], rel=1e-5)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**16), st.floats(0.5, 100))
def test_psnr_is_skimages(seed: int, data_range: float) -> None:
    truth, prediction = pair(seed=seed)
    expected = peak_signal_noise_ratio(truth, prediction, data_range=data_range)
    assert psnr(truth, prediction, data_range) == pytest.approx(expected, rel=1e-5)


def test_a_known_error() -> None:
    truth = np.full((2, 4, 4), 3.0, np.float32)
    assert psnr(truth, truth + 0.5, 10.0) == pytest.approx(20 * math.log10(10 / 0.5))
    assert nmse(truth, truth + 0.5) == pytest.approx((0.5 / 3) ** 2)
    assert psnr(truth, truth, 10.0) == math.inf
    assert nmse(truth, truth) == 0
    assert math.isnan(nmse(np.zeros_like(truth), truth))


def test_powers_are_summed_in_double_precision() -> None:
    """A thousand HU over a large volume: single precision would lose the small errors."""
    truth = np.full((4, 512, 512), 1000, np.float32)
    assert nmse(truth, truth + 1) == pytest.approx(1e-6, rel=1e-6)


def test_ssim_is_skimages_slice_by_slice() -> None:
    truth, prediction = pair()
    each = [structural_similarity(t, p, data_range=1.5, win_size=7) for t, p in zip(truth, prediction, strict=True)]
    assert ssim_slices(truth, prediction, 1.5) == pytest.approx(np.mean(each))
    assert ssim_slices(truth, truth, 1.5) == pytest.approx(1)


@pytest.mark.parametrize("depth", [7, 8, 22, 23, 40])
def test_ssim_by_slabs_is_that_of_the_volume(depth: int) -> None:
    truth, prediction = pair((depth, 12, 11))
    expected = structural_similarity(truth, prediction, data_range=1.5, win_size=7)
    assert ssim_volume(truth, prediction, 1.5) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("slab", [1, 3])
def test_the_slabs_height_does_not_matter(slab: int, monkeypatch: pytest.MonkeyPatch) -> None:
    truth, prediction = pair((17, 12, 11))
    whole = ssim_volume(truth, prediction, 1.5)
    monkeypatch.setattr("recon.metrics._SSIM_SLAB", slab)
    assert ssim_volume(truth, prediction, 1.5) == pytest.approx(whole, rel=1e-6)


def test_volumes_below_the_window_have_no_ssim() -> None:
    assert math.isnan(ssim_slices(*pair((9, 6, 18)), 1.0))
    assert math.isnan(ssim_volume(*pair((6, 18, 18)), 1.0))
    scored = evaluate(*pair((6, 18, 18)), "MR")
    assert scored["ssim_3d"] is None
    assert scored["ssim"] is not None


def ct_pair() -> Pair:
    """A body at 40 HU with bone and an airway, in air; and a disturbed copy. In HU."""
    rng = np.random.default_rng(1)
    y, x = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 36), indexing="ij")
    plane = np.where(x**2 + y**2 < 0.7, 40.0, -1000.0)
    plane = np.where((x - 0.3) ** 2 + y**2 < 0.02, 900.0, plane)
    plane = np.where((x + 0.3) ** 2 + y**2 < 0.02, -1000.0, plane)
    truth = np.repeat(plane[None], 8, 0).astype(np.float32)
    return truth, (truth + rng.normal(0, 50, truth.shape)).astype(np.float32)


def test_ct_is_scored_in_its_window() -> None:
    truth, prediction = ct_pair()
    scored = evaluate(truth, prediction, "CT")
    assert list(scored) == ["psnr", "ssim", "ssim_3d", "psnr_body", "psnr_soft_tissue", "ssim_soft_tissue", "nmse"]
    clipped = truth.clip(-1000, 1000), prediction.clip(-1000, 1000)
    assert scored["psnr"] == pytest.approx(peak_signal_noise_ratio(*clipped, data_range=2000), rel=1e-5)
    assert scored["ssim"] == pytest.approx(ssim_slices(*clipped, 2000.0))
    soft = truth.clip(-160, 240), prediction.clip(-160, 240)
    assert scored["psnr_soft_tissue"] == pytest.approx(peak_signal_noise_ratio(*soft, data_range=400), rel=1e-5)
    assert scored["ssim_soft_tissue"] == pytest.approx(ssim_slices(*soft, 400.0))
    assert scored["nmse"] == pytest.approx(nmse(clipped[0] + 1000, clipped[1] + 1000), rel=1e-5)


def test_a_window_clips_both_arrays() -> None:
    truth, prediction = ct_pair()
    clipped = truth.clip(-160, 240), prediction.clip(-160, 240)
    assert psnr(truth, prediction, 400.0, (-160, 240)) == psnr(*clipped, 400.0)
    assert ssim_slices(truth, prediction, 400.0, (-160, 240)) == ssim_slices(*clipped, 400.0)
    assert ssim_volume(truth, prediction, 400.0, (-160, 240)) == ssim_volume(*clipped, 400.0)
    assert nmse(truth, prediction, (-160, 240)) == pytest.approx(nmse(clipped[0] + 160, clipped[1] + 160))


def test_windows_clip_what_lies_beyond() -> None:
    """Padding at −2048 HU and metal at 3000 HU are the window's ends, in truth and prediction alike."""
    truth, prediction = ct_pair()
    expected = evaluate(truth, prediction, "CT")
    extreme = np.where(truth == -1000, -2048, truth).astype(np.float32)
    assert evaluate(extreme, prediction, "CT") == expected
    wild = np.where(prediction < -1000, -30000, prediction).astype(np.float32)
    assert evaluate(truth, wild, "CT") == expected


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_prediction_is_never_rescaled(modality: str) -> None:
    truth, _ = ct_pair() if modality == "CT" else pair()
    perfect = evaluate(truth, truth, modality)  # type: ignore[arg-type]
    assert perfect["psnr"] is None, "infinite"
    assert perfect["ssim"] == pytest.approx(1)
    for wrong in (truth * 0.5, truth + 0.1 * np.ptp(truth)):
        scored = evaluate(truth, wrong.astype(np.float32), modality)  # type: ignore[arg-type]
        assert scored["psnr"] is not None
        assert scored["psnr"] < 25


def test_the_range_of_mr_is_the_truths() -> None:
    truth, prediction = pair()
    bright = prediction.copy()
    bright[0, 0, 0] = 50
    assert evaluate(truth, bright, "MR")["psnr"] == pytest.approx(psnr(truth, bright, float(truth.max())))
    scaled = evaluate(10 * truth, 10 * prediction, "MR")
    assert scaled["psnr"] == pytest.approx(evaluate(truth, prediction, "MR")["psnr"], rel=1e-5)


def test_the_body_is_filled_slice_by_slice() -> None:
    """The airway is inside the body, the air around is not."""
    truth, prediction = ct_pair()
    y, x = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 36), indexing="ij")
    body = np.broadcast_to(x**2 + y**2 < 0.7, truth.shape)
    assert (truth[body] == -1000).any()
    expected = peak_signal_noise_ratio(truth[body], prediction[body].clip(-1000, 1000), data_range=2000)
    assert evaluate(truth, prediction, "CT")["psnr_body"] == pytest.approx(expected, rel=1e-5)


def test_the_body_of_mr_is_a_tenth_of_the_brightest() -> None:
    truth = np.zeros((7, 9, 9), np.float32)
    truth[:, 2:7, 2:7] = 10
    truth[:, 4, 4] = 0.5
    assert [mask.sum() for mask in body_masks(truth, "MR")] == [25] * 7
    prediction = truth + np.where(truth == 0, 99, 0).astype(np.float32)  # wrong outside the body only
    assert psnr_body(truth, prediction, 10.0, "MR") == math.inf
    prediction[:, 4, 4] += 2  # and in its hole
    assert psnr_body(truth, prediction, 10.0, "MR") == pytest.approx(10 * math.log10(100 / (4 / 25)))


def test_what_is_undefined_is_none() -> None:
    air = np.full((7, 8, 8), -1000, np.float32)
    scored = evaluate(air, air + 10, "CT")
    assert scored["psnr_body"] is None
    assert scored["nmse"] is None
    assert scored["psnr"] == pytest.approx(20 * math.log10(200))
    bad = air.copy()
    bad[0, 0, 0] = np.nan
    assert evaluate(air, bad, "CT")["psnr"] is None


def test_a_truth_without_signal_has_no_range() -> None:
    nothing = np.zeros((8, 9, 9), np.float32)
    assert set(evaluate(nothing, nothing + 1, "MR").values()) == {None}


def test_integers_are_scored_as_numbers() -> None:
    truth, prediction = ct_pair()
    whole = prediction.round()
    from_integers = evaluate(truth.astype(np.int16), whole.astype(np.int16), "CT")
    assert from_integers == evaluate(truth, whole, "CT")


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the ground truth is \(2, 8, 8\), the prediction \(2, 8, 7\)"):
        evaluate(np.zeros((2, 8, 8)), np.zeros((2, 8, 7)), "MR")


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_every_metric_is_told_from_its_declaration(modality):
    truth = np.zeros((8, 8, 8), np.float32)
    truth[2:6, 2:6, 2:6] = 100
    found = evaluate(truth, truth + 1, modality)
    declared = [key for key, each in METRICS.items() if each.compute and modality in each.modalities]
    assert list(found) == declared
    for key, metric in METRICS.items():
        assert metric.heading.startswith(metric.title)
        assert key == "residual" or metric.better is not None
        assert metric.digits is not None or not metric.in_tables


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_ssim_does_not_depend_on_the_unit_of_the_values(unit: float) -> None:
    truth, prediction = pair()
    scaled = (truth * np.float32(unit)), (prediction * np.float32(unit))
    for measure in (ssim_slices, ssim_volume):
        expected = measure(truth, prediction, float(truth.max()))
        assert measure(*scaled, float(scaled[0].max())) == pytest.approx(expected, abs=1e-5)
