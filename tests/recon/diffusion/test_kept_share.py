"""Rounds of refiner and data step end where the data take back what a refiner changed."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from tiny_prior import GEOMETRY, body

from physics.noise import TransmissionNoise
from priors.networks.unet2d import UNet2D, UNetConfig
from recon.acquisition.ct import simulate_ct
from recon.acquisition.network_scale import network_scale
from recon.diffusion.head_changes import BaseImage, agree, kept_share, refine
from recon.learned.refiner import Refiner
from recon.methods.conditions import condition
from recon.scan.measurement import RunContext
from recon.solvers.data_consistency import agreeing


class Fixed(Refiner):
    """Refines to a given image, and counts how often it is asked."""

    def __new__(cls, image: torch.Tensor) -> Fixed:
        return super().__new__(cls)

    def __init__(self, image: torch.Tensor) -> None:
        super().__init__(UNet2D(UNetConfig(in_channels=2, chans=2, pool_layers=1, residual=True)), "0" * 64)
        object.__setattr__(self, "image", image)
        object.__setattr__(self, "asked", [])

    def refined(self, images: torch.Tensor, turn: int = 0, on_progress: object = None) -> torch.Tensor:
        self.asked.append(turn)  # type: ignore[attr-defined]
        image: torch.Tensor = self.image  # type: ignore[attr-defined]
        return image


def base_image_of(photons: float | None) -> tuple[BaseImage, torch.Tensor]:
    """A scan's TV image, and the truth in the network range (Z, X, Y)."""
    truth = body()
    noise = TransmissionNoise(photons) if photons else None
    measurement = simulate_ct(truth, GEOMETRY, None, noise, 0)
    image = condition("CT", "tv", measurement).mean
    scale = network_scale(measurement)
    seen = scale.to_network(image)
    window = (slice(0, seen.shape[1]), slice(0, seen.shape[2]))
    wanted = scale.truth(truth)
    return BaseImage(image, seen, window, measurement), wanted


def estimated(base_image: BaseImage, refiner: Refiner, sample: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What three turns make of a sample, and what it advises at first."""
    refining = partial(refine, shown=base_image.seen, refiner=refiner)
    advised = refining(base_image, sample)
    return agree(base_image, sample, advised, refining, 3, RunContext()), advised


@pytest.mark.parametrize("photons", [None, 1e5])
def test_a_right_change_is_kept_and_every_round_made(photons: float | None) -> None:
    base_image, truth = base_image_of(photons)
    refiner = Fixed(truth)
    found, _ = estimated(base_image, refiner, truth)
    asked = refiner.asked  # type: ignore[attr-defined]
    assert len(asked) >= 2
    assert asked == [0, 1, 2][: len(asked)]
    before = network_scale(base_image.measurement).to_network(base_image.image)
    after = network_scale(base_image.measurement).to_network(found)
    assert float((after - truth).norm()) < 0.5 * float((before - truth).norm())


def test_a_change_that_the_data_contradict_is_dropped_with_its_round() -> None:
    base_image, truth = base_image_of(None)
    wrong = base_image.seen + 0.2 * (truth > -0.5)  # the data see that a whole body is brighter
    refiner = Fixed(wrong)
    found, advised = estimated(base_image, refiner, truth)
    assert len(refiner.asked) == 1  # type: ignore[attr-defined]
    torch.testing.assert_close(found, agreeing(base_image.measurement, base_image.image))
    torch.testing.assert_close(network_scale(base_image.measurement).to_network(advised), wrong.clamp(-1, 1))


def test_without_a_data_step_the_change_stays_as_it_is() -> None:
    base_image, truth = base_image_of(None)
    refiner = Fixed(truth)
    advised = refine(base_image, truth, shown=base_image.seen, refiner=refiner)
    after = network_scale(base_image.measurement).to_network(advised)
    torch.testing.assert_close(after, truth, atol=1e-3, rtol=0)


def test_the_share_is_that_of_the_change_itself() -> None:
    before = torch.zeros(2, 4, 4, dtype=torch.complex64)
    change = torch.randn(2, 4, 4, dtype=torch.complex64)
    assert kept_share(before, change, change) == pytest.approx(1)
    assert kept_share(before, change, 0.3 * change) == pytest.approx(0.3)
    assert kept_share(before, change, before) == 0
    assert kept_share(before, before, before) == 1
