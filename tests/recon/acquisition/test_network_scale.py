"""Units and axes between images and networks, computed once a measurement."""

from __future__ import annotations

import gc
import weakref
from collections import Counter

import numpy as np
import pytest
import torch

from physics.ct.geometry import FanBeam, circular_angles
from physics.mr.cartesian import CartesianMR
from recon.acquisition import network_scale as module
from recon.acquisition.ct import simulate_ct
from recon.acquisition.mr import simulate_mr
from recon.acquisition.mr_acquisition import MRAcquisition
from recon.acquisition.network_scale import network_scale
from recon.learned.task import Task
from recon.methods.conditions import base_images, shown
from recon.scan.measurement import Measurement
from recon.scan.units import ATTENUATION_UNIT, hu_to_attenuation
from recon.scan.volume import Volume

SHAPE = (2, 24, 32)


def ct_scan() -> tuple[Measurement, Volume]:
    data = 800 * torch.rand(SHAPE, generator=torch.Generator().manual_seed(1)) - 400
    volume = Volume(data, np.diag([10.0, 10.0, 5.0, 1.0]), "CT")
    return simulate_ct(volume, FanBeam(circular_angles(8), pitch=12.0)), volume


def mr_scan() -> tuple[Measurement, Volume]:
    data = 0.1 + 0.5 * torch.rand(SHAPE, generator=torch.Generator().manual_seed(2))
    volume = Volume(data, np.diag([4.0, 4.0, 5.0, 1.0]), "MR")
    return simulate_mr(volume, "equispaced", 2.0), volume


@pytest.mark.parametrize("scan", [ct_scan, mr_scan])
def test_there_and_back(scan) -> None:
    measurement, volume = scan()
    scale = network_scale(measurement)
    image = hu_to_attenuation(volume.data) if volume.modality == "CT" else volume.data.to(torch.complex64) / 2
    seen = scale.to_network(image)
    assert seen.shape == (2, 32, 24)
    assert bool((seen.abs() <= 1).all())
    torch.testing.assert_close(scale.to_physical(seen), image.abs(), rtol=1e-4, atol=1e-6)
    if volume.modality == "CT":
        torch.testing.assert_close(scale.truth(volume), seen, rtol=1e-4, atol=1e-6)
    # a change in the network range is that change times the unit, and the axes are the networks'
    change = torch.zeros(2, 32, 24)
    change[0, 5, 3] = 0.25
    difference = (scale.changed(image, change) - image).abs()
    assert float(difference[0, 3, 5]) == pytest.approx(0.25 * scale.unit, rel=1e-3)
    assert int((difference > 1e-4 * scale.unit).sum()) == 1
    torch.testing.assert_close(scale.spread_to_physical(change)[0, 3, 5], torch.tensor(0.25 * scale.unit))


def test_the_ct_unit_is_half_the_window_and_the_phase_of_mr_stays() -> None:
    measurement, _ = ct_scan()
    assert network_scale(measurement).unit == pytest.approx(ATTENUATION_UNIT / 2)
    measurement, volume = mr_scan()
    image = torch.polar(volume.data, torch.full(SHAPE, 0.7))
    changed = network_scale(measurement).changed(image, torch.full((2, 32, 24), 0.1))
    torch.testing.assert_close(changed.angle(), image.angle())


def test_scale_and_zero_filled_image_are_computed_once_a_measurement(monkeypatch) -> None:
    """A head that is shown several images of a scan asks for the scale of each of them."""
    counts: Counter[str] = Counter()
    real_scale, real_adjoint = module.magnitude_scale, CartesianMR.adjoint
    monkeypatch.setattr(module, "magnitude_scale", lambda image: counts.update(["scale"]) or real_scale(image))
    monkeypatch.setattr(CartesianMR, "adjoint", lambda self, y: counts.update(["adjoint"]) or real_adjoint(self, y))
    measurement, _ = mr_scan()
    task = Task(MRAcquisition(), ("zero-filled",), ("zero-filled", "tv"))
    images = shown(task, measurement)
    others = base_images(task, measurement, images)
    for each in (*images, *others):
        scale = network_scale(measurement)
        scale.changed(each.mean, scale.to_network(each.mean))
    assert counts["scale"] == 1
    assert counts["adjoint"] == 1, "both slices at once, and once in all"
    network_scale(mr_scan()[0])
    assert counts["scale"] == 2, "another measurement has its own"


def test_what_is_kept_goes_with_its_measurement() -> None:
    measurement, _ = mr_scan()
    network_scale(measurement)
    known = weakref.ref(measurement)
    del measurement
    gc.collect()
    assert known() is None
