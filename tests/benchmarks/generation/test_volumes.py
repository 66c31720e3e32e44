"""Generated volumes as files: what is stored is what is read, and damage is seen."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.generation.volumes import VolumeFolder, from_stored, to_stored
from recon.io.nifti.volume import read_volume
from recon.scan.volume import Modality

SIZE = (4, 6, 5)


def image() -> torch.Tensor:
    """A volume (Z, X, Y) whose brightest voxel lies at the superior, right and anterior corner."""
    found = torch.linspace(-1, 0.9, 120).reshape(SIZE)
    found[-1, -1, -1] = 1.0
    return found


def folder(path: Path, modality: Modality = "CT") -> VolumeFolder:
    return VolumeFolder(path / "wdm", modality, (3.0, 2.0, 1.0))


@pytest.mark.parametrize(("modality", "step"), [("CT", 1e-3), ("MR", 2e-4)])
def test_a_volume_is_read_as_it_was_stored(tmp_path, modality, step):
    volumes = folder(tmp_path, modality)
    made = volumes.put(image(), 3, 1.5, 200.0, "cpu")
    assert volumes.get(3) == made
    found = volumes.read(3)
    torch.testing.assert_close(found, image(), atol=step, rtol=0)
    assert torch.equal(found, from_stored(to_stored(found, modality), modality)), "stored twice is stored once"


def test_other_programs_find_the_volume_where_the_patient_is(tmp_path):
    folder(tmp_path).put(image(), 0, 1.0, 1.0, "cpu")
    volume = read_volume(tmp_path / "wdm" / "seed-0.nii.gz", "CT")
    assert tuple(volume.data.shape) == (4, 5, 6)
    assert volume.spacing == pytest.approx((3.0, 1.0, 2.0))
    assert float(volume.data[-1, -1, -1]) == 1000.0


def test_a_constant_volume_is_a_volume(tmp_path):
    """A network that collapsed makes such; its row must say so and not end in a traceback."""
    volumes = folder(tmp_path)
    volumes.put(torch.full(SIZE, -1.0), 0, 1.0, 1.0, "cpu")
    assert bool((volumes.read(0) == -1).all())


def test_what_overshoots_is_clipped_and_what_is_no_number_refused(tmp_path):
    volumes = folder(tmp_path)
    volumes.put(3 * image(), 0, 1.0, 1.0, "cpu")
    assert float(volumes.read(0).abs().max()) == 1.0
    broken = image()
    broken[0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="seed 1: the generated volume has NaN"):
        volumes.put(broken, 1, 1.0, 1.0, "cpu")
    assert volumes.get(1) is None


@pytest.mark.parametrize("damage", ["cut", "other", "gone", "facts", "text"])
def test_a_damaged_volume_is_none(tmp_path, damage):
    volumes = folder(tmp_path)
    volumes.put(image(), 0, 1.0, 1.0, "cpu")
    volumes.put(image().flip(0), 1, 1.0, 1.0, "cpu")
    file, facts = tmp_path / "wdm" / "seed-0.nii.gz", tmp_path / "wdm" / "seed-0.json"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-40])
    elif damage == "other":
        file.write_bytes((tmp_path / "wdm" / "seed-1.nii.gz").read_bytes())
    elif damage == "gone":
        file.unlink()
    elif damage == "facts":
        facts.write_text('{"seed": 0}')
    else:
        file.write_bytes(b"no volume")
    assert volumes.get(0) is None
    assert volumes.get(1) is not None
