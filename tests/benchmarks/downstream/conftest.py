"""Toy cases with segmentations, synthetic volumes of them, and a stand-in for nnU-Net."""

from __future__ import annotations

from pathlib import Path

import nibabel
import nnunet_stand_in
import numpy as np
import pytest

SHAPE = (16, 16, 8)
AFFINE = np.diag([2.0, 2.0, 4.0, 1.0])
TRAINING, TEST = 10, 2


def write_case(folder: Path, name: str, seed: int, *, noise: int = 0) -> None:
    """A body with a kidney of 100 HU and a tumour of 200 HU in it, and its segmentation."""
    rng = np.random.default_rng(seed)
    x, y, z = (*rng.integers(4, 8, 2).tolist(), int(rng.integers(1, 3)))
    labels = np.zeros(SHAPE, np.uint8)
    labels[x : x + 6, y : y + 5, z : z + 4] = 1
    labels[x + 1 : x + 4, y + 1 : y + 3, z + 1 : z + 3] = 2
    hu = np.choose(labels, (0, 100, 200)) + rng.integers(-10, 10 + noise, SHAPE)
    folder.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(hu.astype(np.int16), AFFINE), folder / f"{name}.nii.gz")
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), folder / f"{name}_seg.nii.gz")


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ten cases for training and two that are held out."""
    folder = tmp_path_factory.mktemp("cases")
    for number in range(TRAINING):
        write_case(folder / "train", f"person{number}", number)
    for number in range(TEST):
        write_case(folder / "test", f"person{TRAINING + number}", TRAINING + number)
    return folder


@pytest.fixture(scope="session")
def synthetic(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic volume for each mask, one with the mask beside it as ``recon generate`` writes it."""
    folder = tmp_path_factory.mktemp("synthetic")
    for number in range(TRAINING):
        write_case(folder / "train", f"person{number}", number, noise=10)
        mask = folder / "train" / f"person{number}_seg.nii.gz"
        mask.rename(mask.with_name(f"person{number}_mask.nii.gz")) if number == 0 else mask.unlink()
    return folder


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the stand-in's commands, which log their calls into ``calls`` beside it."""
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "calls"))
    return nnunet_stand_in.install(tmp_path / "bin")
