"""``auto`` takes the shipped head on scans on which it is known to be better than total variation, and says why not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon.acquisition.mr import MaskRequest, kspace_of
from recon.acquisition.mr_measured import measured_mr
from recon.errors import InputError
from recon.methods.conditions import condition
from recon.run.choose import choose_method
from recon.run.measure import measure_mr
from recon.scan.measurement import Measurement
from recon.scan.volume import Volume


def volume() -> Volume:
    x = torch.linspace(-1, 1, 64)
    return Volume((torch.hypot(x[:, None], x) < 0.7).float()[None] * 100, np.eye(4), "MR")


def scan(mask: str = "gauss1d", **options: object) -> Measurement:
    return measure_mr(volume(), mask, 4.0, **options).measurement  # type: ignore[arg-type]


@pytest.mark.parametrize("simulate", ["ideal", "continuous"])
def test_simulated_scans_of_one_coil_take_the_head(simulate: str) -> None:
    assert choose_method("auto", scan(simulate=simulate), "MR", {}) == ("meddiffusion", ())


def test_measured_scans_and_more_noise_take_total_variation() -> None:
    one = volume()
    case = measure_mr(one, "gauss1d", 4.0, noise=0.0)
    written = kspace_of(case, one)
    measured = measured_mr(replace(written, meta={}), MaskRequest()).measurement
    coils = measure_mr(one, "gauss1d", 4.0, 16, coils=4).measurement
    for each, word in ((measured, "measured"), (scan(noise=0.02), "noise of 0.02")):
        method, (notice,) = choose_method("auto", each, "MR", {})
        assert method == "tv"
        assert word in notice
        assert "\n" not in notice
    assert choose_method("auto", coils, "MR", {})[0] == "meddiffusion", "there is a head of several coils"
    again = measured_mr(written, MaskRequest()).measurement
    assert choose_method("auto", again, "MR", {})[0] == "meddiffusion", "a file of ours says how it was simulated"


def test_networks_that_other_networks_call_may_be_others_too() -> None:
    other = scan("equispaced", simulate="ideal")
    with pytest.raises(InputError, match="trained for the masks"):
        condition("MR", "unet", other)
    assert condition("MR", "unet", other, allow_other=True).notices
