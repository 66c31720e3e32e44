"""Diffusion in continuous time: the schedule's ends, steps that lead where they should, and guidance."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from priors.diffusion.continuous import TOLD, alpha_bar, ddim, ddim_step, ddim_times, guided, noised


def test_the_schedule_is_a_cosine_held_off_its_ends() -> None:
    found = alpha_bar(torch.tensor([-0.1, 0.0, 0.5, 1.0]))
    torch.testing.assert_close(found, torch.tensor([1 - 1e-4, 1 - 1e-4, 0.4938, 1e-4]), atol=1e-4, rtol=0)


def test_a_step_with_the_true_volume_leads_to_its_noised_version() -> None:
    x0, noise = torch.randn(2, 1, 2, 2, 2), torch.randn(2, 1, 2, 2, 2)
    t, following = torch.tensor([0.9, 0.4]), torch.tensor([0.7, 0.1])
    torch.testing.assert_close(
        ddim_step(noised(x0, t, noise), x0, t, following), noised(x0, following, noise), atol=1e-4, rtol=0
    )


def test_times_descend_from_one_and_end_a_step_from_the_clean_end() -> None:
    times = ddim_times(50)
    assert (len(times), times[0], round(times[-1], 6)) == (50, 1.0, 0.02)
    for wrong in (0, TOLD + 1):
        with pytest.raises(ValueError, match="`steps`"):
            ddim_times(wrong)


def test_the_last_estimate_is_the_result_and_is_held_within_the_range() -> None:
    told: list[float] = []

    def estimate(z: Tensor, t: Tensor) -> Tensor:
        told.append(float(t[0]))
        return torch.full_like(z, 3.0 if len(told) < 4 else -0.5)

    seen: list[int] = []
    result = ddim(
        estimate, torch.randn(1, 1, 2, 2, 2), ddim_times(4), on_step=lambda done, total, z, x0: seen.append(done)
    )
    assert told == [1000.0, 750.0, 500.0, 250.0]
    assert seen == [1, 2, 3, 4]
    assert torch.equal(result, torch.full_like(result, -0.5))


def test_sampling_with_the_best_estimator_of_a_normal_law_gives_that_law() -> None:
    """Volumes of mean 0.2 and deviation 0.1: the best estimate is known in closed form."""

    def estimate(z: Tensor, t: Tensor) -> Tensor:
        kept = alpha_bar(t / TOLD).view(-1, 1, 1, 1, 1)
        return 0.2 + 0.01 * kept.sqrt() * (z - kept.sqrt() * 0.2) / (0.01 * kept + 1 - kept)

    torch.manual_seed(0)
    made = ddim(estimate, torch.randn(4000, 1, 1, 1, 1), ddim_times(200))
    assert abs(float(made.mean()) - 0.2) < 0.01
    assert abs(float(made.std()) - 0.1) < 0.01


def test_guidance_goes_beyond_the_estimate_with_a_text() -> None:
    told, untold = torch.tensor([1.0]), torch.tensor([0.5])
    assert [float(guided(told, untold, scale)) for scale in (0, 1, 2)] == [0.5, 1.0, 1.5]
