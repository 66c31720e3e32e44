"""Distillation on normally distributed data, whose exact estimates, steps and samples are known in closed form."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from priors.diffusion.distilled import SPACING, Distilled
from priors.diffusion.samplers import ddim, spaced_timesteps
from priors.diffusion.schedule import GaussianDiffusion
from priors.training.distillation import DistillationLearner, ddim_move, velocity_of_move
from priors.training.distillation_stages import Schedule, Stage, plan_stages

MEAN, DEVIATION = 0.4, 0.2
DIFFUSION = GaussianDiffusion()
FIRST = DIFFUSION.timesteps - 1
SIZE = (1, 4, 4, 4)
FACTS = Distilled(1, 16, "")


class LinearNet(nn.Module):
    """A linear estimate for each time step; it begins as the exact one of normally distributed data."""

    def __init__(self, prediction: str) -> None:
        super().__init__()
        self.config = SimpleNamespace(prediction=prediction, to_dict=dict)
        kept = DIFFUSION.alphas_cumprod.double().sqrt()
        lost = (1 - kept.square()).sqrt()
        gain = kept * DEVIATION**2 / (kept.square() * DEVIATION**2 + lost.square())  # E[x | z] = m + gain (z - kept m)
        clean = torch.stack([gain, MEAN - gain * kept * MEAN])
        of_z = torch.stack([torch.ones_like(kept), torch.zeros_like(kept)])
        values = (of_z - kept * clean if prediction == "noise" else kept * of_z - clean) / lost
        self.slope, self.offset = (nn.Parameter(each.float()) for each in values)

    def forward(self, z: Tensor, t: Tensor, y: Tensor, res: Tensor) -> Tensor:
        shape = (-1, 1, 1, 1, 1)
        return self.slope[t].view(shape) * z + self.offset[t].view(shape)


def sampled(net: LinearNet, z: Tensor, steps: int, first: int = FIRST) -> Tensor:
    """The sample of a network from ``z``."""
    empty = torch.zeros(len(z), dtype=torch.long)
    estimate = DIFFUSION.noise_estimator(lambda z, t: net(z, t, empty, empty), net.config.prediction)
    with torch.no_grad():
        return ddim(estimate, z, DIFFUSION, spaced_timesteps(DIFFUSION.timesteps, steps, SPACING, first), clip=None)


def learner(student: str, teacher: str, stages: Sequence[Stage], length: int, limit: float | None = None) -> Any:
    return DistillationLearner(
        LinearNet(student),  # type: ignore[arg-type]
        LinearNet(teacher),  # type: ignore[arg-type]
        DIFFUSION,
        Schedule(stages, length),
        FACTS,
        limit=limit,
    )


def batch(step: int, first: int = FIRST, count: int = 32) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(step)
    return {
        "latent": MEAN + DEVIATION * torch.randn(count, *SIZE, generator=random),
        "class": torch.zeros(count, dtype=torch.long),
        "start": torch.full((count, *SIZE), MEAN if first < FIRST else 0.0),
        "first": torch.full((count,), first),
        "seed": torch.arange(count) + 1000 * step,
    }


def train(trained: DistillationLearner, steps: range, optimizer: torch.optim.Optimizer, first: int = FIRST) -> None:
    """As the training loop does it."""
    for step in steps:
        for group in optimizer.param_groups:
            group["lr"] = 0.03 * trained.rate_factor("biflownet", step)
        optimizer.zero_grad()
        trained(batch(step, first), "biflownet", step)["total"].backward()
        optimizer.step()


def noise(seed: int = 7) -> Tensor:
    return torch.randn(64, *SIZE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("first", "student", "teacher"), [(FIRST, "velocity", "velocity"), (900, "noise", "noise")])
def test_a_student_of_one_step_makes_what_its_teacher_makes_in_many(first, student, teacher):
    trained = learner(student, teacher, plan_stages(16, 1, 4, converts=False), 400)
    z = noise()
    if first < FIRST:
        kept = DIFFUSION.alpha_bar(first) ** 0.5
        z = kept * MEAN + (1 - kept**2) ** 0.5 * z
    long = sampled(trained.teacher, z, 16, first)
    assert (sampled(trained.net, z, 1, first) - long).std() > 0.1, "the teacher's own single step is far off"
    train(trained, range(400), torch.optim.Adam(trained.net.parameters()), first)
    torch.testing.assert_close(sampled(trained.net, z, 1, first), long, atol=0.03, rtol=0)


def test_the_teacher_s_many_steps_are_those_of_the_exact_solution():
    z = noise()
    torch.testing.assert_close(sampled(LinearNet("velocity"), z, 500), MEAN + DEVIATION * z, atol=0.02, rtol=0)
    torch.testing.assert_close(
        sampled(LinearNet("noise"), z, 16), sampled(LinearNet("velocity"), z, 16), atol=0.02, rtol=0
    )


def test_a_first_stage_turns_noise_into_velocities():
    stages = plan_stages(4, 2, 2, converts=True)
    assert stages[0] == Stage(4, 4)
    trained = learner("velocity", "noise", stages[:1], 300)
    trained.net.load_state_dict(trained.teacher.state_dict())  # the teacher's weights, read as velocities
    z = noise()
    long = sampled(trained.teacher, z, 4, 900)
    assert (sampled(trained.net, z, 4, 900) - long).abs().mean() > 0.05
    train(trained, range(300), torch.optim.Adam(trained.net.parameters()), 900)
    torch.testing.assert_close(sampled(trained.net, z, 4, 900), long, atol=0.05, rtol=0)


def test_noise_and_velocity_are_converted_exactly_into_each_other():
    t = torch.tensor([0, 15, 500, 900])
    clean, noisy = noise()[:4], noise(8)[:4]
    z = DIFFUSION.q_sample(clean, t, noisy)
    velocity = DIFFUSION.velocity(clean, t, noisy)
    torch.testing.assert_close(DIFFUSION.noise_of_velocity(z, t, velocity), noisy, atol=1e-5, rtol=0)
    torch.testing.assert_close(DIFFUSION.velocity_of_noise(z, t, noisy), velocity, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("steps", "ratio", "place"), [(4, 4, 3), (4, 4, 0), (2, 8, 1), (1, 16, 0), (8, 2, 5)])
def test_the_velocity_of_a_move_ends_where_the_teacher_s_steps_do(steps, ratio, place):
    net, z = LinearNet("velocity"), noise()
    times = [-1, *reversed(spaced_timesteps(1000, steps * ratio, SPACING).tolist())]
    path = times[place * ratio : (place + 1) * ratio + 1][::-1]
    assert path[0] in spaced_timesteps(1000, steps, SPACING), "the student's times are among the teacher's"
    empty = torch.zeros(len(z), dtype=torch.long)
    estimate = DIFFUSION.noise_estimator(lambda z, t: net(z, t, empty, empty), "velocity")
    moved = z
    for now, after in itertools.pairwise(path):
        moved = ddim_move(estimate, moved, empty + now, empty + after, DIFFUSION, None)
    velocity = velocity_of_move(z, empty + path[0], moved, empty + path[-1], DIFFUSION, None)
    exact = DIFFUSION.noise_estimator(lambda z, t: velocity, "velocity")
    ended = ddim_move(exact, z, empty + path[0], empty + path[-1], DIFFUSION, None)
    rounding = 5e-2 if path[0] == FIRST else 1e-4  # of noise estimates in float32, 60000 times larger in z_0 there
    torch.testing.assert_close(ended, moved, atol=rounding, rtol=0)


def test_moves_are_those_of_the_sampler_clipped_as_there():
    net, z = LinearNet("velocity"), 3 * noise()
    empty = torch.zeros(len(z), dtype=torch.long)
    estimate = DIFFUSION.noise_estimator(lambda z, t: net(z, t, empty, empty), "velocity")
    moved, times = z, [999, 749, 499, 249, -1]
    for now, after in itertools.pairwise(times):
        moved = ddim_move(estimate, moved, empty + now, empty + after, DIFFUSION, 0.5)
    torch.testing.assert_close(moved, ddim(estimate, z, DIFFUSION, torch.tensor(times[:-1]), clip=0.5))


def test_a_resumed_learner_goes_on_with_its_teacher_to_the_same_weights():
    stages = plan_stages(8, 2, 2, converts=False)
    whole = learner("velocity", "velocity", stages, 30)
    train(whole, range(30), torch.optim.SGD(whole.net.parameters()))
    broken = learner("velocity", "velocity", stages, 30)
    train(broken, range(14), torch.optim.SGD(broken.net.parameters()))
    state = copy.deepcopy(broken.state())
    resumed = learner("velocity", "velocity", stages, 30)
    resumed.load_state(state)
    train(resumed, range(14, 30), torch.optim.SGD(resumed.net.parameters()))
    assert int(resumed.stage) == 1
    for name, value in whole.state().items():
        assert torch.equal(value, resumed.state()[name]), name


def test_the_student_becomes_the_teacher_where_a_stage_begins_and_the_teacher_never_learns():
    trained = learner("velocity", "velocity", plan_stages(8, 2, 2, converts=False), 30)
    first = copy.deepcopy(trained.teacher.state_dict())
    optimizer = torch.optim.SGD(trained.net.parameters())
    train(trained, range(10), optimizer)
    assert all(torch.equal(value, first[name]) for name, value in trained.teacher.state_dict().items())
    student = copy.deepcopy(trained.net.state_dict())
    train(trained, range(10, 12), optimizer)
    assert all(torch.equal(value, student[name]) for name, value in trained.teacher.state_dict().items())
    assert not any(each.requires_grad for each in trained.teacher.parameters())
    assert not trained.train().teacher.training


@pytest.mark.parametrize(
    ("numbers", "wanted"),
    [
        ((64, 1, 2), [(64, 32), (32, 16), (16, 8), (8, 4), (4, 2), (2, 1)]),
        ((64, 1, 4), [(64, 16), (16, 4), (4, 1)]),
        ((64, 2, 4), [(64, 16), (16, 4), (4, 2)]),
        ((32, 4, 8), [(32, 4)]),
        ((30, 1, 2), [(30, 15), (15, 1)]),
        ((12, 3, 2), [(12, 6), (6, 3)]),
    ],
)
def test_stages_lead_from_the_teacher_s_steps_to_the_student_s(numbers, wanted):
    assert [(each.teacher_steps, each.steps) for each in plan_stages(*numbers, converts=False)] == wanted
    first, *others = plan_stages(*numbers, converts=True)
    assert first == Stage(numbers[0], numbers[0])
    assert [(each.teacher_steps, each.steps) for each in others] == wanted


@pytest.mark.parametrize(("teacher", "student"), [(64, 3), (4, 4), (4, 8)])
def test_numbers_of_steps_that_do_not_fit_are_refused(teacher, student):
    with pytest.raises(ValueError, match=f"`steps` {student}: must be smaller than the teacher's {teacher} steps"):
        plan_stages(teacher, student, 2, converts=False)


def test_every_stage_has_its_share_and_its_rate_falls_to_nothing():
    stages = plan_stages(8, 1, 2, converts=False)  # 8 to 4, 4 to 2, 2 to 1: the last two count twice
    places = [Schedule(stages, 50).at(step) for step in range(50)]
    assert [index for index, _ in places] == [0] * 10 + [1] * 20 + [2] * 20
    assert [share for index, share in places if index == 1] == [step / 20 for step in range(20)]
    assert [index for index, _ in (Schedule(stages, 3).at(step) for step in range(3))] == [0, 1, 2]
    with pytest.raises(ValueError, match="2 training steps for 3 stages"):
        Schedule(stages, 2)
    trained = learner("velocity", "velocity", stages, 50)
    assert [trained.rate_factor("biflownet", step) for step in (0, 5, 10, 29)] == [1.0, 0.5, 1.0, pytest.approx(0.05)]
