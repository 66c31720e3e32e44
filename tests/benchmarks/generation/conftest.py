"""Data and generators of the tests of tables of generators: six small scans, toys in place of networks."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from toy_generators import EDGE, SPACING, blob, load_toy, write_toy

from benchmarks.generation import competitors, run
from benchmarks.quality.generation.measures import MeasureSettings

SCANS = 6


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders hold toys, and figures are measured with a few draws."""
    monkeypatch.setattr(competitors, "load_generator", load_toy)
    few = MeasureSettings(pairs=6, scales=3, halves=5, bootstrap=5)
    monkeypatch.setattr(run, "settings_for", lambda size: few)


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scans of the training split, a little higher than the cubes that are cut of them."""
    folder = tmp_path_factory.mktemp("scans")
    (folder / "train").mkdir()
    for number in range(SCANS):
        image = blob((EDGE + 8, EDGE, EDGE), 100 + number).numpy()
        hu = (1000 * image).round().astype(np.int16)
        file = nibabel.Nifti1Image(hu.transpose(1, 2, 0), np.diag([SPACING, SPACING, SPACING, 1.0]))
        nibabel.save(file, folder / "train" / f"scan{number}.nii.gz")
    return folder


@pytest.fixture(scope="session")
def priors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``wdm`` and ``hagan`` of toys; the second makes its noisy volumes in one pass."""
    folder = tmp_path_factory.mktemp("priors")
    write_toy(folder / "wdm", "WDM")
    write_toy(folder / "hagan", "HA-GAN", 0.5, one_pass=True)
    return folder
