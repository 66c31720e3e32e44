"""What weights files say of the scans that their networks were trained for."""

from __future__ import annotations

import json

import pytest

from priors.weights.card import read_card
from priors.weights.store import shipped_folder
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.acquisition.mr_acquisition import MRAcquisition
from recon.errors import InputError
from recon.learned.task import task_from_dict

SHIPPED = sorted(shipped_folder().rglob("*.safetensors"))


def test_shipped_cards_are_read_and_written_as_they_are() -> None:
    """Their texts are part of the names of scans in the training's cache, so that even the order of keys counts."""
    found = set()
    for path in SHIPPED:
        card = read_card(path)
        values = card.config.get("task") or card.extra.get("task")
        if values is not None:
            task = task_from_dict(values)
            assert json.dumps(task.to_dict()) == json.dumps(values)
            found.add((path.stem, type(task.acquisition), task.base_methods))
    assert ("svct", CTAcquisition, ("tv",)) in found
    assert ("mri", MRAcquisition, ("modl", "tv")) in found
    assert len(found) >= 8


def test_a_card_without_conditions_means_the_direct_image() -> None:
    assert task_from_dict({"task": "mri", "masks": ["poisson"]}).conditions == ("zero-filled",)


@pytest.mark.parametrize("values", [{"task": "pet"}, {"task": ["svct"]}, {"task": "svct", "geometry": 5}])
def test_what_is_no_task_is_said_in_one_line(values) -> None:
    with pytest.raises(InputError, match="the weights do not say what they were trained for"):
        task_from_dict(values)
