"""A training request from Python: complete, and without anything that has no effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from physics.ct.protocol import load_protocol
from priors.training.recipe import load_recipe
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.acquisition.mr_acquisition import MRAcquisition
from recon.errors import InputError
from recon.learned.task import Task
from recon.training.request import Request
from recon.training.settings.parse import tell_overruled
from recon.training.sources import DataPart


def request(network: str, settings: list[str] | None = None, **more: Any) -> Request:
    out = Path("nowhere")
    return Request(network, load_recipe(network, "tiny", settings or []), [DataPart("sample", None)], out, out, **more)


def ct(conditions: tuple[str, ...] = ("fbp",), reference: tuple[str, ...] = ()) -> Task:
    return Task(CTAcquisition(load_protocol("paper40")), conditions, reference)


@pytest.mark.parametrize(
    ("network", "more", "line"),
    [
        ("fbpconv", {}, "`task`: say what fbpconv shall learn to undo, svct or mri"),
        ("modl", {}, "`task`: say what modl shall learn to undo, mri"),
        ("modl", {"task": ct}, "`task`: modl is for MR, this task for CT"),
        ("adm", {"task": ct}, "`task`: adm learns no task"),
        ("fbpconv", {"task": ct, "stage": 2}, "`stage`: has no effect on fbpconv; it is for autoencoder"),
        ("autoencoder", {"stage": 3}, "`stage` 3: must be 1 or 2"),
        (
            "fbpconv",
            {"task": ct, "base": Path("x")},
            "`base`: has no effect on fbpconv; it is for biflownet, distilled, contr",
        ),
        ("unet", {"task": ct, "head": Path("x")}, "`head`: has no effect on unet; it is for refiner"),
        ("refiner", {}, "`head`: name the head"),
        ("refiner", {"head": Path("x"), "task": ct}, "`task`: the head says what a refiner is for"),
        ("unet", {"task": lambda: ct(reference=("tv",))}, "`reference`: has no effect on unet; it is for controlnet"),
    ],
)
def test_what_is_missing_or_has_no_effect_is_refused(network, more, line):
    made = {key: value() if callable(value) else value for key, value in more.items()}
    with pytest.raises(InputError, match=line.replace("(", r"\(")):
        request(network, **made)


def test_a_recipe_is_checked_before_any_data_are_read():
    with pytest.raises(InputError, match=r"recipe: unknown key task\.varints; did you mean variants"):
        request("fbpconv", ["task.varints=2"], task=ct())
    with pytest.raises(InputError, match=r"recipe: task\.loss: Input should be 'l1' or 'l2'"):
        request("modl", ["task.loss=l3"], task=Task(MRAcquisition(), ("zero-filled",)))


def test_conditions_of_the_recipe_are_the_task_s():
    assert request("fbpconv", ["task.conditions=[tv]"], task=ct(conditions=("tv",))).task is not None
    with pytest.raises(InputError, match=r"recipe: task\.conditions tv: the task shows fbp"):
        request("fbpconv", ["task.conditions=[tv]"], task=ct())


def test_sizes_that_initial_weights_overrule_are_told():
    lines: list[str] = []
    tell_overruled({"width": 8, "levels": 3, "shape": (1, 2)}, {"width": 16, "shape": [1, 2]}, lines.append)
    assert lines == ["network.width is 8, as in the initial weights, not 16"]
    with pytest.raises(InputError, match=r"unknown key network\.wdth; did you mean width"):
        tell_overruled({"width": 8}, {"wdth": 16}, lines.append)
