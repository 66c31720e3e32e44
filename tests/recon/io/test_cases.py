"""Reading a data set's case refuses what is not what the case says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from datasets import open_dataset
from recon.errors import InputError
from recon.io.cases import read_case
from recon.scan.volume import Volume


def test_a_shipped_case_reads_as_a_volume() -> None:
    volume = read_case(open_dataset("sample", modality="CT").cases()[0])
    assert isinstance(volume, Volume)
    assert volume.modality == "CT"
    assert volume.spacing == pytest.approx((2.5, 1.40625, 1.40625))


def test_a_volume_where_kspace_should_be_is_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4)), tmp_path / "a.nii")
    case = open_dataset("folder", tmp_path, modality="MR").cases()[0]
    assert isinstance(read_case(case), Volume)
    with pytest.raises(InputError, match="holds a Volume, the data set should have a KSpace"):
        read_case(replace(case, kind="kspace"))


def test_a_file_that_went_away_is_one_line(tmp_path: Path) -> None:
    case = replace(open_dataset("sample").cases()[0], path=tmp_path / "gone.nii.gz")
    with pytest.raises(InputError, match=r"gone\.nii\.gz: no such file"):
        read_case(case)
