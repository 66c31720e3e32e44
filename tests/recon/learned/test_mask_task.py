"""The task of heads that are shown segmentations: a value that goes into cards, and measures nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recon.errors import InputError
from recon.learned.mask_task import MaskTask, mask_task, mask_task_from_dict, parse_labels
from recon.learned.task import task_from_dict


def test_a_task_survives_a_card():
    task = mask_task({1: "kidney", 2: "tumour"})
    assert task.body == 255
    assert task.numbers == (0, 255, 1, 2)
    assert mask_task_from_dict(json.loads(json.dumps(task.to_dict()))) == task
    assert str(task) == "1=kidney, 2=tumour, 255=body by fractions"


@pytest.mark.parametrize(("pooling", "channels"), [("fractions", 4), ("subvoxels", 256), ("paper", 8)])
def test_channels_of_the_hint(pooling: Any, channels: int):
    assert mask_task({1: "kidney", 2: "tumour"}, pooling=pooling).hint_channels(8, 4) == channels


def test_labels_are_numbers_with_names():
    assert parse_labels("1=kidney, 2=tumour") == {1: "kidney", 2: "tumour"}
    assert parse_labels("1,7") == {1: "label 1", 7: "label 7"}


@pytest.mark.parametrize("text", ["kidney", "1=kidney,1=tumour", "1=kidney,,", "-1=kidney", ""])
def test_what_is_no_list_of_labels(text: str):
    with pytest.raises(InputError, match=r"`labels` .*write it as 1=kidney,2=tumour"):
        parse_labels(text)


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        ({}, "no label"),
        ({300: "a"}, "from 1 to 255"),
        ({1: "a", 2: "a"}, "name of its own"),
        ({255: "a"}, "cannot be the body too"),
    ],
)
def test_labels_that_cannot_be(labels: dict[int, str], line: str):
    with pytest.raises(InputError, match=f"`labels`: .*{line}"):
        mask_task(labels)
    with pytest.raises(ValueError, match="cannot be the body too"):
        MaskTask({1: "kidney"}, body=1)


def test_a_task_of_masks_is_none_of_scans():
    with pytest.raises(InputError, match=r"`weights`: a head of the task mask .* reconstructs nothing"):
        task_from_dict(mask_task({1: "kidney"}).to_dict())
    with pytest.raises(InputError, match="which labels"):
        mask_task_from_dict({"task": "svct"})
