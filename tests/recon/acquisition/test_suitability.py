"""A network accepts scans like those that it was trained on, and says in one line why it does not accept others."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from physics.ct.geometry import FanBeam, ParallelBeam, circular_angles, golden_angles
from physics.ct.protocol import load_protocol
from physics.noise import TransmissionNoise
from priors.weights.card import read_card
from priors.weights.store import entries
from recon.acquisition.ct import ct_protocol, simulate_ct
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.acquisition.mr import simulate_mr
from recon.acquisition.mr_acquisition import MRAcquisition
from recon.learned.task import Task, task_from_dict
from recon.scan.measurement import Protocol
from recon.scan.volume import Volume

PAPER = load_protocol("paper40")
HEAD = CTAcquisition(PAPER, (20, 80), (1e4, 1e6))
"""As the shipped head was trained."""

BASELINE = CTAcquisition(PAPER, (40, 40))
"""As the shipped baselines were trained, without noise."""

STRAY = (*circular_angles(39, 0, math.pi / 2), math.radians(351))


def why(trained: CTAcquisition, geometry=PAPER, photons: float | None = None, electronic: float = 0.0) -> str | None:
    noise = TransmissionNoise(photons, electronic) if photons else None
    return trained.why_unsuitable(ct_protocol(geometry, noise, simulated=True))


@pytest.mark.parametrize(
    ("scan", "reason"),
    [
        (replace(PAPER, angles=STRAY), "trained for an arc of 360 degrees, the scan has 106"),
        (replace(PAPER, angles=circular_angles(40, 0, math.pi / 2)), "an arc of 360 degrees, the scan has 90"),
        (replace(PAPER, pitch=4 * PAPER.pitch, offset=30.0), "a pitch of 1.18 mm for every metre"),
        (replace(PAPER, offset=30.0), "a detector offset of 0 cells, the scan has 23.3"),
        (replace(PAPER, source_isocentre=400.0), "a magnification of 1.83, the scan has 2.72"),
        (ParallelBeam(PAPER.angles, PAPER.pitch), "for fan beams, the scan has a parallel beam"),
        (PAPER.with_views(81), "20 to 80 views, the scan has 81"),
        (replace(PAPER, angles=(*circular_angles(20, 0, 2.0), *circular_angles(20, 3.14, 2.0))), "gaps of at most 18"),
    ],
)
def test_other_scanners_are_refused_in_one_line(scan, reason: str) -> None:
    found = why(HEAD, scan)
    assert found is not None
    assert found.startswith("it was trained for")
    assert reason in found
    assert "\n" not in found


def test_views_need_not_be_even_nor_ordered() -> None:
    assert why(HEAD, replace(PAPER, angles=golden_angles(40))) is None
    assert why(BASELINE, replace(PAPER, angles=tuple(reversed(PAPER.angles)))) is None
    assert "gaps of at most 9 degrees between views, the scan has one of 12.4" in str(
        why(BASELINE, replace(PAPER, angles=golden_angles(40)))
    ), "forty even views leave smaller gaps"
    twice = replace(PAPER, angles=tuple(math.radians(36 * k) for k in range(20)))
    assert "gaps of at most 18 degrees between views, the scan has one of 36" in str(why(HEAD, twice))


@settings(deadline=None)
@given(st.integers(20, 80), st.floats(-3, 3), st.integers(0, 2**16))
def test_measured_angles_pass_like_set_ones(views: int, start: float, seed: int) -> None:
    jitter = 0.1 * 2 * math.pi / views * (2 * np.random.default_rng(seed).random(views) - 1)
    assert why(HEAD, replace(PAPER, angles=tuple(np.asarray(circular_angles(views, start)) + jitter))) is None


@given(st.floats(0.01, 100))
def test_a_scanner_of_another_size_is_the_same_scanner(size: float) -> None:
    scaled = FanBeam(PAPER.angles, size * PAPER.pitch, None, size * PAPER.pitch / 4, size * 595.0, size * 1086.5)
    assert why(HEAD, scaled) is None
    assert "pitch" in str(why(HEAD, replace(scaled, pitch=2 * scaled.pitch)))


def test_parallel_views_over_a_whole_turn_are_known_again() -> None:
    """An even number of them are half as many directions."""
    trained = CTAcquisition(ParallelBeam(circular_angles(40), 1.0), (2, 20))
    for views in range(2, 21):
        assert why(trained, ParallelBeam(circular_angles(views), 1.0)) is None


def test_a_parallel_pitch_is_one_in_millimetres() -> None:
    trained = CTAcquisition(ParallelBeam(circular_angles(60, 0, math.pi), 1.0))
    assert why(trained, ParallelBeam(circular_angles(60, 1.0, math.pi), 0.9)) is None
    assert why(trained, ParallelBeam(circular_angles(60, 0, math.pi), 2.0)) == (
        "it was trained for a pitch of 1 mm, the scan has 2"
    )


@pytest.mark.parametrize(
    ("trained", "photons", "electronic", "reason"),
    [
        (HEAD, None, 0, None),
        (HEAD, 1e7, 0, None),
        (HEAD, 1e5, 0, None),
        (HEAD, 6e3, 0, None),
        (HEAD, 3e3, 0, "it was trained for 10000 to 1e+06 photons a cell, the scan has the noise of 3e+03 photons"),
        (HEAD, 2e4, 100, "it was trained for 10000 to 1e+06 photons a cell, the scan has the noise of 707 photons"),
        (BASELINE, None, 0, None),
        (BASELINE, 1e6, 0, "it was trained for noise-free data, the scan has the noise of 1e+06 photons a cell"),
    ],
)
def test_ct_noise(trained: CTAcquisition, photons: float | None, electronic: float, reason: str | None) -> None:
    assert why(trained, PAPER, photons, electronic) == reason


def test_a_sigma_without_words_counts_too() -> None:
    volume = Volume(torch.zeros(1, 16, 16), np.diag([10.0, 10.0, 5.0, 1.0]), "CT")
    scan = simulate_ct(volume, PAPER, None, TransmissionNoise(1e3))
    silent = replace(scan, protocol=replace(scan.protocol, noise=None))
    for each in (scan, silent):
        assert "10000 to 1e+06 photons a cell, the scan has the noise of 1e+03" in str(HEAD.why_unsuitable(each))
        assert HEAD.why_unsuitable(replace(each, sigma=None, protocol=ct_protocol(PAPER, None, True))) is None


def test_mr_noise() -> None:
    volume = Volume(torch.rand(1, 24, 24, generator=torch.Generator().manual_seed(0)), np.eye(4), "MR")
    clean, little, noisy = (simulate_mr(volume, "equispaced-legacy", 2.0, noise) for noise in (0.0, 0.02, 0.05))
    quiet, loud = MRAcquisition(("equispaced",), (2.0, 2.0)), MRAcquisition(("equispaced",), (2.0, 2.0), 0.05)
    assert quiet.why_unsuitable(clean) is None
    assert quiet.why_unsuitable(little) is None
    assert loud.why_unsuitable(noisy) is None
    assert quiet.why_unsuitable(noisy) == (
        "it was trained for noise-free data, the scan has noise of 0.05 of the maximum"
    )
    silent = replace(noisy, protocol=replace(noisy.protocol, noise=None))
    assert "noise-free data, the scan has noise of 0.047" in str(quiet.why_unsuitable(silent)), (
        "of what networks call 1"
    )
    louder = replace(noisy.protocol, noise={"std_of_maximum": 0.09})
    assert "noise of at most 0.05 of the maximum, the scan has noise of 0.09" in str(loud.why_unsuitable(louder))


def test_model_error_is_compared_where_both_state_it() -> None:
    scan = ct_protocol(PAPER, None, simulated=True)
    learned = replace(HEAD, model_error=(0.0, 0.003))
    assert learned.why_unsuitable(replace(scan, model_error=0.0035)) is None
    assert learned.why_unsuitable(replace(scan, model_error=0.01)) == (
        "it was trained for a model error of at most 0.003, the scan has 0.01"
    )
    assert HEAD.why_unsuitable(replace(scan, model_error=0.01)) is None
    task = Task(learned, ("tv",))
    assert task_from_dict(task.to_dict()) == task
    assert "model_error" not in Task(HEAD, ("tv",)).to_dict()


def test_a_scan_that_states_no_geometry_is_not_taken() -> None:
    assert "does not state" in str(HEAD.why_unsuitable(Protocol()))


def test_what_ships_accepts_what_it_is_used_for() -> None:
    cards = [(entry.name, read_card(entry.path)) for entry in entries()]
    values = {name: card.config.get("task") or card.extra.get("task") for name, card in cards}
    tasks = {name: task_from_dict(each) for name, each in values.items() if each}
    scan = ct_protocol(PAPER, None, simulated=True)
    for name, task in tasks.items():
        if task.modality == "CT":
            assert task.why_unsuitable(scan) is None, name
        else:
            for mask in ("poisson", "gauss1d"):
                assert task.why_unsuitable(Protocol(mask={"kind": mask, "accel": 8})) is None, name
    for views in range(10, 81):
        scan = ct_protocol(PAPER.with_views(views), None, True)
        assert tasks["starter/heads/svct-arc"].why_unsuitable(scan) is None
    for views in range(30, 81):
        assert tasks["starter/heads/svct"].why_unsuitable(ct_protocol(PAPER.with_views(views), None, True)) is None
