"""A mask in a file is accepted where it samples like one of the training, whatever it is called."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from physics.mr.masks import make_mask
from recon.acquisition.mr import MaskRequest, kspace_of
from recon.acquisition.mr_acquisition import MRAcquisition
from recon.acquisition.mr_measured import measured_mr
from recon.acquisition.mr_suitability import usual_calibration
from recon.run.measure import measure_mr
from recon.scan.measurement import Measurement, Protocol
from recon.scan.volume import Volume

SHAPE = (96, 128)
TRAINED = MRAcquisition(("poisson", "gauss1d"), (4.0, 8.0))


def _disc() -> Volume:
    y, x = (torch.linspace(-1, 1, size) for size in SHAPE)
    return Volume((torch.hypot(y[:, None], x) < 0.7).float()[None] * 100, np.eye(4), "MR")


def read_back(kind: str, accel: float, calib: int | None = None, seed: int = 1) -> Measurement:
    """A simulated scan without noise as a file has it, with a mask that has no name any more."""
    volume = _disc()
    scan = measure_mr(volume, kind, accel, calib, seed, simulate="ideal")
    return measured_mr(kspace_of(scan, volume), MaskRequest()).measurement


@pytest.mark.parametrize("accel", [4.0, 8.0])
@pytest.mark.parametrize("kind", ["poisson", "gauss1d"])
def test_masks_of_the_training_are_accepted_from_a_file(kind: str, accel: float) -> None:
    scan = read_back(kind, accel)
    assert scan.protocol.mask is not None
    assert (scan.protocol.mask["kind"], scan.protocol.mask["samples_like"]) == ("file", kind)
    assert TRAINED.why_unsuitable(scan) is None
    assert TRAINED.kind(scan) == kind


@pytest.mark.parametrize(
    ("kind", "accel", "calib", "reason"),
    [
        ("equispaced", 4.0, None, "the scan has a mask that samples like equispaced"),
        ("random", 4.0, None, "the scan has a mask that samples like random"),
        ("poisson", 12.0, 12, "for acceleration 4 to 8, the scan has 1"),
        ("gauss1d", 2.0, None, "for acceleration 4 to 8, the scan has 2"),
        ("poisson", 4.0, 6, "a fully sampled centre 24 samples wide, the scan's is 6 wide"),
    ],
)
def test_others_are_refused_with_the_reason(kind: str, accel: float, calib: int | None, reason: str) -> None:
    assert reason in str(TRAINED.why_unsuitable(read_back(kind, accel, calib)))


def test_density_has_no_name() -> None:
    """gauss1d-legacy draws from the density of gauss1d."""
    legacy = replace(TRAINED, masks=("gauss1d-legacy",))
    assert legacy.why_unsuitable(Protocol(mask={"kind": "gauss1d", "accel": 4.0})) is None
    assert "no known kind" in str(legacy.why_unsuitable(Protocol(mask={"kind": "file", "accel": 4.0})))


@pytest.mark.parametrize(("shape", "accel", "width"), [((96, 128), 4.0, 24), ((48, 40), 8.0, 12), ((16, 16), 8.0, 4)])
def test_small_images_have_smaller_centres_in_training_too(shape: tuple[int, int], accel: float, width: int) -> None:
    assert usual_calibration("poisson", shape, accel) == width
    assert width**2 <= make_mask("poisson", shape, accel, width).array.sum()


def test_a_head_counts_as_proven_on_simulated_scans_of_one_coil_alone() -> None:
    volume = _disc()
    for simulate in ("ideal", "continuous"):
        scan = measure_mr(volume, "gauss1d", 4.0, simulate=simulate).measurement  # type: ignore[arg-type]
        assert TRAINED.why_unsuitable(scan) is None
        assert TRAINED.why_unproven(scan) is None
    noisy = measure_mr(volume, "gauss1d", 4.0, noise=0.02).measurement
    assert TRAINED.why_unsuitable(noisy) is None
    assert "trained for noise-free data, the scan has noise of 0.02" in str(TRAINED.why_unproven(noisy))
    coils = measure_mr(volume, "gauss1d", 4.0, 16, coils=4).measurement
    assert "simulated of continuous objects, of 4 coils" in str(TRAINED.why_unproven(coils))
    assert "k-space that was measured, of 8 coils" in str(TRAINED.why_unproven(Protocol(coils=8)))
