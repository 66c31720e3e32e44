"""Whether CT values can be HU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recon.errors import InputError
from recon.io.intensity import AIR_HU, Intensity, check_hu
from recon.scan.volume import Volume


def volume(low: float, high: float) -> Volume:
    return Volume(torch.linspace(low, high, 60).reshape(3, 4, 5), np.eye(4), "CT")


@pytest.mark.parametrize(("low", "high"), [(-1024, 1311), (-1000, 30710), (-3000, 32767), (-1000, 0)])
def test_hu_passes_unchanged_and_without_a_word(low: float, high: float) -> None:
    given = volume(low, high)
    for intensity in ("auto", "hu"):
        checked, notes = check_hu(given, intensity)
        assert notes == []
        assert torch.equal(checked.data, given.data)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0, 1, "`intensity` unit"), (-1, 1, "[-1, 1]"), (0, 255, "`intensity` byte"), (0, 4095, "rescale intercept")],
)
def test_values_that_are_hardly_hu_are_kept_with_a_warning(low: float, high: float, words: str) -> None:
    given = volume(low, high)
    checked, notes = check_hu(given)
    assert torch.equal(checked.data, given.data)
    assert len(notes) == 1
    assert words in notes[0]
    assert check_hu(given, "hu")[1] == []


@pytest.mark.parametrize(("low", "high"), [(-6000, 100), (0, 65535), (-20000, 3000)])
def test_values_that_cannot_be_hu_are_refused_unless_stated(low: float, high: float) -> None:
    with pytest.raises(InputError, match="`intensity` hu"):
        check_hu(volume(low, high))
    assert torch.equal(check_hu(volume(low, high), "hu")[0].data, volume(low, high).data)


@pytest.mark.parametrize(("intensity", "top"), [("unit", 1.0), ("byte", 255.0)])
def test_stated_scales_are_mapped_to_the_window(intensity: Intensity, top: float) -> None:
    checked, notes = check_hu(volume(0, top), intensity)
    torch.testing.assert_close(checked.data.flatten(), torch.linspace(-1000, 1000, 60), atol=1e-2, rtol=0)
    assert len(notes) == 1
    with pytest.raises(InputError, match=f"`intensity` {intensity}"):
        check_hu(volume(-1000, 1000), intensity)


@pytest.mark.parametrize("padding", [-2000.0, -3024.0, -32768.0])
@pytest.mark.parametrize("intensity", ["auto", "hu"])
def test_padding_becomes_air_with_a_note(padding: float, intensity: Intensity) -> None:
    given = volume(-1000, 1000)
    given.data[:, 0] = padding
    checked, notes = check_hu(given, intensity)
    assert (checked.data[:, 0] == AIR_HU).all()
    assert torch.equal(checked.data[:, 1:], given.data[:, 1:])
    assert len(notes) == 1
    assert notes[0].startswith("15 voxels")
