"""Scanners that are drawn for a training are those that its network is taken for."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from physics.ct.geometry import FanBeam, ParallelBeam, circular_angles
from physics.ct.protocol import load_protocol
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.acquisition.drawn_scanners import DrawnScanners
from recon.acquisition.network_scale import network_scale
from recon.scan.measurement import Protocol
from recon.scan.volume import Volume

PAPER = load_protocol("paper40")
FAMILY = CTAcquisition(PAPER, (10, 80), (1e4, 1e6), scanners=DrawnScanners())


def drawn(seed: int) -> FanBeam:
    geometry = FAMILY._drawn_geometry(torch.Generator().manual_seed(seed))
    assert isinstance(geometry, FanBeam)
    return geometry


def why(geometry: FanBeam | ParallelBeam, family: CTAcquisition = FAMILY) -> str | None:
    return family.why_unsuitable(Protocol(geometry=geometry.to_dict()))


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_every_scanner_that_is_drawn_is_one_that_was_learned(seed: int) -> None:
    assert why(drawn(seed)) is None


def test_all_of_the_ranges_is_drawn() -> None:
    scanners = [drawn(seed) for seed in range(400)]
    arcs = [math.degrees(each.covered_arc) for each in scanners]
    assert sum(arc > 359 for arc in arcs) / len(arcs) == pytest.approx(0.5, abs=0.1)
    assert min(arcs) < 110
    magnifications = [each.source_detector / each.source_isocentre for each in scanners]
    assert min(magnifications) < 1.45
    assert max(magnifications) > 2.15
    offsets = [each.offset / each.pitch for each in scanners]
    assert min(offsets) < -0.9
    assert max(offsets) > 0.9
    assert {min(each.views for each in scanners), max(each.views for each in scanners)} == {10, 80}
    widths = [each.pitch / each.source_detector / (PAPER.pitch / PAPER.source_detector) for each in scanners]
    assert min(widths) < 0.75
    assert max(widths) > 1.4


@pytest.mark.parametrize(
    ("scan", "reason"),
    [
        (replace(PAPER, angles=circular_angles(40, 0, math.pi / 4)), "an arc of 90 to 360 degrees, the scan has 45"),
        (replace(PAPER, source_isocentre=300.0), "a magnification of 1.4 to 2.2, the scan has 3.62"),
        (replace(PAPER, pitch=3 * PAPER.pitch), "a pitch of 0.828 to 1.78 mm for every metre"),
        (replace(PAPER, offset=10 * PAPER.pitch), "a detector offset of -1 to 1 cells, the scan has 10"),
        (replace(PAPER, angles=(*circular_angles(30, 0, 1.0), *circular_angles(10, 3.0, 1.0))), "gaps of at most"),
        (ParallelBeam(PAPER.angles, PAPER.pitch), "for fan beams, the scan has a parallel beam"),
    ],
)
def test_scanners_beyond_the_ranges_are_refused_in_one_line(scan: FanBeam, reason: str) -> None:
    found = why(scan)
    assert found is not None
    assert reason in found
    assert "\n" not in found


def test_a_card_keeps_the_ranges_and_older_ones_have_none() -> None:
    again = CTAcquisition.from_dict(json.loads(json.dumps(FAMILY.to_dict())))
    assert again.scanners == FAMILY.scanners
    assert why(drawn(3), again) is None
    assert "scanners" not in CTAcquisition(PAPER).to_dict()


def test_the_scan_is_of_the_scanner_that_was_drawn() -> None:
    volume = Volume(torch.full((2, 24, 24), -1000.0), torch.diag(torch.tensor([9.0, 9.0, 5.0, 1.0])).numpy(), "CT")
    volume.data[:, 6:18, 8:16] = 40.0
    scans = [FAMILY.simulate(volume, seed) for seed in range(6)]
    assert len({(scan.y.shape, scan.protocol.geometry["pitch"]) for scan in scans if scan.protocol.geometry}) == 6
    assert all(FAMILY.why_unsuitable(scan) is None for scan in scans)
    assert all(torch.isfinite(network_scale(scan).to_network(scan.operator.adjoint(scan.y))).all() for scan in scans)


def test_what_is_no_range_of_scanners_is_refused() -> None:
    for values in ({"arc": (0.0, 90.0)}, {"arc": (90.0, 400.0)}, {"magnification": (1.0, 2.0)}, {"pitch": (2.0, 1.0)}):
        with pytest.raises(ValueError, match=f"{next(iter(values))} .* lower number first, above"):
            DrawnScanners(**values)
    with pytest.raises(ValueError, match="scanners are drawn of fan beams, not of a parallel beam"):
        CTAcquisition(ParallelBeam(PAPER.angles, 1.0), scanners=DrawnScanners())
