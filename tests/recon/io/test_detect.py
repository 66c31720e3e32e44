"""What ``recon info`` says of files, and the one reader for all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pydicom
import pytest
import torch
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from physics.ct.geometry import FanBeam, circular_angles
from physics.mr.cartesian import fft2c
from priors.weights.card import Card, save_weights
from recon.errors import InputError
from recon.io import describe_folder
from recon.io.atomic import output_folder
from recon.io.detect import describe, read_any
from recon.io.dicom.series import write_series
from recon.io.kspace.file import write_kspace
from recon.io.ours import fingerprints
from recon.io.sinogram import Sinogram, write_sinogram
from recon.scan.kspace import KSpace
from recon.scan.volume import Volume


@pytest.fixture
def nifti(tmp_path: Path) -> Path:
    data = np.linspace(-1000, 1000, 120).reshape(4, 5, 6).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(data, np.diag([-1.5, -1.25, 3, 1])), tmp_path / "ct.nii.gz")
    return tmp_path / "ct.nii.gz"


@pytest.fixture
def sinogram(tmp_path: Path) -> Path:
    geometry = FanBeam(circular_angles(5), pitch=1.0, cells=9)
    write_sinogram(tmp_path / "s.h5", Sinogram(torch.rand(3, 5, 9), geometry.to_dict(), (3, 8, 8), np.eye(4)))
    return tmp_path / "s.h5"


def kspace(path: Path, mask: torch.Tensor | None = None) -> Path:
    data = fft2c(torch.rand(2, 1, 12, 10) + 0j)
    write_kspace(path, KSpace(data, np.eye(4), mask, meta={"spacing_known": True}))
    return path


def test_a_volume_is_described_as_stored(nifti: Path) -> None:
    info = describe(nifti)
    assert (info.format, info.shape, info.orientation, info.dtype) == ("NIfTI", (4, 5, 6), "LPS", "int16")
    assert info.spacing_mm == pytest.approx((1.5, 1.25, 3.0))
    assert info.value_range == (-1000, 1000)
    assert info.modality is not None
    assert info.modality.startswith("CT (a guess")
    assert "recon svct" in info.would
    assert info.problem is None


def test_a_sinogram_and_kspace_are_described(sinogram: Path, tmp_path: Path) -> None:
    info = describe(sinogram)
    assert (info.kind, info.shape) == ("sinogram", (3, 5, 9))
    assert "5 views" in info.details["geometry"]
    assert "recon svct would reconstruct it as `sinogram`" in info.would
    full = describe(kspace(tmp_path / "full.h5"))
    assert (full.kind, full.shape, full.details["sampled"]) == ("k-space", (2, 1, 12, 10), 1.0)
    assert "undersample" in full.would
    part = describe(kspace(tmp_path / "part.h5", torch.arange(10).expand(12, 10) % 2 == 0))
    assert part.details["sampled"] == 0.5
    assert "as it was sampled" in part.would


def test_arrays_are_described_without_their_axes(tmp_path: Path) -> None:
    np.savez(tmp_path / "k.npz", kspace=np.ones((2, 3, 4), np.complex64), other=np.ones(3))
    info = describe(tmp_path / "k.npz")
    assert (info.shape, info.dtype) == ((2, 3, 4), "complex64")
    assert "`axes`" in info.would
    np.save(tmp_path / "real.npy", np.ones((3, 4)))
    assert "no complex array" in (describe(tmp_path / "real.npy").problem or "")


def test_what_is_said_is_json(nifti: Path, sinogram: Path, tmp_path: Path) -> None:
    for path in (nifti, sinogram, kspace(tmp_path / "k.h5"), tmp_path):
        assert json.loads(json.dumps(asdict(describe(path))))["path"] == str(path)


def test_bad_files_are_described_with_their_problem(nifti: Path, sinogram: Path) -> None:
    nifti.write_bytes(nifti.read_bytes()[:-30])
    with h5py.File(sinogram, "r+") as file:
        del file.attrs["geometry"]
    for path, words in ((nifti, "gzip"), (sinogram, "no attribute 'geometry'")):
        info = describe(path)
        assert words in (info.problem or "")
        assert info.would.startswith("Nothing")


def test_unknown_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "slice.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 50)
    (tmp_path / "empty.nii").touch()
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["image"] = np.ones(3)
    (tmp_path / "cut.h5").write_bytes((tmp_path / "x.h5").read_bytes()[:90])
    cases = {
        "a.txt": "of no known kind",
        "slice.dcm": "give the folder",
        "empty.nii": "empty",
        "x.h5": "it holds image",
        "cut.h5": "truncated",
        "none": "no such file",
    }
    for name, words in cases.items():
        for call in (describe, lambda path: read_any(path, "CT")):
            with pytest.raises(InputError, match=words):
                call(tmp_path / name)


def test_read_any_reads_each_kind(nifti: Path, sinogram: Path, tmp_path: Path) -> None:
    assert isinstance(read_any(nifti, "CT"), Volume)
    assert isinstance(read_any(str(nifti), "CT"), Volume)
    assert describe(str(nifti)) == describe(nifti)
    assert isinstance(read_any(sinogram, "CT"), Sinogram)
    assert isinstance(read_any(kspace(tmp_path / "k.h5"), "MR"), KSpace)
    np.save(tmp_path / "k.npy", fft2c(torch.rand(12, 10) + 0j).numpy())
    assert isinstance(read_any(tmp_path / "k.npy", "MR", axes="yx"), KSpace)


def test_read_any_refuses_what_does_not_go_together(nifti: Path, sinogram: Path, tmp_path: Path) -> None:
    raw = kspace(tmp_path / "k.h5")
    with pytest.raises(InputError, match="CT needs"):
        read_any(raw, "CT")
    with pytest.raises(InputError, match="MR needs"):
        read_any(sinogram, "MR")
    with pytest.raises(InputError, match="`axes`"):
        read_any(nifti, "MR", axes="yx")
    with pytest.raises(InputError, match="`series`"):
        read_any(nifti, "CT", series="1")
    with pytest.raises(InputError, match="needs DICOM input"):
        write_series(tmp_path / "out", read_any(nifti, "CT"), "x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "modality", "orientation"),
    [
        ("ct/val/CRLM-CT-1004", "CT", "LPS"),
        ("ct/test/LIDC-IDRI-0001", "CT", "LAS"),
        ("mr/val/breast_08_0", "MR", "PIR"),
    ],
)
def test_real_scans(shared: Path, name: str, modality: str, orientation: str) -> None:
    info = describe(shared / "data" / f"{name}.nii.gz")
    assert info.modality == f"{modality} (a guess from the values)"
    assert info.orientation == orientation


def test_describing_a_volume_does_not_load_torch(nifti: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from recon.io.detect import describe; "
        "describe(Path(sys.argv[1])); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(nifti)], check=True, cwd=Path(__file__).parents[3])


def write_headers(folder: Path, count: int = 4) -> None:
    """A CT series whose pixels are missing."""
    folder.mkdir()
    for k in range(count):
        dataset = pydicom.Dataset()
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, f"1.2.{k + 1}"
        dataset.SeriesInstanceUID, dataset.Modality = "1.2.3", "CT"
        dataset.Rows, dataset.Columns, dataset.PixelSpacing = 5, 6, [1, 1]
        dataset.ImageOrientationPatient, dataset.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 2 * k]
        dataset.save_as(folder / f"{k}.dcm", enforce_file_format=True)


def test_a_folder_is_described_from_headers_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_headers(tmp_path / "s")
    steps: list[tuple[int, int]] = []
    info = describe(tmp_path / "s", lambda done, total: steps.append((done, total)))
    assert (info.kind, info.shape, info.problem) == ("DICOM series", (6, 5, 4), None)
    assert steps == [(k, 4) for k in range(4)]
    monkeypatch.setattr(describe_folder, "MOST_FILES", 3)
    assert "more than 3 files" in (describe(tmp_path / "s").problem or "")


def test_a_result_folder_and_weights_are_known(tmp_path: Path) -> None:
    with output_folder(tmp_path / "out", False) as folder:
        (folder / "report.html").write_text("page")
        result = {"task": "svct", "method": "tv", "versions": {"recon": "0"}, "files": fingerprints(folder)}
        (folder / "result.json").write_text(json.dumps(result))
    info = describe(tmp_path / "out")
    assert (info.kind, info.details["method"], info.problem) == ("result", "tv", None)
    assert "changed" not in info.details
    (tmp_path / "out" / "report.html").write_text("edited")
    assert "report.html in it was changed" in describe(tmp_path / "out").details["changed"]
    save_weights(tmp_path / "w.safetensors", {"a": torch.ones(2)}, Card("autoencoder", {}, "here", "CC0"))
    info = describe(tmp_path / "w.safetensors")
    assert (info.kind, info.details["kind"]) == ("weights of a network", "autoencoder")
    with pytest.raises(InputError, match="weights of a network"):
        read_any(tmp_path / "w.safetensors", "CT")


def test_a_folder_of_nifti_files_says_so(nifti: Path) -> None:
    assert "a folder of 1 NIfTI files (such as ct.nii.gz)" in (describe(nifti.parent).problem or "")
